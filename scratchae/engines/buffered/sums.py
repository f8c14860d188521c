"""Sums over the rows of a matrix, with every thread reading the rows that it also writes."""

from __future__ import annotations

from math import gcd

import torch
from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers

PARTS = 8  # as many threads can share the work


class RowSum:
    """Σ over the rows of x (m, C), first within parts, then over the parts.

    torch's own sum over rows gives each thread some columns, hence lines of memory that the other
    core has just written and will write next: on two threads, the next elementwise pass then takes
    five times as long.

    >>> x = torch.arange(12.0).view(6, 2)
    >>> RowSum(x, Buffers(6, x)).into(torch.empty(2))
    tensor([30., 36.])
    """

    def __init__(self, x: Tensor, buffers: Buffers) -> None:
        m, C = x.shape
        self.x = x.view(gcd(m, PARTS), -1, C)
        self.parts = buffers.own(PARTS, C)[: len(self.x)]

    def into(self, out: Tensor) -> Tensor:
        """Fill and return out (C,)."""
        torch.sum(self.x, 1, out=self.parts)
        return torch.sum(self.parts, 0, out=out)
