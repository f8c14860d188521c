"""Buffers: the memory of a step, allocated once and used by every step.

There are four kinds of memory:

    own        one buffer for each tensor that the backward pass needs
    gradient   one or two buffers that all gradients use in turn, because a layer's dx is needed
               only until the layer before it has computed its own
    scratch    one buffer for short intermediate results, such as patches; every node overwrites it
    passing    one buffer for outputs that are computed again before the backward pass needs them
"""

from __future__ import annotations

from math import prod

from torch import Tensor

from scratchae.engines.buffered.place import Place


class Buffers:
    """Memory for batches of at most `most` samples.

    The plans for all batch sizes share this memory: each plan asks for its buffers in the same order,
    and gets the first part of each buffer. example: a tensor with the dtype and the device of the
    buffers. frugal: True if nodes should compute results again instead of keeping them.
    """

    def __init__(self, most: int, example: Tensor, frugal: bool = False) -> None:
        self.most, self.example, self.frugal = most, example, frugal
        self.kept: list[Tensor] = []
        self.turns: list[Tensor] = []
        self.work, self.shared = example.new_empty(0), example.new_empty(0)
        self.start(most)

    def start(self, n: int) -> None:
        """Start again at the first buffer, for the plan of a batch of n samples."""
        self.n, self.asked = n, 0

    def own(self, *shape: int) -> Tensor:
        """Return a buffer that only the caller uses. Its shape must not depend on the batch size."""
        if self.asked == len(self.kept):
            self.kept.append(self.example.new_empty(shape))
        self.asked += 1
        return self.kept[self.asked - 1]

    def place(self, *shape: int) -> Place:
        """Return a place that only the caller uses, for samples of this shape."""
        return Place(self.own(self.most * prod(shape)), self.n, shape)

    def gradient(self, like: Place, other_than: Place) -> Place:
        """Return a place for a gradient of the shape of `like`, in other memory than `other_than`."""
        taken = other_than.flat.untyped_storage().data_ptr()
        free = [t for t in self.turns if t.untyped_storage().data_ptr() != taken]
        if not free:
            free = [self.example.new_empty(0)]
            self.turns += free
        # Choose the smallest buffer that is large enough, or else make the largest one larger.
        count = prod(like.shape) * self.most
        large_enough = [t for t in free if t.numel() >= count]
        chosen = min(large_enough or [max(free, key=Tensor.numel)], key=Tensor.numel)
        grow(chosen, count)
        return Place(chosen, self.n, like.shape)

    def scratch(self, *shape: int) -> Tensor:
        """Return memory of this shape that every node may overwrite at any time."""
        grow(self.work, prod(shape))
        return self.work[: prod(shape)].view(shape)

    def passing(self, *shape: int) -> Place:
        """Return a place in the one buffer for outputs that are computed again."""
        grow(self.shared, self.most * prod(shape))
        return Place(self.shared, self.n, shape)

    def is_passing(self, place: Place) -> bool:
        """Return whether a place is in the buffer that `passing` uses."""
        return place.flat.untyped_storage().data_ptr() == self.shared.untyped_storage().data_ptr()

    def all(self) -> list[Tensor]:
        """Return every buffer."""
        return [*self.kept, *self.turns, self.work, self.shared]

    def bytes(self) -> int:
        """Return the size of all buffers in bytes."""
        return sum(tensor.untyped_storage().nbytes() for tensor in self.all())


def grow(flat: Tensor, count: int) -> None:
    """Make `flat` hold at least `count` numbers. Older views of it stay views of its memory."""
    if flat.numel() < count:
        flat.resize_(count)
