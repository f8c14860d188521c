"""Activations on kept buffers: y in x's place where that is free, dx in dy's.

When backward comes here every reader of y is done, so y makes room for the slope.
"""

from __future__ import annotations

import torch

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node
from scratchae.engines.buffered.place import Place
from scratchae.layers import Layer, LeakyReLU


class Activation(Node):
    """What the activations share: x, y and dy as (n·numbers,)."""

    needs_output = True

    def __init__(self, layer: Layer, x: Place, buffers: Buffers, free: bool) -> None:
        self.layer = layer
        self.y = x if free else buffers.place(*x.shape)
        self.flat_x, self.flat_y = x.flat, self.y.flat

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place:
        self.flat_dy = dy.flat
        return dy


class BufferedReLU(Activation):
    """max(x, 0); the slope is 1 where y > 0, else 0."""

    def forward(self) -> None:
        torch.clamp(self.flat_x, min=0, out=self.flat_y)

    def backward(self) -> None:
        self.flat_dy.mul_(self.flat_y.gt_(0))


class BufferedLeakyReLU(Activation):
    """x where x > 0, else a·x. The output does not tell the side if a <= 0: max(x, 0) does."""

    layer: LeakyReLU
    needs_output = False

    def __init__(self, layer: LeakyReLU, x: Place, buffers: Buffers, free: bool) -> None:
        super().__init__(layer, x, buffers, free)
        self.positive = buffers.place(*x.shape).flat

    def forward(self) -> None:
        torch.clamp(self.flat_x, min=0, out=self.positive)
        torch.clamp(self.flat_x, max=0, out=self.flat_y)
        self.flat_y.mul_(self.layer.negative_slope).add_(self.positive)

    def backward(self) -> None:
        a = self.layer.negative_slope
        self.flat_dy.mul_(self.positive.gt_(0).mul_(1 - a).add_(a))


class BufferedTanh(Activation):
    """tanh x; the slope is 1 − y²."""

    def forward(self) -> None:
        torch.tanh(self.flat_x, out=self.flat_y)

    def backward(self) -> None:
        self.flat_y.mul_(self.flat_y)
        self.flat_dy.addcmul_(self.flat_dy, self.flat_y, value=-1)


class BufferedSigmoid(Activation):
    """1 / (1 + e⁻ˣ); the slope is y − y²."""

    def forward(self) -> None:
        torch.neg(self.flat_x, out=self.flat_y)
        self.flat_y.exp_().add_(1).reciprocal_()

    def backward(self) -> None:
        self.flat_y.addcmul_(self.flat_y, self.flat_y, value=-1)
        self.flat_dy.mul_(self.flat_y)
