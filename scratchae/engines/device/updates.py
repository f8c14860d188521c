"""What an optimiser makes of a gradient, where the number of the step is a tensor on the device.

The optimisers of scratchae.optim count steps in Python, and a recorded step would repeat the
number that it was recorded with. Here t and the learning rate are float64 tensors of shape (): in
float32, 1 − β₂ᵗ would be wrong by 6e-5 of itself in the first step. Nothing is changed: the new
tensors are given back, so that the caller can still decide not to take them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.optim import SGD, Adam, AdamW, Optimizer

Tensors = dict[str, Tensor]


def moved_by_adam(o: Adam, now: Tensors, t: Tensor, lr: Tensor) -> Tensors:
    """The value and averages after step t of Adam or AdamW; the formulas are in scratchae.optim.adam.

    o: for its settings alone. now: value, grad and the optimiser's state, all (P,).

    >>> o = Adam([torch.ones(2)], lr=0.5)
    >>> now = {"value": o.value, "grad": torch.tensor([4.0, -400.0]), **o.state}
    >>> t, lr = torch.tensor([1.0, 0.5], dtype=torch.float64)
    >>> moved_by_adam(o, now, t, lr)["value"]  # the first step is lr, up or down
    tensor([0.5000, 1.5000])
    """
    (beta1, beta2), value, g = o.betas, now["value"], now["grad"]
    if o.decoupled_weight_decay:
        value = value * (1 - lr * o.weight_decay)
    elif o.weight_decay:
        g = g.add(value, alpha=o.weight_decay)
    m = now["exp_avg"].lerp(g, 1 - beta1)
    v = torch.addcmul(now["exp_avg_sq"] * beta2, g, g, value=1 - beta2)
    new = {"exp_avg": m, "exp_avg_sq": v}
    if o.amsgrad:
        v = new["max_exp_avg_sq"] = torch.maximum(now["max_exp_avg_sq"], v)
    root = v.sqrt().div_((1 - beta2**t).sqrt()).add_(o.eps)  # √v̂ + ε
    return {**new, "value": value - (m / root).mul_(lr / (1 - beta1**t))}


def moved_by_sgd(o: SGD, now: Tensors, t: Tensor, lr: Tensor) -> Tensors:
    """The value and running sum after step t of SGD; the formulas are in scratchae.optim.sgd.

    >>> o = SGD([torch.tensor([10.0])])
    >>> now = {"value": o.value, "grad": torch.tensor([2.0])}
    >>> t, lr = torch.tensor([1.0, 0.5], dtype=torch.float64)
    >>> moved_by_sgd(o, now, t, lr)["value"].item()  # 10 − 0.5 · 2
    9.0
    """
    value, g, new = now["value"], now["grad"], {}
    if o.weight_decay:
        g = g.add(value, alpha=o.weight_decay)
    if o.momentum:
        v = now["momentum_buffer"]
        v = torch.where(t == 1, g, (v * o.momentum).add_(g, alpha=1 - o.dampening))
        new["momentum_buffer"] = v
        g = g.add(v, alpha=o.momentum) if o.nesterov else v
    return {**new, "value": value - g * lr}


MOVED: dict[type[Optimizer], Callable[..., Tensors]] = {
    Adam: moved_by_adam,
    AdamW: moved_by_adam,
    SGD: moved_by_sgd,
}
