"""Linear in fixed buffers: the formulas of scratchae.layers.linear, with a place for each result."""

from __future__ import annotations

import torch

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node, NoFormError
from scratchae.engines.buffered.place import Place
from scratchae.layers import Linear


class BufferedLinear(Node):
    """Linear: x (n, I) -> y (n, O)."""

    layer: Linear

    def __init__(self, layer: Linear, x: Place, buffers: Buffers, free: bool) -> None:
        if x.blocks:
            raise NoFormError(f"{layer!r} on images")
        self.layer, self.x = layer, x
        self.y = buffers.place(layer.out_features)
        self.weight_t = layer.weight.T

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place | None:
        self.dy, self.dy_t = dy.rows, dy.rows.T
        self.dx = buffers.gradient(self.x, other_than=dy) if wanted else None
        return self.dx

    def forward(self) -> None:
        if self.layer.bias is None:
            torch.mm(self.x.rows, self.weight_t, out=self.y.rows)
        else:
            torch.addmm(self.layer.bias, self.x.rows, self.weight_t, out=self.y.rows)

    def backward(self) -> None:
        torch.mm(self.dy_t, self.x.rows, out=self.layer.weight.grad)
        if self.layer.bias is not None:
            torch.sum(self.dy, 0, out=self.layer.bias.grad)
        if self.dx is not None:
            torch.mm(self.dy, self.layer.weight, out=self.dx.rows)
