"""SyncBatchNorm on kept buffers, for the buffered engine: its BatchNorm, with two messages in it."""

from __future__ import annotations

import torch

from scratchae.distributed.batchnorm import (
    SyncBatchNorm,
    SyncBatchNorm1d,
    SyncBatchNorm2d,
    joined_statistics,
)
from scratchae.engines.buffered.batchnorm import BufferedBatchNorm
from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import NoFormError
from scratchae.engines.buffered.place import Place
from scratchae.engines.buffered.plan import FORMS


class BufferedSyncBatchNorm(BufferedBatchNorm):
    """x (n, C) or (n, C, H, W) of this worker, seen as rows (m_r, C).

    >>> from scratchae.distributed.workers import Workers
    >>> from scratchae.engines.buffered.plan import Plan
    >>> from scratchae.layers import BatchNorm1d, Sequential
    >>> model = Sequential(SyncBatchNorm1d(BatchNorm1d(2), Workers()))
    >>> [type(node).__name__ for node in Plan(model, (3, 2), Buffers(3, torch.zeros(0))).nodes]
    ['BufferedSyncBatchNorm']
    """

    layer: SyncBatchNorm

    def __init__(self, layer: SyncBatchNorm, x: Place, buffers: Buffers, free: bool) -> None:
        if len(x.rows) < 2:
            raise NoFormError(f"of {layer!r} where a worker has one value a channel")
        super().__init__(layer, x, buffers, free)
        self.own = buffers.own(3, layer.num_features)  # m_r, its mean, its squares around that
        self.sums = buffers.own(2, layer.num_features)

    def forward(self) -> None:
        layer, (count, mean, squares) = self.layer, self.own
        count.fill_(len(self.rows))
        torch.mean(self.rows, 0, out=mean)
        torch.sub(self.rows, mean, out=self.centred_rows)
        torch.mul(self.centred_rows, self.centred_rows, out=self.products)
        torch.sum(self.products, 0, out=squares)
        m, joined_mean, joined_var = joined_statistics(layer.workers.gather(self.own))
        layer.follow(m, joined_mean, joined_var)
        self.m = int(m[0])
        self.centred_rows.sub_(joined_mean.sub_(mean))
        torch.add(joined_var, layer.eps, out=self.inverse).rsqrt_()  # 1 / s
        self.scale.copy_(self.inverse)
        if layer.weight is not None:
            self.scale.mul_(layer.weight)  # w / s
        self.refill()

    def backward(self) -> None:
        layer, (dweight, dbias) = self.layer, self.sums
        torch.sum(self.dy_rows, 0, out=dbias)
        torch.mul(self.dy_rows, self.centred_rows, out=self.products)
        torch.sum(self.products, 0, out=dweight).mul_(self.inverse)
        if layer.weight is not None:
            layer.weight.grad.copy_(dweight)
        if layer.bias is not None:
            layer.bias.grad.copy_(dbias)
        layer.workers.sum(self.sums.mul_(layer.share)).div_(-layer.share * self.m).mul_(self.scale)
        dweight.mul_(self.inverse)
        torch.addcmul(dbias, self.centred_rows, dweight, out=self.centred_rows)
        self.centred_rows.addcmul_(self.dy_rows, self.scale)  # dx


FORMS.update({SyncBatchNorm1d: BufferedSyncBatchNorm, SyncBatchNorm2d: BufferedSyncBatchNorm})
