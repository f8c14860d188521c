"""Describe a layer by the operators of its forward pass, if network.js does not know it by name.

The forward pass runs once on one sample, and every operator is recorded. The page runs the same
operators (operators.js). Slot 0 contains the input. Each step fills the next slot, in row-major order:

    constant    the weights of the layer, or a number in its formula
    view        the elements of a slot by shape, strides and offset: reshape, permute, expand, slice
    map         an elementwise operator on one, two or three slots of the same size
    rows        the sum, mean, maximum or minimum of each row of `length` elements
    matmul      (B, N, K) times (B, K, M)
    gather      the elements of a slot by their indices
    cat         slots side by side: `lengths` elements of each of them in turn
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from scratchae.errors import ScratchaeError
from scratchae.explorer.quantise import pack
from scratchae.layers import Layer

COPIES = {"clone", "detach", "alias", "_to_copy"}
MAPS = {
    *("neg", "abs", "exp", "log", "log1p", "sqrt", "rsqrt", "reciprocal", "sign"),
    *("tanh", "sigmoid", "erf"),
    *("add", "sub", "mul", "div", "pow", "maximum", "minimum", "gt", "ge", "lt", "le", "where"),
}
FILLED = {"new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "full_like"}
ROWS = {"sum", "mean", "amax", "amin"}


def operators_of(layer: Layer, x: Tensor, name: str) -> dict:
    """Return {"steps": the operators of the layer's forward pass for x (1, ...), "result": a slot}.

    Raises ScratchaeError if the forward pass uses an operator that the page cannot run.

    >>> from scratchae.layers import Tanh
    >>> operators_of(Tanh(), torch.zeros(1, 3), "encoder.0")
    {'steps': [{'op': 'map', 'name': 'tanh', 'of': [0], 'size': 3}], 'result': 1}
    """
    recorder = Recorder(x)
    try:
        with torch.no_grad(), recorder:
            y = layer.forward(x)
        return {"steps": recorder.steps, "result": recorder.slot(y)}
    except UnknownOperatorError as error:
        raise ScratchaeError(
            f"the page cannot run {name}, {layer!r}: it can run arithmetic, exponentials, sums, matrix "
            f"products and changes of shape, but not the operator {error}"
        ) from None


class UnknownOperatorError(Exception):
    """The page cannot run an operator. The message is its name."""


class Recorder(TorchDispatchMode):
    """Record the operators that run while it is active."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.steps: list[dict] = []
        self.slots = {id(x): 0}
        self.kept: list[Tensor] = [x]  # kept alive, so that no other tensor gets the same id

    def check_own_memory(self, name: str, y: Tensor) -> None:
        """Raise UnknownOperatorError if an operator overwrites memory that another tensor shares."""
        place = y.untyped_storage().data_ptr()
        same = {id(t) for t in self.kept if t.untyped_storage().data_ptr() == place}
        if same != {id(y)}:
            raise UnknownOperatorError(name)

    def note(self, name: str, func: Any, args: tuple, kwargs: dict, y: Tensor) -> int:
        """Add the steps of one operator, and return the slot of its output y."""
        if name in COPIES:
            return self.slot(args[0])
        if func.is_view or name == "_unsafe_view":
            return self.view(func, args, kwargs)
        if name in ROWS and "dtype" not in kwargs:
            return self.rows(name, args[0], *args[1:2])
        if name in ("mm", "bmm"):
            return self.matmul(args[0], args[1])
        if name in ("addmm", "baddbmm") and not kwargs:
            return self.map("add", (args[0], Slot(self.matmul(args[1], args[2]))), y)
        if name == "addcmul":
            product = Slot(self.map("mul", args[1:3], y))
            scaled = Slot(self.map("mul", (product, kwargs.get("value", 1)), y))
            return self.map("add", (args[0], scaled), y)
        if name == "clamp":
            slot, (low, high) = self.slot(args[0]), (*args[1:], None)[:2]
            for bound, way in ((low, "maximum"), (high, "minimum")):
                slot = slot if bound is None else self.map(way, (Slot(slot), bound), y)
            return slot
        if name == "index_select":
            seen = func(indices(args[0].shape), *args[1:], **kwargs).int()
            slot = self.slot(args[0])
            return self.add(op="gather", of=[slot], index=pack(seen), size=seen.numel())
        if name == "cat":
            return self.cat(args[0], y, *args[1:], **kwargs)
        if name == "square":
            return self.map("mul", (args[0], args[0]), y)
        if name == "rsub" and not kwargs:
            return self.map("sub", (args[1], args[0]), y)
        if name in ("add", "sub") and "alpha" in kwargs:
            args = (args[0], Slot(self.map("mul", (args[1], kwargs["alpha"]), y)))
        if name in MAPS and not kwargs.keys() - {"alpha"}:
            return self.map(name, args, y)
        raise UnknownOperatorError(name)

    # ------------------------------------------------------------------------------- the steps
    def add(self, **step: object) -> int:
        self.steps.append(step)
        return len(self.steps)  # slot 0 is the input

    def slot(self, value: Tensor | float | Slot) -> int:
        """Return the slot of a value. A constant gets a new slot."""
        if isinstance(value, Slot):
            return int(value)
        if isinstance(value, Tensor) and id(value) in self.slots:
            return self.slots[id(value)]
        numbers = torch.as_tensor(value, dtype=torch.float32).contiguous()
        slot = self.add(op="constant", values=pack(numbers))
        if isinstance(value, Tensor):
            self.slots[id(value)] = slot
            self.kept.append(value)
        return slot

    def view(self, func: Any, args: tuple, kwargs: dict) -> int:
        """Apply the view operator to the indices 0, 1, 2, ..., to find out which elements it reads."""
        if func.overloadpacket.__name__ == "as_strided":  # depends on the input's strides
            raise UnknownOperatorError("as_strided")
        seen = func(indices(args[0].shape), *args[1:], **kwargs)
        return self.strided(self.slot(args[0]), seen)

    def strided(self, slot: int, seen: Tensor) -> int:
        """Add a view that reads a slot as `seen` reads the indices. Row-major order needs no step."""
        if torch.equal(seen.flatten(), indices((len(seen.untyped_storage()) // 8,))):
            return slot
        place = {"shape": list(seen.shape), "strides": list(seen.stride())}
        return self.add(
            op="view", of=[slot], size=seen.numel(), offset=seen.storage_offset(), **place
        )

    def map(self, name: str, operands: Sequence[Tensor | float | Slot], y: Tensor) -> int:
        of = []
        for operand in operands:
            slot = self.slot(operand)
            if not isinstance(operand, Slot):
                shape = operand.shape if isinstance(operand, Tensor) else ()
                slot = self.strided(slot, indices(shape).expand(y.shape))
            of.append(slot)
        return self.add(op="map", name=name, of=of, size=y.numel())

    def rows(self, name: str, x: Tensor, axes: Sequence[int] | int | None = None) -> int:
        axes = [axes] if isinstance(axes, int) else axes or range(x.ndim)
        last = sorted(axis % max(x.ndim, 1) for axis in axes)
        first = [axis for axis in range(x.ndim) if axis not in last]
        slot = self.strided(self.slot(x), indices(x.shape).permute(*first, *last))
        length = torch.Size(x.shape[axis] for axis in last).numel()
        return self.add(op="rows", name=name, of=[slot], length=length, size=x.numel() // length)

    def cat(self, parts: Sequence[Tensor], y: Tensor, dim: int = 0) -> int:
        dim %= y.ndim
        parts = [part for part in parts if part.numel()]
        of = [self.strided(self.slot(part), indices(part.shape)) for part in parts]
        lengths = [part.shape[dim:].numel() for part in parts]
        return self.add(op="cat", of=of, lengths=lengths, size=y.numel())

    def matmul(self, a: Tensor, b: Tensor) -> int:
        N, K, M = *a.shape[-2:], b.shape[-1]
        size = a.numel() // K * M
        return self.add(op="matmul", of=[self.slot(a), self.slot(b)], N=N, K=K, M=M, size=size)


def note_operator(
    self: Recorder, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
) -> Any:
    given = {id(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
    y = func(*args, **(kwargs or {}))
    name = func.overloadpacket.__name__
    made_of_input = given & self.slots.keys() and name not in FILLED
    if made_of_input:  # otherwise y is a constant
        if func._schema.is_mutable:
            self.check_own_memory(name, y)
            name = name.removesuffix("_")
        if not isinstance(y, Tensor):
            raise UnknownOperatorError(name)
        self.slots[id(y)] = self.note(name, func, args, kwargs or {}, y)
        self.kept.append(y)
    return y


# Set after the class: torch would wrap a method so that its first call imports the compiler.
Recorder.__torch_dispatch__ = note_operator  # type: ignore[method-assign, assignment]


class Slot(int):
    """A slot whose elements already have the shape of the output."""


def indices(shape: Sequence[int]) -> Tensor:
    """Return the integers 0, 1, 2, ... in this shape.

    >>> indices((2, 2)).tolist()
    [[0, 1], [2, 3]]
    """
    return torch.arange(torch.Size(shape).numel()).view(tuple(shape))
