"""Flatten and Unflatten in fixed buffers: a copy, because images have another order (place.py)."""

from __future__ import annotations

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node, NoFormError
from scratchae.engines.buffered.place import Place
from scratchae.layers import Layer


class BufferedReshape(Node):
    """Flatten or Unflatten: copy x to y and dy to dx, with the numbers in torch's order."""

    def __init__(self, layer: Layer, x: Place, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        shape = layer.forward(x.flat.new_empty(x.n, *x.shape)).shape[1:]
        layer.forget()
        if len(shape) not in (1, 3) or (len(shape) == 3 and x.blocks):
            raise NoFormError(f"{layer!r} from {x.shape} to {tuple(shape)}")
        self.y = buffers.place(*shape)

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place | None:
        self.dy = dy
        self.dx = buffers.gradient(self.x, other_than=dy) if wanted else None
        return self.dx

    def forward(self) -> None:
        carry(self.x, self.y)

    def backward(self) -> None:
        if self.dx is not None:
            carry(self.dy, self.dx)


def carry(source: Place, target: Place) -> None:
    """Copy the numbers in torch's order. At least one of the two places holds vectors."""
    if target.blocks:
        target.take(source.rows.view(-1, *target.shape))
    else:
        source.give(target.rows.view(-1, *source.shape))
