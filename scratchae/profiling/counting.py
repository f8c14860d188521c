"""Counting: what a pass computes, and which memory it touches, seen operator by operator.

torch tells a dispatch mode of every operator that reaches a tensor, so no layer has to say
anything about itself, and a layer of your own is counted like ours.

    multiply-adds   of the matrix products: (n, k) times (k, m) takes n·k·m
    traffic         bytes that have to move at least once: of the memory that was there before, every
                    byte that is read and every byte that is written, and the new memory that is left
                    behind. A temporary costs nothing here: it could have stayed in a register.

A view moves nothing. An operator that picks some numbers out of a tensor counts as if it read all
that lies between the first and the last of them. What a library kernel allocates inside itself is
not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

FROM_VECTORS = {  # what FlopCounterMode does not know; a multiply-add is two of its operations
    torch.ops.aten.mv: lambda a, b, **_: 2 * a[0] * a[1],
    torch.ops.aten.addmv: lambda y, a, b, **_: 2 * a[0] * a[1],
    torch.ops.aten.dot: lambda a, b, **_: 2 * a[0],
}
OVERWRITE = {"copy_", "zero_", "fill_"}  # in-place operators that do not look at what was there


@dataclass(frozen=True)
class Count:
    """What one pass does; all but the first two in bytes.

    operators: without views. new: all that it allocates. peak: the most of it that is there at once.

    >>> counter, x = Counter(), torch.ones(10, 8)
    >>> y = counter.measure("squares", lambda x: (x * x).sum(), x)
    >>> counter.counts["squares"]  # reads x, leaves one number; the product itself is new
    Count(multiply_adds=0, operators=2, traffic=324, new=324, peak=324)
    """

    multiply_adds: int
    operators: int
    traffic: int
    new: int
    peak: int


class Counter:
    """Counts pass after pass; `peak` is the most bytes that all of them held at once.

    >>> counter, weight = Counter(), torch.ones(3, 8)
    >>> y = counter.measure("product", torch.matmul, torch.ones(10, 8), weight.T)
    >>> counter.counts["product"].multiply_adds, counter.alive()
    (240, {'product': 120})
    """

    def __init__(self) -> None:
        self.counts: dict[object, Count] = {}
        self.owners: dict[
            int, tuple[object, int]
        ] = {}  # live storage -> the pass that made it, bytes
        self.now = self.peak = 0

    def measure(self, key: object, call: Callable, *args):
        """call(*args), counted under `key`."""
        watch, before = Watch(self, key), self.now
        with watch, FlopCounterMode(display=False, custom_mapping=FROM_VECTORS) as products:
            result = call(*args)
        traffic = size(watch.read) + size(watch.written) + self.alive().get(key, 0)
        self.counts[key] = Count(
            products.get_total_flops() // 2,
            watch.operators,
            traffic,
            watch.new,
            watch.highest - before,
        )
        return result

    def alive(self) -> dict[object, int]:
        """The bytes that each pass allocated and that are still there."""
        found: dict[object, int] = {}
        for key, nbytes in self.owners.values():
            found[key] = found.get(key, 0) + nbytes
        return found

    def freed(self, storage: int) -> None:
        self.now -= self.owners.pop(storage)[1]


class Watch(TorchDispatchMode):
    """Follows the memory of one pass."""

    def __init__(self, counter: Counter, key: object) -> None:
        super().__init__()
        self.counter, self.key = counter, key
        self.operators, self.new, self.highest = 0, 0, counter.now
        self.read: list[tuple[int, int]] = []
        self.written: list[tuple[int, int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        read, written = operands(func, args, kwargs)
        given = {t.untyped_storage()._cdata for t in (*read, *written)}
        result = func(*args, **kwargs)
        storages = {t.untyped_storage()._cdata: t.untyped_storage() for t in tensors_in(result)}
        fresh = {c: s for c, s in storages.items() if c not in given | self.counter.owners.keys()}
        if fresh or written:  # else it is a view, or a number for Python
            self.operators += 1
            self.read += [span(t) for t in read if self.from_before(t)]
            self.written += [span(t) for t in written if self.from_before(t)]
        for cdata, storage in fresh.items():
            self.allocated(cdata, storage)
        return result

    def from_before(self, x: Tensor) -> bool:
        """Whether x lies in memory that was there before this pass."""
        return self.counter.owners.get(x.untyped_storage()._cdata, (None,))[0] != self.key

    def allocated(self, cdata: int, storage: torch.UntypedStorage) -> None:
        counter, nbytes = self.counter, storage.nbytes()
        counter.owners[cdata] = (self.key, nbytes)
        counter.now += nbytes
        counter.peak = max(counter.peak, counter.now)
        self.new, self.highest = self.new + nbytes, max(self.highest, counter.now)
        weakref.finalize(storage, counter.freed, cdata).atexit = False


def operands(func, args: tuple, kwargs: dict) -> tuple[list[Tensor], list[Tensor]]:
    """(read, written): the tensors that an operator looks at, and those that it changes."""
    name, read, written = func.overloadpacket.__name__, [], []
    looks = not name.startswith("new_") and not name.endswith("_like")  # only at shape and dtype
    for i, argument in enumerate(func._schema.arguments):
        value = args[i] if i < len(args) else kwargs.get(argument.name)
        changed = argument.alias_info is not None and argument.alias_info.is_write
        found = [t for t in tensors_in(value) if t.numel()]
        if changed:
            written += found
        if looks and not (changed and (argument.is_out or name in OVERWRITE)):
            read += found
    return read, written


def tensors_in(value: object) -> Iterator[Tensor]:
    """The tensors among arguments or results, those in lists too."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def span(x: Tensor) -> tuple[int, int]:
    """The addresses from the first number of x up to behind the last."""
    last = sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
    return x.data_ptr(), x.data_ptr() + (last + 1) * x.itemsize


def size(spans: list[tuple[int, int]]) -> int:
    """The bytes that spans cover together: twice the same memory counts once."""
    covered, end = 0, 0
    for first, behind in sorted(spans):
        covered += max(0, behind - max(first, end))
        end = max(end, behind)
    return covered
