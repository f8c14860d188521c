"""Measure how long the Kaggle CSV takes to read, with scratchae, pandas and numpy.

    python -m reference.csv_benchmark [CSV]

Without an argument, a temporary CSV of 42,000 rows is made from the bundled sample. The readers take
turns, so that a busy machine slows down all of them, and their medians are compared. Writes
reference/results/csv.json.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from reference.benchmark import RESULTS, device_name
from scratchae.data import load
from scratchae.data.readers import read
from scratchae.files import write_text

ROUNDS = 7


def readers(path: Path) -> dict[str, Callable[[], object]]:
    """Return a function for each reader that reads the CSV."""
    return {
        "scratchae": lambda: read(path),
        "pandas, C": lambda: pd.read_csv(path, dtype="uint8"),
        "pandas, pyarrow": lambda: pd.read_csv(path, engine="pyarrow").astype("uint8"),
        "numpy.loadtxt": lambda: np.loadtxt(path, np.uint8, delimiter=",", skiprows=1),
    }


def measure(path: Path, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median seconds of each reader over `rounds` rounds with one turn each."""
    candidates = readers(path)
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if turn:  # the first round warms the file cache
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def write_kaggle_csv(path: Path, rows: int) -> None:
    """Write `rows` digits of the bundled sample, repeated if needed, in Kaggle's format."""
    sample = load().train
    index = np.arange(rows) % len(sample)
    table = np.column_stack([sample.labels[index], sample.pixels[index].flatten(1)])
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    np.savetxt(path, table, "%d", delimiter=",", header=header, comments="")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            path = Path(sys.argv[1])
        else:
            path = Path(folder) / "train.csv"
            write_kaggle_csv(path, 42_000)
        medians = measure(path)
    about = {"device": device_name(torch.device("cpu")), "pandas": pd.__version__}
    write_text(RESULTS / "csv.json", json.dumps({**about, "seconds": medians}, indent=1) + "\n")
    print(f"{'reader':18} {'median':>8}   against scratchae")
    for name, seconds in medians.items():
        print(f"{name:18} {seconds:6.2f} s   {seconds / medians['scratchae']:.2f} x")


if __name__ == "__main__":
    main()
