"""The file of results: each part beside what it was measured with, renewed part by part."""

from __future__ import annotations

import json
from pathlib import Path

from scratchae.files import write_text

RESULTS = Path(__file__).parents[1] / "results"
KEYS = {  # what tells a row of a part from the others
    "steps": ("model", "batch_size", "threads"),
    "memory": ("model", "batch_size"),
    "whole": ("model",),
    "growth": ("axis", "value"),
}


def read_results(folder: Path, device: str) -> dict:
    """The parts measured so far: {"steps": {"about", "rows"}, ...}."""
    path = folder / f"benchmark-{device}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_results(folder: Path, device: str, results: dict) -> None:
    write_text(folder / f"benchmark-{device}.json", json.dumps(results, indent=1) + "\n")


def renewed(results: dict, part: str, about: dict, rows: list[dict]) -> dict:
    """The results with these rows in place of older ones of their kind.

    Older rows of other kinds stay where they were measured with the same machine and versions.

    >>> old = renewed({}, "whole", {"torch": "2"}, [{"model": "fc"}, {"model": "conv"}])
    >>> new = renewed(old, "whole", {"torch": "2"}, [{"model": "fc", "x": 1}])
    >>> new["whole"]["rows"]
    [{'model': 'fc', 'x': 1}, {'model': 'conv'}]
    >>> renewed(old, "whole", {"torch": "3"}, [{"model": "fc"}])["whole"]["rows"]
    [{'model': 'fc'}]
    """
    was = results.get(part, {"about": about, "rows": []})
    merged = {}
    if {**was["about"], "date": None} == {**about, "date": None}:
        merged = {key_of(part, row): row for row in was["rows"]}
    merged |= {key_of(part, row): row for row in rows}
    return {**results, part: {"about": about, "rows": list(merged.values())}}


def key_of(part: str, row: dict) -> tuple:
    return tuple(row[name] for name in KEYS[part])


def row_of(results: dict, part: str, **key: object) -> dict | None:
    """The row with those values, or None."""
    rows = results.get(part, {}).get("rows", [])
    return next((row for row in rows if key.items() <= row.items()), None)
