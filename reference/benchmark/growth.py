"""Growth: how time and memory grow with the batch, the depth and the width."""

from __future__ import annotations

from torch import device as torch_device

from reference.benchmark.cases import Case
from reference.benchmark.contenders import REFERENCE, contenders
from reference.benchmark.memory import measure_memory
from reference.benchmark.steps import Effort, measure

AXES = {  # the values along each axis; FIXED says what stays constant
    "batch": (16, 64, 256, 1024, 4096),
    "depth": (2, 4, 8, 16, 32),
    "width": (32, 64, 128, 256, 512, 1024),
}
FIXED = {"batch": "fc", "depth": "width 128, batch 64", "width": "4 hidden layers, batch 64"}


def measure_growth(
    threads: int, device: str, engine: str, effort: Effort, points: int, told=print
) -> list[dict]:
    """Return one row per point: its axis and value, and the ms and bytes of every contender.

    engine: our engine that is compared with eager and torch.nn. points: at most so many per axis.
    """
    names = dict.fromkeys(["scratchae eager", f"scratchae {engine}", REFERENCE])
    known = contenders(torch_device(device))
    factories = {name: known[name] for name in names}
    points_of = {axis: values[:points] for axis, values in AXES.items()}
    places = [(axis, value) for axis, values in points_of.items() for value in values]
    cases = [case_at(axis, value, threads, device) for axis, value in places]
    steps = measure(cases, factories, effort, told)
    memory = measure_memory(cases, factories, told)
    return [
        {"axis": axis, "value": value, "threads": threads, "ms": step["ms"], "bytes": kept["bytes"]}
        for (axis, value), step, kept in zip(places, steps, memory, strict=True)
    ]


def case_at(axis: str, value: int, threads: int, device: str) -> Case:
    """Return the case at a point of an axis.

    >>> case_at("depth", 8, 1, "cpu").model, case_at("batch", 16, 1, "cpu").batch_size
    ('stack,depth=8', 16)
    """
    if axis == "batch":
        return Case("fc", value, threads, device)
    return Case(f"stack,{axis}={value}", 64, threads, device)
