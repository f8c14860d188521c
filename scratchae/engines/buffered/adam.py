"""Adam in fixed buffers: the update of scratchae.optim.adam in seven passes over each part.

The numerator and the denominator of the step are both multiplied by c = √(1 − β₂ᵗ). This saves a
pass:

    θ ← θ − (η c / (1 − β₁ᵗ)) m / (√v + ε c)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scratchae.optim import Adam, AdamW, Optimizer, ema_update
from scratchae.optim.average import AVERAGE


def has_buffered_form(optimizer: Optimizer) -> bool:
    """Return whether `buffered_adam_update` supports the optimiser.

    It supports Adam and AdamW if the learning rate is a number, and amsgrad and maximize are off.
    """
    if not isinstance(optimizer, Adam) or type(optimizer) not in (Adam, AdamW):
        return False
    plain = isinstance(optimizer.lr, int | float)
    return plain and not optimizer.amsgrad and not optimizer.maximize


def buffered_adam_update(optimizer: Adam, scratch: Tensor) -> None:
    """Make one step, as `optimizer.step()` does, part by part.

    scratch: memory for intermediate results; its length is the number of parameters in a part.

    >>> adam = Adam([torch.tensor([1.0, -1.0, 3.0])], lr=0.5)
    >>> adam.grad.copy_(torch.tensor([4.0, -400.0, 1.0]))
    tensor([   4., -400.,    1.])
    >>> buffered_adam_update(adam, torch.empty(2))
    >>> adam.value  # the first step is lr, up or down
    tensor([ 0.5000, -0.5000,  2.5000])
    """
    lr = optimizer.rate(optimizer.steps)
    optimizer.steps += 1
    optimizer.clip(optimizer.grad)
    (beta1, beta2), t, decay = optimizer.betas, optimizer.steps, optimizer.weight_decay
    c = math.sqrt(1 - beta2**t)
    rate = lr * c / (1 - beta1**t)
    state = optimizer.state["exp_avg"], optimizer.state["exp_avg_sq"]
    flat = (optimizer.value, optimizer.grad, *state)
    for value, g, m, v in zip(*(x.split(len(scratch)) for x in flat), strict=True):
        room = scratch[: len(value)]
        if optimizer.decoupled_weight_decay:
            value.mul_(1 - lr * decay)
        elif decay:
            g = torch.add(g, value, alpha=decay, out=room)
        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        torch.sqrt(v, out=room).add_(optimizer.eps * c)
        value.addcdiv_(m, room, value=-rate)
    if optimizer.ema is not None:
        ema_update(optimizer.state[AVERAGE], optimizer.value, t, optimizer.ema)
