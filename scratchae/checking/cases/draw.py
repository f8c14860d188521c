"""Draw: the random numbers of one case, in the sizes and the memory that its corner asks for."""

from __future__ import annotations

import random

import torch
from torch import Tensor

STRIDED, FLOAT32 = "strided inputs", "float32"


class Draw:
    """Random numbers of one case: sizes from `random`, tensors from a torch.Generator."""

    def __init__(self, corner: str, seed: int) -> None:
        self.corner = corner
        self.pick = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def size(self) -> int:
        return self.pick.choice([3, 5, 7])

    def batch(self) -> int:
        return 1 if self.corner == "one sample" else self.pick.choice([2, 4, 6])

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers; strided or float32 where the corner asks for it."""
        if self.corner == STRIDED:
            twice = [2 * n + 1 for n in shape]
            wide = torch.randn(twice, generator=self.generator, dtype=torch.float64)
            return wide[tuple(slice(1, None, 2) for _ in shape)]
        numbers = torch.randn(shape, generator=self.generator, dtype=torch.float64)
        return numbers.float() if self.corner == FLOAT32 else numbers

    def positive(self, *shape: int) -> Tensor:
        return self.normal(*shape).abs() + 0.1
