"""BatchNorm on several workers: every worker normalises with the statistics of the whole batch.

Worker r has m_r values of a channel, with mean μ_r and variance σ²_r. All m = Σ m_r values together have

    μ = Σ m_r μ_r / m        σ² = Σ m_r (σ²_r + (μ_r − μ)²) / m

because Σ (x − μ)² over the values of worker r is m_r σ²_r + m_r (μ_r − μ)² (Chan, Golub and LeVeque
1983). The formula σ² = mean(x²) − μ² would be shorter, but it loses digits if μ is large. One all-gather
sends m_r, μ_r and σ²_r of every channel to all workers. Then each worker computes these sums.

The backward pass of scratchae.layers.batchnorm,

    dx = (w / s) (dy − db / m − x̂ · dw / m)        db = Σ dy    dw = Σ dy x̂

needs db and dw over the values of all workers, because every x of every worker changes the μ and σ²
that all of them use. One all-reduce sums them. But each worker returns the gradients of weight and bias
for its own values only, because DataParallel sums them later, with all other gradients.

The loss of worker r is a mean over its own images only, so its dy is too large, by the factor m / m_r.
The sums for worker r must have the same factor. So db is (Σ m_k db_k) / m_r, summed over all workers k,
and dw is computed in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from scratchae.distributed.workers import Workers
from scratchae.layers.batchnorm import BatchNorm


def join_statistics(
    workers: Workers, m: int, mean: Tensor, var: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (m, mean, var) of the whole batch, given those of this worker's part; mean and var are (C,).

    A worker with m = 0 must also call this function; its mean and var are not used.

    >>> m, mean, var = join_statistics(Workers(), 2, torch.tensor([4.0]), torch.tensor([4.0]))
    >>> m.item(), mean.item(), var.item()
    (2.0, 4.0, 4.0)
    """
    own = torch.stack([torch.full_like(mean, m), mean, var])  # (3, C)
    counts, means, variances = workers.all_gather(own if m else own.zero_()).unbind(1)  # (W, C)
    total = counts.sum(0)  # (C,)
    mean = (counts * means).sum(0) / total
    var = (counts * (variances + (means - mean).square())).sum(0) / total
    return total[0], mean, var


def join_sums(
    workers: Workers, m: int, dbias: Tensor, dweight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (m, dbias, dweight) of the whole batch, with the factor of this worker's dy (see above).

    m, dbias, dweight: those of this worker's part; dbias and dweight are (C,).

    >>> m, dbias, dweight = join_sums(Workers(), 4, torch.tensor([12.0]), torch.tensor([4.0]))
    >>> m.item(), dbias.item(), dweight.item()
    (4.0, 12.0, 4.0)
    """
    own = torch.stack([torch.full_like(dbias, m), m * dbias, m * dweight])  # (3, C)
    total, db, dw = workers.sum(own if m else own.zero_())
    return total[0], db / max(m, 1), dw / max(m, 1)


@contextmanager
def joined(layers: Sequence[BatchNorm], workers: Workers, counts: bool = True) -> Iterator[None]:
    """Inside the block, let these layers use the statistics of the whole batch, from all workers.

    counts: False if the part of this worker must not count.

    >>> from scratchae.layers import BatchNorm1d
    >>> layer = BatchNorm1d(1)
    >>> with joined([layer], Workers()):
    ...     y = layer(torch.tensor([[2.0], [6.0]]))
    >>> layer.running_mean.item(), layer.join_statistics  # 0.1 · 4
    (0.4000000059604645, None)
    """

    def statistics(m: int, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return join_statistics(workers, m if counts else 0, mean, var)

    def sums(m: int, dbias: Tensor, dweight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return join_sums(workers, m if counts else 0, dbias, dweight)

    for layer in layers:
        layer.join_statistics, layer.join_sums = statistics, sums
    try:
        yield
    finally:
        for layer in layers:
            layer.join_statistics = layer.join_sums = None
