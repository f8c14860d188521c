"""Averaged weights: an exponential moving average (EMA) of the parameters over the steps.

    θ̄ ← d θ̄ + (1 − d) θ        after each step; θ̄ = θ after the first step

θ are the parameters after the step, and d is the decay, such as 0.999. θ̄ averages over about 1 / (1 − d)
steps, so the noise of single batches is much smaller in it. Training continues with θ; the averaged weights
only serve for the evaluation. (Polyak and Juditsky 1992; the formula is that of
torch.optim.swa_utils.get_ema_multi_avg_fn.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import Tensor

from scratchae.optim.schedules import Number

if TYPE_CHECKING:
    from scratchae.optim.base import Optimizer

AVERAGE = "average"  # the name of the averaged weights in the optimizer's `state`


def ema_update(average: Tensor, value: Tensor, t: Number, decay: float) -> None:
    """Update the average in place with the parameters after step t, counted from 1.

    average and value have the same shape. t: a number, or a tensor of shape ().

    >>> import torch
    >>> average = torch.zeros(1)
    >>> for t, value in enumerate([8.0, 4.0], start=1):
    ...     ema_update(average, torch.tensor([value]), t, decay=0.75)
    >>> average.item()  # 0.75 · 8 + 0.25 · 4
    7.0
    """
    first = 0.0 ** (t - 1)  # 1 in the first step, then 0
    weight = 1 - decay + decay * first
    average.lerp_(value, weight.to(average) if isinstance(weight, Tensor) else weight)


@contextmanager
def averaged(optimizer: Optimizer) -> Iterator[None]:
    """Inside the block, let the parameters be the averaged weights, if the optimizer has them.

    >>> import torch
    >>> from scratchae.optim import SGD
    >>> weight = torch.tensor([10.0])
    >>> optimizer = SGD([weight], lr=1.0).configure(ema=0.75)
    >>> weight.grad += 1.0
    >>> optimizer.step()
    >>> optimizer.step()
    >>> with averaged(optimizer):
    ...     weight.item()  # 0.75 · 9 + 0.25 · 8
    8.75
    >>> weight.item()
    8.0
    """
    if optimizer.ema is None:
        yield
        return
    kept = optimizer.value.clone()
    optimizer.value.copy_(optimizer.state[AVERAGE])
    try:
        yield
    finally:
        optimizer.value.copy_(kept)
