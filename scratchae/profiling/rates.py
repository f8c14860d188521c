"""Rates: how fast this machine multiplies matrices and copies memory. They are measured.

Both are best cases (square matrices, long contiguous copies), so a time computed from them is a lower
bound, the floor. A small copy is faster than a large one, because it stays in a cache. So copies of
several sizes are timed. The rate for b bytes is the fastest of the copies of at least b bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

SQUARES = {"cpu": (256, 512, 1024), "cuda": (2048, 4096, 8192)}
MOVED = tuple(
    4**k for k in range(9, 15)
)  # 256 KiB, which fits into the cache of one core, to 256 MiB
SECONDS = 0.03  # for each matrix and each copy, but at least three calls


@dataclass(frozen=True)
class Rates:
    """The speed of a machine for one dtype.

    multiply_adds: multiply-adds per second. copies: (bytes moved, bytes per second), sorted by
    size. A copy reads and writes, so it moves twice the bytes that it copies.

    >>> rates = Rates(1e9, ((1000, 8e6), (50_000, 4e6)))
    >>> rates.copy_rate(900), rates.copy_rate(1001), rates.copy_rate(10**9)
    (8000000.0, 4000000.0, 4000000.0)
    >>> rates.floor(3_000_000, 4000)  # seconds: 0.003 for the products, 0.001 for the traffic
    0.003
    """

    multiply_adds: float
    copies: tuple[tuple[int, float], ...]

    def copy_rate(self, traffic: int) -> float:
        """Return the bytes per second if `traffic` bytes must move."""
        return max((rate for moved, rate in self.copies if moved >= traffic), default=self.slowest)

    @property
    def slowest(self) -> float:
        """Return the bytes per second of the largest copy."""
        return self.copies[-1][1]

    def floor(self, multiply_adds: int, traffic: int) -> float:
        """Return the larger of the two times, in seconds: both could happen at the same time."""
        return max(multiply_adds / self.multiply_adds, traffic / self.copy_rate(traffic))

    def __str__(self) -> str:
        fastest, (largest, _) = max(rate for _, rate in self.copies), self.copies[-1]
        return (
            f"{self.multiply_adds / 1e9:.3g} G multiply-adds/s in square matrices; copies "
            f"{fastest / 1e9:.3g} GB/s within caches, {self.slowest / 1e9:.3g} GB/s for "
            f"{largest / 1e6:,.0f} MB"
        )


def measure_rates(device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Rates:
    """Measure the rates of a device. This takes less than a second.

    >>> rates = measure_rates()
    >>> rates.multiply_adds > 0 and all(rate > 0 for _, rate in rates.copies)
    True
    """
    device = torch.device(device)
    products = [square(n, device, dtype) for n in SQUARES.get(device.type, SQUARES["cpu"])]
    return Rates(max(products), tuple((moved, copying(moved, device)) for moved in MOVED))


def square(n: int, device: torch.device, dtype: torch.dtype) -> float:
    """Measure the multiply-adds per second of the product of two (n, n) matrices."""
    a, b, out = (torch.ones(n, n, device=device, dtype=dtype) for _ in range(3))
    return n**3 / best_seconds(lambda: torch.mm(a, b, out=out), device)


def copying(moved: int, device: torch.device) -> float:
    """Measure the bytes per second of a copy, reads and writes together."""
    source, target = (
        torch.ones(moved // 8, device=device) for _ in range(2)
    )  # 4 bytes per element
    return moved / best_seconds(lambda: target.copy_(source), device)


def best_seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the shortest time of several calls, after a first call to warm up."""
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
    """Wait until the device is done: CUDA calls return before their work is finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
