"""What BatchNorm joins over several workers, so that each normalises with the whole batch.

Worker r holds m_r values of a channel, with mean μ_r and variance σ²_r. All m = Σ m_r values have

    μ = Σ m_r μ_r / m        σ² = Σ m_r (σ²_r + (μ_r − μ)²) / m

since Σ (x − μ)² over the values of worker r is m_r σ²_r + m_r (μ_r − μ)² (Chan, Golub and LeVeque
1983). Summing x² and subtracting μ² would need no second term, but loses digits if μ is large. One
all-gather of three numbers per channel, m_r, μ_r and σ²_r, gives every worker the sums.

The backward pass of scratchae.layers.batchnorm,

    dx = (w / s) (dy − db / m − x̂ · dw / m)        db = Σ dy    dw = Σ dy x̂

needs db and dw over the values of all workers, because each x of each worker changes the μ and σ²
that all of them use: one all-reduce. The gradients of weight and bias that a worker keeps are those of
its own values; DataParallel sums them with all other gradients.

The loss of a worker is a mean over its own images, so its dy is too large by the factor m / m_r.
The sums for worker r must have the same factor: they are (Σ m_k db_k) / m_r, over all workers k.
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
    """Return (m, mean, var) over the values of all workers, from those of this worker.

    A worker without values (m = 0) takes part, but its mean and var are not used.

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
    """Return (m, dbias, dweight) over the values of all workers, scaled as this worker's dy.

    >>> m, dbias, dweight = join_sums(Workers(), 4, torch.tensor([12.0]), torch.tensor([4.0]))
    >>> m.item(), dbias.item(), dweight.item()
    (4.0, 12.0, 4.0)
    """
    own = torch.stack([torch.full_like(dbias, m), m * dbias, m * dweight])  # (3, C)
    total, db, dw = workers.sum(own if m else own.zero_())
    return total[0], db / max(m, 1), dw / max(m, 1)


@contextmanager
def joined(layers: Sequence[BatchNorm], workers: Workers, counts: bool = True) -> Iterator[None]:
    """Train these layers with the statistics of all workers' batches inside the block.

    counts: False if the batch of this worker must not count.

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
