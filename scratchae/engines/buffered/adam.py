"""Adam on kept buffers: the update of scratchae.optim.adam with one scratch, in seven passes.

Numerator and denominator of the step are both multiplied by c = √(1 − β₂ᵗ), which saves a pass:

    θ ← θ − (η c / (1 − β₁ᵗ)) m / (√v + ε c)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scratchae.optim import Adam, AdamW, Optimizer


def has_buffered_form(optimizer: Optimizer) -> bool:
    """Adam and AdamW have one, without amsgrad."""
    return type(optimizer) in (Adam, AdamW) and not optimizer.amsgrad


def buffered_adam_update(optimizer: Adam, scratch: Tensor) -> None:
    """One step, as `optimizer.step()`; scratch (P,) is as large as the optimizer's flat buffers."""
    optimizer.steps += 1
    (beta1, beta2), t = optimizer.betas, optimizer.steps
    value, g, decay = optimizer.value, optimizer.grad, optimizer.weight_decay
    m, v = optimizer.state["exp_avg"], optimizer.state["exp_avg_sq"]
    if optimizer.decoupled_weight_decay:
        value.mul_(1 - optimizer.lr * decay)
    elif decay:
        g = torch.add(g, value, alpha=decay, out=scratch)
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    c = math.sqrt(1 - beta2**t)
    torch.sqrt(v, out=scratch).add_(optimizer.eps * c)
    value.addcdiv_(m, scratch, value=-optimizer.lr * c / (1 - beta1**t))
