"""Activations on kept buffers: y in x's place where that is free, dx in dy's.

When backward comes here every reader of y is done, so y makes room for the slope.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node
from scratchae.layers import Layer


class Activation(Node):
    """What the activations share."""

    needs_output = True

    def __init__(self, layer: Layer, x: Tensor, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        self.y = x if free else buffers.like(x)

    def link(self, dy: Tensor, buffers: Buffers, wanted: bool) -> Tensor:
        self.dy = dy
        return dy


class BufferedReLU(Activation):
    """max(x, 0); the slope is sign(y)."""

    def forward(self) -> None:
        torch.clamp(self.x, min=0, out=self.y)

    def backward(self) -> None:
        self.dy.mul_(self.y.sign_())


class BufferedLeakyReLU(Activation):
    """x where x > 0, else a·x. The output does not tell the side if a <= 0: max(x, 0) does."""

    needs_output = False

    def __init__(self, layer: Layer, x: Tensor, buffers: Buffers, free: bool) -> None:
        super().__init__(layer, x, buffers, free)
        self.positive = buffers.like(x)

    def forward(self) -> None:
        torch.clamp(self.x, min=0, out=self.positive)
        torch.clamp(self.x, max=0, out=self.y)
        self.y.mul_(self.layer.negative_slope).add_(self.positive)

    def backward(self) -> None:
        a = self.layer.negative_slope
        self.dy.mul_(self.positive.sign_().mul_(1 - a).add_(a))


class BufferedTanh(Activation):
    """tanh x; the slope is 1 − y²."""

    def forward(self) -> None:
        torch.tanh(self.x, out=self.y)

    def backward(self) -> None:
        self.y.mul_(self.y)
        self.dy.addcmul_(self.dy, self.y, value=-1)


class BufferedSigmoid(Activation):
    """1 / (1 + e⁻ˣ); the slope is y − y²."""

    def forward(self) -> None:
        torch.neg(self.x, out=self.y)
        self.y.exp_().add_(1).reciprocal_()

    def backward(self) -> None:
        self.y.addcmul_(self.y, self.y, value=-1)
        self.dy.mul_(self.y)
