"""BatchNorm on kept buffers: the formulas of scratchae.layers.batchnorm in as few passes as they take.

Of x only x − μ is kept, in x's place where that is free. With s = √(σ² + ε) and sums over the m
values of a channel,

    y  = (w / s) (x − μ) + b
    dw = Σ dy (x − μ) / s     db = Σ dy
    dx = (w / s) dy − (w dw / (m s²)) (x − μ) − w db / (m s)

so that all else is arithmetic on (C,).
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node, rows
from scratchae.layers.batchnorm import BatchNorm


class BufferedBatchNorm(Node):
    """x (n, C) or (n, C, H, W), seen as rows (m, C)."""

    def __init__(self, layer: BatchNorm, x: Tensor, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        if x.numel() // layer.num_features < 2:
            layer.forward(x)  # says what is wrong
        self.y = buffers.like(x)
        self.centred = x if free else buffers.like(x)
        self.rows, self.y_rows, self.centred_rows = map(rows, (x, self.y, self.centred))  # (m, C)
        C, self.m = layer.num_features, len(self.rows)
        self.products = buffers.own(C, C)
        self.squares = self.products.diagonal()  # (C,)
        small = [buffers.own(C) for _ in range(7)]
        self.mean, self.var, self.inverse, self.scale, self.dweight, self.dbias, self.work = small

    def forward(self) -> None:
        layer = self.layer
        torch.mean(self.rows, 0, out=self.mean)
        torch.sub(self.rows, self.mean, out=self.centred_rows)
        torch.mm(self.centred_rows.T, self.centred_rows, out=self.products)
        torch.div(self.squares, self.m, out=self.var)
        torch.add(self.var, layer.eps, out=self.inverse).rsqrt_()  # 1 / s
        if layer.weight is None:
            self.scale.copy_(self.inverse)
            torch.mul(self.centred_rows, self.scale, out=self.y_rows)
        else:
            torch.mul(layer.weight, self.inverse, out=self.scale)  # w / s
            torch.addcmul(layer.bias, self.centred_rows, self.scale, out=self.y_rows)
        if layer.running_mean is not None:
            self.track()

    def track(self) -> None:
        """Move the running statistics; the variance kept is the unbiased one."""
        layer = self.layer
        layer.num_batches_tracked += 1
        momentum = layer.momentum
        if momentum is None:
            momentum = 1 / int(layer.num_batches_tracked)
        layer.running_mean.lerp_(self.mean, momentum)
        layer.running_var.lerp_(self.var.mul_(self.m / (self.m - 1)), momentum)

    def link(self, dy: Tensor, buffers: Buffers, wanted: bool) -> Tensor | None:
        self.dy_rows = rows(dy)
        self.dx = self.centred
        return self.dx

    def backward(self) -> None:
        layer = self.layer
        dweight, dbias = self.dweight, self.dbias
        torch.sum(self.dy_rows, 0, out=dbias)
        torch.mm(self.dy_rows.T, self.centred_rows, out=self.products)
        torch.mul(self.squares, self.inverse, out=dweight)
        if layer.weight is not None:
            layer.weight.grad.copy_(dweight)
            layer.bias.grad.copy_(dbias)
        torch.mul(self.scale, dbias, out=self.work).mul_(-1 / self.m)  # what a shift would do
        dweight.mul_(self.scale).mul_(self.inverse).mul_(-1 / self.m)  # what a scale would do
        torch.addcmul(self.work, self.centred_rows, dweight, out=self.centred_rows)
        self.centred_rows.addcmul_(self.dy_rows, self.scale)  # dx
