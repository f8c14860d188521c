"""Counting: what a pass computes and how much memory it reads and writes, operator by operator.

A pass is one call, such as the forward pass of a layer. torch reports every operator to a dispatch mode,
so a layer needs no extra code to be counted. Your own layers are counted like the library's.

    multiply-adds   of the matrix products: (n, k) times (k, m) takes n·k·m
    traffic         the least number of bytes that must move: every byte of older memory that is read
                    or written, counted once, and the new memory that remains after the pass.
                    Temporary memory does not count: it could have stayed in a register.

A view moves nothing. An operator that reads some elements of a tensor counts as if it read all
memory from the first of them to the last. Memory that a library kernel allocates internally is
not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

VECTOR_PRODUCTS = {  # unknown to FlopCounterMode, which counts a multiply-add as two operations
    torch.ops.aten.mv: lambda a, b, **_: 2 * a[0] * a[1],
    torch.ops.aten.addmv: lambda y, a, b, **_: 2 * a[0] * a[1],
    torch.ops.aten.dot: lambda a, b, **_: 2 * a[0],
}
Key = TypeVar("Key")  # the name of a pass
OVERWRITE = {"copy_", "zero_", "fill_"}  # in-place operators that do not read the old values


@dataclass(frozen=True)
class Count:
    """The counts of one pass.

    multiply_adds: of the matrix products. operators: the number of operators, without views.
    traffic: the bytes that must move. new: the bytes that are allocated. peak: the largest number
    of these bytes that are allocated at the same time.

    >>> counter, x = Counter(), torch.ones(10, 8)
    >>> y = counter.measure("squares", lambda x: (x * x).sum(), x)
    >>> counter.counts["squares"]  # reads x (320 bytes), writes the sum (4); x * x is temporary
    Count(multiply_adds=0, operators=2, traffic=324, new=324, peak=324)
    """

    multiply_adds: int
    operators: int
    traffic: int
    new: int
    peak: int


class Counter(Generic[Key]):
    """Count several passes. `peak` is the largest number of bytes that they held at the same time.

    >>> counter, weight = Counter(), torch.ones(3, 8)
    >>> y = counter.measure("product", torch.matmul, torch.ones(10, 8), weight.T)
    >>> counter.counts["product"].multiply_adds, counter.alive()
    (240, {'product': 120})
    """

    def __init__(self) -> None:
        self.counts: dict[Key, Count] = {}
        # Of every storage that still exists: the pass that allocated it, and its bytes.
        self.owners: dict[int, tuple[Key, int]] = {}
        self.now = self.peak = 0

    def measure(self, key: Key, call: Callable, *args):
        """Return call(*args), and store its counts as `counts[key]`."""
        watch, before = Watch(self, key), self.now
        with watch, FlopCounterMode(display=False, custom_mapping=VECTOR_PRODUCTS) as products:
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

    def alive(self) -> dict[Key, int]:
        """Return for each pass the bytes that it allocated and that still exist."""
        found: dict[Key, int] = {}
        for key, nbytes in self.owners.values():
            found[key] = found.get(key, 0) + nbytes
        return found

    def freed(self, storage: int) -> None:
        """Forget a storage that no longer exists."""
        self.now -= self.owners.pop(storage)[1]


class Watch(TorchDispatchMode):
    """Observe the operators and the memory of one pass."""

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
        if fresh or written:  # otherwise it is a view, or returns a Python number
            self.operators += 1
            self.read += [span(t) for t in read if self.from_before(t)]
            self.written += [span(t) for t in written if self.from_before(t)]
        for cdata, storage in fresh.items():
            self.allocated(cdata, storage)
        return result

    def from_before(self, x: Tensor) -> bool:
        """Return whether the memory of x existed before this pass."""
        return self.counter.owners.get(x.untyped_storage()._cdata, (None,))[0] != self.key

    def allocated(self, cdata: int, storage: torch.UntypedStorage) -> None:
        """Add a new storage, and ask Python to report when it is freed."""
        counter, nbytes = self.counter, storage.nbytes()
        counter.owners[cdata] = (self.key, nbytes)
        counter.now += nbytes
        counter.peak = max(counter.peak, counter.now)
        self.new, self.highest = self.new + nbytes, max(self.highest, counter.now)
        weakref.finalize(storage, counter.freed, cdata).atexit = False


def operands(func, args: tuple, kwargs: dict) -> tuple[list[Tensor], list[Tensor]]:
    """Return (read, written): the tensors that an operator reads, and those that it changes."""
    name, read, written = func.overloadpacket.__name__, [], []
    # zeros_like and similar operators use only the shape and dtype of their argument.
    reads = not name.startswith("new_") and not name.endswith("_like")
    for i, argument in enumerate(func._schema.arguments):
        value = args[i] if i < len(args) else kwargs.get(argument.name)
        changed = argument.alias_info is not None and argument.alias_info.is_write
        found = [t for t in tensors_in(value) if t.numel()]
        if changed:
            written += found
        if reads and not (changed and (argument.is_out or name in OVERWRITE)):
            read += found
    return read, written


def tensors_in(value: object) -> Iterator[Tensor]:
    """Iterate over the tensors in `value`, also in lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def span(x: Tensor) -> tuple[int, int]:
    """Return the address of the first element of x, and the address after the last."""
    last = sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
    return x.data_ptr(), x.data_ptr() + (last + 1) * x.itemsize


def size(spans: list[tuple[int, int]]) -> int:
    """Return the number of bytes in the union of the spans."""
    covered, end = 0, 0
    for first, behind in sorted(spans):
        covered += max(0, behind - max(first, end))
        end = max(end, behind)
    return covered
