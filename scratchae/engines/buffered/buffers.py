"""Buffers: the memory of a step, laid out once.

What the backward pass will need has a buffer of its own. A gradient is needed by one neighbour
only, so gradients take turns in one or two buffers; patches of images go through one scratch.
Images lie channels last, as (N, H, W, C), and are handed on as views (N, C, H, W).
"""

from __future__ import annotations

from math import prod

from torch import Tensor


class Buffers:
    """Hands out buffers for batches of n images: the beginnings of those for the largest batch.

    Asked in the same order for a smaller batch, it hands out the same memory again.
    """

    def __init__(self, most: int, example: Tensor) -> None:
        self.most, self.example = most, example
        self.kept: list[Tensor] = []
        self.turns: list[Tensor] = []
        self.work = example.new_empty(0)
        self.start(most)

    def start(self, n: int) -> None:
        """Begin to hand out from the first buffer again, for a batch of n."""
        self.n, self.asked = n, 0

    def own(self, *shape: int) -> Tensor:
        """A buffer of that shape; zero at first, and what nobody writes stays zero."""
        if self.asked == len(self.kept):
            self.kept.append(self.example.new_zeros(shape))
        self.asked += 1
        return self.kept[self.asked - 1]

    def batch(self, *shape: int) -> Tensor:
        """A buffer (n, *shape)."""
        return self.own(self.most, *shape)[: self.n]

    def image(self, channels: int, height: int, width: int) -> Tensor:
        """A buffer for images (n, C, H, W), channels last."""
        return self.batch(height, width, channels).permute(0, 3, 1, 2)

    def like(self, x: Tensor) -> Tensor:
        """A buffer of the shape and layout of x (n, ...)."""
        return self.batch(x.numel() // self.n).as_strided(x.shape, x.stride())

    def gradient(self, like: Tensor, other_than: Tensor) -> Tensor:
        """A buffer of the shape and layout of `like` (n, ...) in whose memory `other_than` is not."""
        taken = other_than.untyped_storage().data_ptr()
        free = [t for t in self.turns if t.untyped_storage().data_ptr() != taken]
        if not free:
            free = [self.example.new_empty(0)]
            self.turns += free
        grow(free[0], like.numel() // self.n * self.most)
        return free[0].as_strided(like.shape, like.stride())

    def scratch(self, *shape: int) -> Tensor:
        """Memory that everybody may write over at any time."""
        grow(self.work, prod(shape))
        return self.work[: prod(shape)].view(shape)

    def bytes(self) -> int:
        """The memory of all buffers."""
        return sum(t.untyped_storage().nbytes() for t in (*self.kept, *self.turns, self.work))


def grow(flat: Tensor, count: int) -> None:
    """At least `count` numbers; views handed out before stay views of the same memory."""
    if flat.numel() < count:
        flat.resize_(count)
