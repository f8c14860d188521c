"""The results of the studies: one entry for each run, stored as soon as it is finished."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import torch

from reference.benchmark import RESULTS
from reference.benchmark.machine import about
from scratchae.files import write_text

PATH = RESULTS / "vae.json"


def read() -> dict[str, dict]:
    """Return {"study/run": entry} of all stored runs."""
    return json.loads(PATH.read_text()) if PATH.exists() else {}


def once(name: str, run: Callable[[], dict]) -> dict:
    """Return the stored entry of a run. If there is none, carry out the run and store its entry."""
    stored = read()
    if name not in stored:
        print(f"{name} ...", flush=True)
        started = time.perf_counter()
        entry = run()
        facts = about(torch.device("cpu"))
        entry["run"] = {
            **{key: facts[key] for key in ("date", "device", "torch")},
            "threads": torch.get_num_threads(),
            "seconds": round(time.perf_counter() - started),
        }
        stored = {**read(), name: entry}
        write_text(PATH, json.dumps(dict(sorted(stored.items())), indent=1) + "\n")
        print(f"{name}: {entry}", flush=True)
    return stored[name]
