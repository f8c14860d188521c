"""BatchNorm on kept buffers: the formulas of scratchae.layers.batchnorm in as few passes as they take.

Of x only x − μ is kept, in x's place where that is free; y is one pass, to be made again on demand.
With s = √(σ² + ε) and sums over the m values of a channel,

    y  = (w / s) (x − μ) + b
    dw = Σ dy (x − μ) / s     db = Σ dy
    dx = (w / s) dy − (w dw / (m s²)) (x − μ) − w db / (m s)

so that all else is arithmetic on (C,).
"""

from __future__ import annotations

import torch

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node, NoFormError
from scratchae.engines.buffered.place import Place
from scratchae.engines.buffered.sums import RowSum
from scratchae.layers.batchnorm import BatchNorm


class BufferedBatchNorm(Node):
    """x (n, C) or (n, C, H, W), seen as rows (m, C)."""

    layer: BatchNorm

    def __init__(self, layer: BatchNorm, x: Place, buffers: Buffers, free: bool) -> None:
        self.layer, self.rows = layer, x.rows
        if len(x.rows) == 0:
            raise NoFormError("for an empty batch")
        if layer.num_features != x.shape[0]:
            layer.forward(x.flat.new_empty(x.n, *x.shape))  # says what is wrong
        self.y = (buffers.passing if buffers.frugal else buffers.place)(*x.shape)
        self.centred = x if free and not buffers.is_passing(x) else buffers.place(*x.shape)
        self.y_rows, self.centred_rows, self.m = self.y.rows, self.centred.rows, len(x.rows)
        self.products = buffers.scratch(*self.rows.shape)
        self.sum_rows = RowSum(self.rows, buffers)
        self.sum_products = RowSum(self.products, buffers)
        small = [buffers.own(layer.num_features) for _ in range(7)]
        self.mean, self.var, self.inverse, self.scale, self.dweight, self.dbias, self.work = small

    def forward(self) -> None:
        layer = self.layer
        self.sum_rows.into(self.mean).div_(self.m)
        torch.sub(self.rows, self.mean, out=self.centred_rows)
        torch.mul(self.centred_rows, self.centred_rows, out=self.products)
        self.sum_products.into(self.var).div_(self.m)
        self.join_statistics()
        torch.add(self.var, layer.eps, out=self.inverse).rsqrt_()  # 1 / s
        if layer.weight is None:
            self.scale.copy_(self.inverse)
        else:
            torch.mul(layer.weight, self.inverse, out=self.scale)  # w / s
        self.refill()
        if layer.running_mean is not None:
            self.track()

    def join_statistics(self) -> None:
        """Take the statistics of all workers' batches, if there are several workers."""
        layer, self.total = self.layer, self.m
        if layer.join_statistics is not None:
            m, mean, var = layer.join_statistics(self.m, self.mean, self.var)
            self.total = int(m)
            self.centred_rows.add_(self.mean - mean)
            self.mean.copy_(mean)
            self.var.copy_(var)
        layer.check_spread(self.total)

    def refill(self) -> None:
        if self.layer.bias is None:
            torch.mul(self.centred_rows, self.scale, out=self.y_rows)
        else:
            torch.addcmul(self.layer.bias, self.centred_rows, self.scale, out=self.y_rows)

    def track(self) -> None:
        """Move the running statistics; the variance kept is the unbiased one."""
        mean, var, count = (
            self.layer.running_mean,
            self.layer.running_var,
            self.layer.num_batches_tracked,
        )
        assert mean is not None and var is not None and count is not None
        count.add_(1)
        momentum = self.layer.momentum
        if momentum is None:
            momentum = 1 / int(count)
        mean.lerp_(self.mean, momentum)
        var.lerp_(self.var.mul_(self.total / (self.total - 1)), momentum)

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place | None:
        self.dy_rows, self.sum_dy = dy.rows, RowSum(dy.rows, buffers)
        return self.centred

    def backward(self) -> None:
        layer = self.layer
        dweight, dbias = self.dweight, self.dbias
        self.sum_dy.into(dbias)
        torch.mul(self.dy_rows, self.centred_rows, out=self.products)
        self.sum_products.into(dweight).mul_(self.inverse)
        if layer.weight is not None and layer.weight.grad is not None:
            layer.weight.grad.copy_(dweight)
        if layer.bias is not None and layer.bias.grad is not None:
            layer.bias.grad.copy_(dbias)
        if layer.join_sums is not None:
            _, joined_dbias, joined_dweight = layer.join_sums(self.m, dbias, dweight)
            dbias.copy_(joined_dbias)
            dweight.copy_(joined_dweight)
        torch.mul(self.scale, dbias, out=self.work).mul_(-1 / self.total)  # what a shift would do
        dweight.mul_(self.scale).mul_(self.inverse).mul_(-1 / self.total)  # what a scale would do
        torch.addcmul(self.work, self.centred_rows, dweight, out=self.centred_rows)
        self.centred_rows.addcmul_(self.dy_rows, self.scale)  # dx
