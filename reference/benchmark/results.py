"""The file of results. Each part is stored with the facts about its measurement."""

from __future__ import annotations

import json
from pathlib import Path

from scratchae.files import write_text

RESULTS = Path(__file__).parents[1] / "results"
KEYS = {  # the columns that identify a row of a part
    "steps": ("model", "batch_size", "threads"),
    "memory": ("model", "batch_size"),
    "whole": ("model",),
    "growth": ("axis", "value"),
}


def read_results(folder: Path, device: str) -> dict:
    """Return the parts that were measured: {"steps": {"about", "rows"}, ...}."""
    path = folder / f"benchmark-{device}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_results(folder: Path, device: str, results: dict) -> None:
    """Write the file of results."""
    write_text(folder / f"benchmark-{device}.json", json.dumps(results, indent=1) + "\n")


def renewed(results: dict, part: str, about: dict, rows: list[dict]) -> dict:
    """Return the results with these rows instead of older rows with the same key.

    Older rows with other keys are kept if the machine and the versions are the same.

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
    """Return the row with these values, or None."""
    rows = results.get(part, {}).get("rows", [])
    return next((row for row in rows if key.items() <= row.items()), None)
