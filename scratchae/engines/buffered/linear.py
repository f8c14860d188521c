"""Linear on kept buffers: the formulas of scratchae.layers.linear, each result in its place."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node, NoFormError
from scratchae.layers import Linear


class BufferedLinear(Node):
    """x (n, I) -> y (n, O)."""

    def __init__(self, layer: Linear, x: Tensor, buffers: Buffers, free: bool) -> None:
        if x.ndim != 2:
            raise NoFormError(f"of {layer!r} for an input of {x.ndim} axes")
        self.layer, self.x = layer, x
        self.y = buffers.batch(layer.out_features)
        self.weight_t = layer.weight.T

    def link(self, dy: Tensor, buffers: Buffers, wanted: bool) -> Tensor | None:
        self.dy, self.dy_t = dy, dy.T
        self.dx = buffers.gradient(self.x, other_than=dy) if wanted else None
        return self.dx

    def forward(self) -> None:
        if self.layer.bias is None:
            torch.mm(self.x, self.weight_t, out=self.y)
        else:
            torch.addmm(self.layer.bias, self.x, self.weight_t, out=self.y)

    def backward(self) -> None:
        torch.mm(self.dy_t, self.x, out=self.layer.weight.grad)
        if self.layer.bias is not None:
            torch.sum(self.dy, 0, out=self.layer.bias.grad)
        if self.dx is not None:
            torch.mm(self.dy, self.layer.weight, out=self.dx)
