"""Denormals: numbers below 1.2e-38, which count as 0 while training.

Weights of dead units and their Adam moments shrink into that range, where each operation costs a
hundred times more on x86. The losses stay the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Numbers below 1.2e-38 count as 0 inside, in this thread and in those that torch computes with.

    >>> smallest = torch.tensor([torch.finfo(torch.float32).tiny])
    >>> with flushing_denormals():
    ...     (smallest / 2).item()
    0.0
    """
    tiny = torch.finfo(torch.float32).tiny
    was_on = (torch.tensor([tiny]) / 2 == 0).item()
    flush_denormals(True)
    try:
        yield
    finally:
        flush_denormals(was_on)


def flush_denormals(on: bool) -> None:
    """Turn the processor's switch in every thread: torch's own function reaches the calling one only.

    A thread copies the switch when it starts, and torch's threads start with the first large
    operation, such as the scaling of images, and stay. So OpenMP is asked to run the function in all.
    """
    torch.set_flush_denormal(on)
    runtime = openmp()
    if runtime is not None:
        task = TASK(lambda _: torch.set_flush_denormal(on) and None)
        runtime.GOMP_parallel(task, None, torch.get_num_threads(), 0)


@cache
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that torch has loaded; None where it cannot be told, as outside of Linux."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    paths = [line.split()[-1] for line in lines if "libgomp" in line or "libiomp5" in line]
    found = ctypes.CDLL(paths[0]) if paths else None
    return found if hasattr(found, "GOMP_parallel") else None
