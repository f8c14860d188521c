"""Rates: how fast this machine multiplies matrices and copies memory, measured on the spot.

Both are best cases, so that what they allow is a floor: square matrices, and copies in long runs.
A copy is the faster the fewer bytes it moves, as long as they stay in a cache. So copies of
several sizes are timed, and of what moves b bytes it is said that it could go as fast as the
best copy of b bytes or more did.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

SQUARES = {"cpu": (256, 512, 1024), "cuda": (2048, 4096, 8192)}
MOVED = tuple(4**k for k in range(9, 15))  # 256 KiB, which a core's own cache holds, to 256 MiB
SECONDS = 0.03  # for each matrix and each copy, or three times if that takes longer


@dataclass(frozen=True)
class Rates:
    """What a machine can do in a second, in one dtype.

    multiply_adds: a second. copies: (bytes moved, bytes a second), by size; a copy reads and writes,
    so it moves twice what it copies.

    >>> rates = Rates(1e9, ((1000, 8e6), (50_000, 4e6)))
    >>> rates.copy_rate(900), rates.copy_rate(1001), rates.copy_rate(10**9)
    (8000000.0, 4000000.0, 4000000.0)
    >>> rates.floor(3_000_000, 4000)  # seconds: 0.003 to multiply, 0.001 to move
    0.003
    """

    multiply_adds: float
    copies: tuple[tuple[int, float], ...]

    def copy_rate(self, traffic: int) -> float:
        """Bytes a second, where so many bytes are to move."""
        return max((rate for moved, rate in self.copies if moved >= traffic), default=self.slowest)

    @property
    def slowest(self) -> float:
        """Bytes a second of the largest copy."""
        return self.copies[-1][1]

    def floor(self, multiply_adds: int, traffic: int) -> float:
        """The seconds that the slower of the two takes: both could go on at once."""
        return max(multiply_adds / self.multiply_adds, traffic / self.copy_rate(traffic))

    def __str__(self) -> str:
        fastest, (largest, _) = max(rate for _, rate in self.copies), self.copies[-1]
        return (
            f"{self.multiply_adds / 1e9:.3g} G multiply-adds/s in square matrices; copies "
            f"{fastest / 1e9:.3g} GB/s within caches, {self.slowest / 1e9:.3g} GB/s for "
            f"{largest / 1e6:,.0f} MB"
        )


def measure_rates(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Rates:
    """Multiply and copy on this device for less than a second.

    >>> rates = measure_rates()
    >>> rates.multiply_adds > 0 and all(rate > 0 for _, rate in rates.copies)
    True
    """
    device = torch.device(device)
    products = [square(n, device, dtype) for n in SQUARES.get(device.type, SQUARES["cpu"])]
    return Rates(max(products), tuple((moved, copying(moved, device)) for moved in MOVED))


def square(n: int, device: torch.device, dtype: torch.dtype) -> float:
    """Multiply-adds a second of an (n, n) by an (n, n) matrix."""
    a, b, out = (torch.ones(n, n, device=device, dtype=dtype) for _ in range(3))
    return n**3 / best_seconds(lambda: torch.mm(a, b, out=out), device)


def copying(moved: int, device: torch.device) -> float:
    """Bytes a second, read and written ones together."""
    source, target = (torch.ones(moved // 8, device=device) for _ in range(2))  # 4 bytes a number
    return moved / best_seconds(lambda: target.copy_(source), device)


def best_seconds(call: Callable[[], object], device: torch.device) -> float:
    """The shortest of several calls, after one to warm up."""
    call()
    synchronise(device)
    times: list[float] = []
    while len(times) < 3 or sum(times) < SECONDS:
        started = time.perf_counter()
        call()
        synchronise(device)
        times.append(time.perf_counter() - started)
    return min(times)


def synchronise(device: torch.device) -> None:
    """Wait for the device to be done: CUDA's calls return before their work is."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
