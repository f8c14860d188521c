"""Buffers: the memory of a step, laid out once.

What the backward pass will need has a buffer of its own. A gradient is needed by one neighbour
only, so gradients take turns in one or two buffers; patches of images go through one scratch; and
what is quickly computed again takes turns in a single one.
"""

from __future__ import annotations

from math import prod

from torch import Tensor

from scratchae.engines.buffered.place import Place


class Buffers:
    """Hands out buffers for batches of n samples: the beginnings of those for the largest batch.

    Asked in the same order for a smaller batch, it hands out the same memory again. frugal: whoever asks
    is to compute again what he can, rather than keep it.
    """

    def __init__(self, most: int, example: Tensor, frugal: bool = False) -> None:
        self.most, self.example, self.frugal = most, example, frugal
        self.kept: list[Tensor] = []
        self.turns: list[Tensor] = []
        self.work, self.shared = example.new_empty(0), example.new_empty(0)
        self.start(most)

    def start(self, n: int) -> None:
        """Begin to hand out from the first buffer again, for a batch of n."""
        self.n, self.asked = n, 0

    def own(self, *shape: int) -> Tensor:
        """A buffer of that shape."""
        if self.asked == len(self.kept):
            self.kept.append(self.example.new_empty(shape))
        self.asked += 1
        return self.kept[self.asked - 1]

    def place(self, *shape: int) -> Place:
        """A place for samples of that shape."""
        return Place(self.own(self.most * prod(shape)), self.n, shape)

    def gradient(self, like: Place, other_than: Place) -> Place:
        """A place for what `like` has, in whose memory `other_than` is not."""
        taken = other_than.flat.untyped_storage().data_ptr()
        free = [t for t in self.turns if t.untyped_storage().data_ptr() != taken]
        if not free:
            free = [self.example.new_empty(0)]
            self.turns += free
        count = prod(like.shape) * self.most
        large_enough = [t for t in free if t.numel() >= count]
        chosen = min(large_enough or [max(free, key=Tensor.numel)], key=Tensor.numel)
        grow(chosen, count)
        return Place(chosen, self.n, like.shape)

    def scratch(self, *shape: int) -> Tensor:
        """Memory that everybody may write over at any time."""
        grow(self.work, prod(shape))
        return self.work[: prod(shape)].view(shape)

    def passing(self, *shape: int) -> Place:
        """A place in the one buffer for what is computed again for the backward pass."""
        grow(self.shared, self.most * prod(shape))
        return Place(self.shared, self.n, shape)

    def is_passing(self, place: Place) -> bool:
        return place.flat.untyped_storage().data_ptr() == self.shared.untyped_storage().data_ptr()

    def all(self) -> list[Tensor]:
        """Every buffer."""
        return [*self.kept, *self.turns, self.work, self.shared]

    def bytes(self) -> int:
        """The memory of all buffers."""
        return sum(tensor.untyped_storage().nbytes() for tensor in self.all())


def grow(flat: Tensor, count: int) -> None:
    """At least `count` numbers; views handed out before stay views of the same memory."""
    if flat.numel() < count:
        flat.resize_(count)
