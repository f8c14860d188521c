"""Flatten and Unflatten on kept buffers: a copy, where the memory of an image is in another order."""

from __future__ import annotations

from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node, NoFormError
from scratchae.layers import Layer


class BufferedReshape(Node):
    """y has the numbers of x in torch's order under another shape; dx those of dy."""

    def __init__(self, layer: Layer, x: Tensor, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        shape = layer.forward(x).shape
        if len(shape) not in (2, 4):
            raise NoFormError(f"of {layer!r} that makes {len(shape)} axes")
        self.y = buffers.image(*shape[1:]) if len(shape) == 4 else buffers.batch(*shape[1:])
        layer.forget()

    def link(self, dy: Tensor, buffers: Buffers, wanted: bool) -> Tensor | None:
        self.dy = dy
        self.dx = buffers.gradient(self.x, other_than=dy) if wanted else None
        return self.dx

    def forward(self) -> None:
        copy_numbers(self.x, self.y)

    def backward(self) -> None:
        if self.dx is not None:
            copy_numbers(self.dy, self.dx)


def copy_numbers(source: Tensor, target: Tensor) -> None:
    """The numbers in torch's order, whatever the layouts; one of the two is contiguous."""
    if target.is_contiguous():
        target.view(source.shape).copy_(source)
    else:
        target.copy_(source.view(target.shape))
