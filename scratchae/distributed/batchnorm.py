"""SyncBatchNorm: BatchNorm whose statistics are those of the joined batch, of all workers' shares.

Worker r holds m_r values of a channel, with mean μ_r and sum of squares S_r = Σ (x − μ_r)² around
it. One gathering of these three numbers a channel gives every worker the statistics of all m = Σ m_r

    μ = Σ m_r μ_r / m        σ² = Σ (S_r + m_r (μ_r − μ)²) / m

since around any c, Σ (x − c)² = S_r + m_r (μ_r − c)² (Chan, Golub and LeVeque 1983). Summing x² and
taking μ² off would need no second term, but loses its digits where μ is large.

Backward. The formula is that of scratchae.layers.batchnorm,

    dx = (w / s) (dy − db / m − x̂ · dw / m)        s = √(σ² + ε)

with db = Σ dy and dw = Σ dy x̂ over all workers, because every x of every worker moved the μ and σ²
that all of them used: one sum of 2 C numbers. As gradients of weight and bias each worker keeps its
own part; that they are summed too is left to whoever sums all gradients.

Each worker's dy is taken to be its rows of the joined gradient. Where the losses are means over
shares, as in training, that of n_r rows is Σ n / n_r times too large; `share` = n_r says so.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.distributed.workers import Workers
from scratchae.errors import ScratchaeError
from scratchae.layers import BatchNorm1d, BatchNorm2d
from scratchae.layers.base import accumulate, check_tensor
from scratchae.layers.batchnorm import BatchNorm, affine, other_axes, per_channel


def own_statistics(x: Tensor) -> Tensor:
    """(3, C): the number of values m_r, their mean and their sum of squares around it.

    >>> own_statistics(torch.tensor([[2.0], [6.0]])).flatten().tolist()
    [2.0, 4.0, 8.0]
    """
    axes = other_axes(x)
    mean = x.mean(axes)  # (C,)
    squares = (x - per_channel(mean, x)).square().sum(axes)
    return torch.stack([torch.full_like(mean, x.numel() // x.shape[1]), mean, squares])


def joined_statistics(statistics: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(m, mean, var) over all workers' values, each (C,), from their statistics (W, 3, C).

    >>> one, two = torch.tensor([[2.0], [6.0]]), torch.tensor([[10.0]])
    >>> statistics = torch.stack([own_statistics(one), own_statistics(two)])
    >>> [value.item() for value in joined_statistics(statistics)]  # of 2, 6 and 10: 32 / 3
    [3.0, 6.0, 10.666666984558105]
    """
    counts, means, squares = statistics.unbind(1)  # each (W, C)
    m = counts.sum(0)
    mean = (counts * means).sum(0) / m
    var = (squares + counts * (means - mean).square()).sum(0) / m
    return m, mean, var


def sync_batchnorm_forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    workers: Workers,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(y, x̂, m, mean, var) with the statistics of all workers' x; var is the biased one (over m).

    >>> x = torch.tensor([[2.0], [6.0]])
    >>> y, xhat, m, mean, var = sync_batchnorm_forward(x, None, None, Workers(), eps=0.0)
    >>> xhat.tolist(), m.tolist(), mean.tolist(), var.tolist()
    ([[-1.0], [1.0]], [2.0], [4.0], [4.0])
    """
    m, mean, var = joined_statistics(workers.gather(own_statistics(x)))
    xhat = (x - per_channel(mean, x)).mul_(per_channel((var + eps).rsqrt(), x))
    return affine(xhat, weight, bias), xhat, m, mean, var


def sync_batchnorm_backward(
    dy: Tensor,
    xhat: Tensor,
    weight: Tensor | None,
    m: Tensor,
    var: Tensor,
    workers: Workers,
    eps: float = 1e-5,
    share: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """(dx, dweight, dbias): dx of the joined batch, the others this worker's part of theirs.

    share: what dy has to be multiplied by to be rows of one gradient, of all workers' dy.

    >>> dy, xhat = torch.tensor([[1.0], [5.0], [3.0], [3.0]]), torch.tensor([[-1.0], [1.0], [1.0], [-1.0]])
    >>> m, var = torch.tensor([4.0]), torch.tensor([4.0])
    >>> dx, dweight, dbias = sync_batchnorm_backward(dy, xhat, torch.tensor([2.0]), m, var, Workers(), 0.0)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()
    ([[-1.0], [1.0], [-1.0], [1.0]], [4.0], [12.0])
    """
    axes = other_axes(dy)
    own = torch.stack([(dy * xhat).sum(axes), dy.sum(axes)])  # (2, C)
    dweight, dbias = workers.sum(own * share) / (share * m)  # the joined ones, over m
    scale = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
    dx = dy - per_channel(dbias, dy) - xhat * per_channel(dweight, dy)
    return dx.mul_(per_channel(scale, dy)), *own


class SyncBatchNorm(BatchNorm):
    """What SyncBatchNorm1d and SyncBatchNorm2d share; evaluation is BatchNorm's, and sends nothing.

    The parameters and buffers are those of the layer that it is made from.
    """

    def __init__(self, layer: BatchNorm, workers: Workers) -> None:
        super().__init__(layer.num_features)
        vars(self).update(vars(layer))
        self.workers, self.share = workers, 1.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        own = next((t for t in (self.weight, self.running_mean) if t is not None), None)
        dtype, device = (None, None) if own is None else (own.dtype, own.device)
        check_tensor(self, x, dtype, device)
        if x.ndim not in self.dims or x.shape[1] != self.num_features or not x.numel():
            raise ScratchaeError(
                f"{self!r} wants {self.shapes.format(C=self.num_features)} with N >= 1 but got "
                f"{tuple(x.shape)}: num_features is the size of axis 1"
            )
        y, xhat, m, mean, var = sync_batchnorm_forward(
            x, self.weight, self.bias, self.workers, self.eps
        )
        self.follow(m, mean, var)
        return self.remember(y, xhat, var, m)

    def follow(self, m: Tensor, mean: Tensor, var: Tensor) -> None:
        """Move the running statistics, where there is a spread."""
        if (count := int(m[0])) < 2:
            raise ScratchaeError(
                f"{self!r} got {count} value a channel from all workers together, which has no "
                "spread: train on batches of two or more, or call eval() first"
            )
        if self.running_mean is not None:
            self.track(mean, var, count)

    def backward(self, dy: Tensor) -> Tensor:
        xhat, var, m = self.recall(dy)
        if isinstance(m, bool):  # forward was BatchNorm's
            return super().backward(dy)
        dx, dweight, dbias = sync_batchnorm_backward(
            dy, xhat, self.weight, m, var, self.workers, self.eps, self.share
        )
        if self.weight is not None:
            accumulate(self.weight, dweight)
        if self.bias is not None:
            accumulate(self.bias, dbias)
        return dx

    def sit_out_forward(self, like: Tensor) -> None:
        """The part in the others' forward pass of a worker that has no images."""
        nothing = like.new_zeros(3, self.num_features)
        self.follow(*joined_statistics(self.workers.gather(nothing)))

    def sit_out_backward(self, like: Tensor) -> None:
        """The part in the others' backward pass of a worker that makes none."""
        self.workers.sum(like.new_zeros(2, self.num_features))


class SyncBatchNorm1d(SyncBatchNorm, BatchNorm1d):
    """BatchNorm1d over the values of all workers; `convert_sync_batchnorm` makes them.

    >>> layer = SyncBatchNorm1d(BatchNorm1d(1), Workers())
    >>> [round(value, 3) for value in layer(torch.tensor([[2.0], [6.0]])).flatten().tolist()]
    [-1.0, 1.0]
    """


class SyncBatchNorm2d(SyncBatchNorm, BatchNorm2d):
    """BatchNorm2d over the values of all workers; `convert_sync_batchnorm` makes them.

    >>> SyncBatchNorm2d(BatchNorm2d(16), Workers())(torch.zeros(64, 16, 14, 14)).shape
    torch.Size([64, 16, 14, 14])
    """
