"""The processor's number formats during training: denormals, TF32 and bfloat16.

Denormals are float32 numbers below 1.2e-38. The weights of dead units and their Adam moments become that
small. On x86, an operation on them takes a hundred times longer. So during training they are treated as
0. The losses stay the same.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from scratchae.errors import ScratchaeError

TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Treat numbers below 1.2e-38 as 0 inside the block, in this thread and in torch's threads.

    >>> smallest = torch.tensor([torch.finfo(torch.float32).tiny])
    >>> with flushing_denormals():
    ...     (smallest / 2).item()
    0.0
    """
    tiny = torch.finfo(torch.float32).tiny
    was_on = bool((torch.tensor([tiny]) / 2 == 0).all())
    flush_denormals(True)
    try:
        yield
    finally:
        flush_denormals(was_on)


def flush_denormals(on: bool) -> None:
    """Turn the flushing of denormals on or off in every thread.

    torch's own function sets it only for the thread that calls it. A new thread copies the setting at
    its start. But torch's threads start with the first large operation, such as the scaling of images,
    and run until the end of the program. So this function asks OpenMP to set it in each of them.
    """
    torch.set_flush_denormal(on)
    runtime = openmp()
    if runtime is not None:
        task = TASK(lambda _: torch.set_flush_denormal(on) and None)
        runtime.GOMP_parallel(task, None, torch.get_num_threads(), 0)


@cache
def openmp() -> ctypes.CDLL | None:
    """Return the OpenMP library that torch has loaded; None if it is not found, as outside of Linux."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    paths = [line.split()[-1] for line in lines if "libgomp" in line or "libiomp5" in line]
    found = ctypes.CDLL(paths[0]) if paths else None
    return found if hasattr(found, "GOMP_parallel") else None


@contextmanager
def float32_products(tf32: bool = False) -> Iterator[None]:
    """Inside the block, multiply float32 matrices on CUDA in float32; if tf32 is True, in TF32.

    TF32 keeps 10 of the 23 binary digits after the point. A product then has a relative error of about
    1e-3 instead of 1e-7, and is several times faster on Ampere and later GPUs. Sums are computed in
    float32.

    >>> with float32_products(tf32=True):
    ...     torch.get_float32_matmul_precision()
    'high'
    >>> torch.get_float32_matmul_precision()
    'highest'
    """
    was_on = torch.backends.cuda.matmul.fp32_precision == "tf32"
    if was_on == tf32:
        yield
        return
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("high" if was_on else "highest")


def check_numbers(device: torch.device, tf32: bool, precision: str) -> None:
    """Raise ScratchaeError if the device does not support the number format.

    >>> check_numbers(torch.device("cpu"), tf32=True, precision="float32")
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: tf32 is a number format of CUDA devices: omit it on cpu
    """
    if device.type == "cuda":
        return
    if tf32:
        raise ScratchaeError(f"tf32 is a number format of CUDA devices: omit it on {device}")
    if precision == "bf16":
        raise ScratchaeError(
            f"bf16 needs a CUDA device: omit it on {device}, where float32 is faster"
        )
