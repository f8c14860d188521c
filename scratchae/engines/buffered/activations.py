"""Activations in fixed buffers: y overwrites x if x is free, and dx overwrites dy.

When the backward pass reaches an activation, all layers that read y are done. So the slope
overwrites y.
"""

from __future__ import annotations

import torch

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node
from scratchae.engines.buffered.place import Place
from scratchae.layers import Layer, LeakyReLU


class Activation(Node):
    """Base of the activations: x, y and dy are flat, because every number is treated alike."""

    needs_output = True

    def __init__(self, layer: Layer, x: Place, buffers: Buffers, free: bool) -> None:
        self.layer = layer
        self.y = x if free else buffers.place(*x.shape)
        self.flat_x, self.flat_y = x.flat, self.y.flat

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place:
        self.flat_dy = dy.flat
        return dy


class BufferedReLU(Activation):
    """y = max(x, 0); the slope is 1 if y > 0, else 0."""

    def forward(self) -> None:
        torch.clamp(self.flat_x, min=0, out=self.flat_y)

    def backward(self) -> None:
        self.flat_dy.mul_(self.flat_y.gt_(0))


class BufferedLeakyReLU(Activation):
    """y = x if x > 0, else a·x; the slope is 1 or a.

    If a <= 0, y does not show whether x was positive. So max(x, 0) is kept for the backward pass.
    """

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
    """y = tanh x; the slope is 1 − y²."""

    def forward(self) -> None:
        torch.tanh(self.flat_x, out=self.flat_y)

    def backward(self) -> None:
        self.flat_y.mul_(self.flat_y)
        self.flat_dy.addcmul_(self.flat_dy, self.flat_y, value=-1)


class BufferedSigmoid(Activation):
    """y = 1 / (1 + e⁻ˣ); the slope is y − y²."""

    def forward(self) -> None:
        torch.neg(self.flat_x, out=self.flat_y)
        self.flat_y.exp_().add_(1).reciprocal_()

    def backward(self) -> None:
        self.flat_y.addcmul_(self.flat_y, self.flat_y, value=-1)
        self.flat_dy.mul_(self.flat_y)
