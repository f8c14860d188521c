"""Place: where a batch is stored in memory, and in which order.

A batch of vectors (n, C) is stored as it is. A batch of images (n, C, H, W) is cut into blocks of at
most 64 images, and each block is stored in the order (H, n, W, C). This order helps convolutions in
two ways. The channels are the last axis, so each pixel is a row of a matrix. The rows of pixels are
the first axis, so what the next row of a kernel sees is in the same memory, a few rows further on.
It does not have to be copied again (patches.py).
"""

from __future__ import annotations

from math import prod

from torch import Tensor

BLOCK = 64  # images: the patches of one block fit into the second-level cache of a core


class Place:
    """A batch of n samples of one shape, (C,) or (C, H, W), at the start of a flat buffer.

    It can be read and written through three views:

    flat: (n·C·H·W,), all numbers.
    rows: (m, C), one row for each vector or pixel; for operations that treat all pixels alike.
    blocks: the blocks of images, each (H, up to 64, W, C); an empty list for vectors.

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
        """Copy x (n, *shape), which is in torch's order, to this place."""
        if not self.blocks:  # a batch of vectors
            self.rows.copy_(x)
        for block, part in zip(self.blocks, x.split(BLOCK), strict=bool(self.blocks)):
            block.permute(1, 3, 0, 2).copy_(part)

    def give(self, x: Tensor) -> None:
        """Copy the batch from this place to x (n, *shape), in torch's order."""
        if not self.blocks:  # a batch of vectors
            x.copy_(self.rows)
        for block, part in zip(self.blocks, x.split(BLOCK), strict=bool(self.blocks)):
            part.copy_(block.permute(1, 3, 0, 2))
