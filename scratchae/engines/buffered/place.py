"""Place: where a batch lies in memory, and in which order.

Vectors (n, C) lie as they are. Images (n, C, H, W) lie in blocks of up to 64, each as (H, n, W, C).
With the channels last, a pixel is a row of a matrix; with the rows of pixels first, what the next
row of a kernel sees is the same memory a few rows further on, which need not be copied again.
"""

from __future__ import annotations

from math import prod

from torch import Tensor

BLOCK = 64  # images: what a convolution gathers of so many stays in a core's second cache


class Place:
    """n samples of that shape, (C,) or (C, H, W), at the beginning of a flat buffer.

    flat: (n·C·H·W,). rows: (m, C), for whom the order of pixels is all one. blocks: of images, each
    (H, up to 64, W, C).

    >>> import torch
    >>> place = Place(torch.zeros(12), 2, (1, 3, 2))
    >>> place.take(torch.arange(12.0).view(2, 1, 3, 2))
    >>> place.flat.tolist()
    [0.0, 1.0, 6.0, 7.0, 2.0, 3.0, 8.0, 9.0, 4.0, 5.0, 10.0, 11.0]
    """

    def __init__(self, flat: Tensor, n: int, shape: tuple[int, ...]) -> None:
        self.n, self.shape = n, shape
        self.flat = flat[: n * prod(shape)]
        self.rows = self.flat.view(-1, shape[0])
        self.blocks: list[Tensor] = []
        if len(shape) == 3:
            C, H, W = shape
            parts = self.flat.split(BLOCK * prod(shape))
            self.blocks = [part.view(H, -1, W, C) for part in parts]

    def take(self, x: Tensor) -> None:
        """Take the numbers of x (n, *shape), which is in torch's order."""
        if not self.blocks:
            self.rows.copy_(x)
        for block, part in zip(self.blocks, x.split(BLOCK), strict=bool(self.blocks)):
            block.permute(1, 3, 0, 2).copy_(part)

    def give(self, x: Tensor) -> None:
        """Write the numbers to x (n, *shape), in torch's order."""
        if not self.blocks:
            x.copy_(self.rows)
        for block, part in zip(self.blocks, x.split(BLOCK), strict=bool(self.blocks)):
            part.copy_(block.permute(1, 3, 0, 2))
