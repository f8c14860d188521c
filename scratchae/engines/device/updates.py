"""What an optimiser makes of a gradient, where the number of the step is a tensor on the device.

The optimisers of scratchae.optim count steps in Python, and a recorded step would repeat the
number that it was recorded with. So each update comes in two parts:

    factors   the few numbers that depend on the step, from t and the learning rate. In float64: in
              float32, 1 − β₂ᵗ would be wrong by 3e-5 of itself in the first step.
    moved     all else, which takes the factors as tensors of shape (). It changes nothing: the new
              tensors are given back, so that the caller can still decide not to take them.

They are apart so that a compiler cannot work out βᵗ again for every single parameter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.optim import SGD, Adam, AdamW, Optimizer

Tensors = dict[str, Tensor]


def adam_factors(o: Adam, t: Tensor, lr: Tensor) -> Tensors:
    """η / (1 − β₁ᵗ), √(1 − β₂ᵗ) and, for AdamW, 1 − ηλ; t, lr: float64 ().

    >>> o = Adam([torch.ones(2)], betas=(0.5, 0.75))
    >>> found = adam_factors(o, torch.tensor(1.0), torch.tensor(3.0))
    >>> {name: factor.item() for name, factor in found.items()}
    {'rate': 6.0, 'correction': 0.5, 'shrink': 1.0}
    """
    beta1, beta2 = o.betas
    correction = (1 - beta2**t).sqrt()
    return {
        "rate": lr / (1 - beta1**t),
        "correction": correction,
        "shrink": 1 - lr * o.weight_decay,
    }


def moved_by_adam(o: Adam, now: Tensors) -> Tensors:
    """The value and averages after a step of Adam or AdamW; the formulas are in scratchae.optim.adam.

    o: for its settings alone. now: value, grad and the optimiser's state, all (P,), and the factors.

    >>> o = Adam([torch.ones(2)])
    >>> now = {"value": o.value, "grad": torch.tensor([4.0, -400.0]), **o.state}
    >>> now |= adam_factors(o, torch.tensor(1.0), torch.tensor(0.5))
    >>> moved_by_adam(o, now)["value"]  # the first step is lr, up or down
    tensor([0.5000, 1.5000])
    """
    (beta1, beta2), value, g = o.betas, now["value"], now["grad"]
    if o.decoupled_weight_decay:
        value = value * now["shrink"]
    elif o.weight_decay:
        g = g.add(value, alpha=o.weight_decay)
    m = now["exp_avg"].lerp(g, 1 - beta1)
    v = torch.addcmul(now["exp_avg_sq"] * beta2, g, g, value=1 - beta2)
    new = {"exp_avg": m, "exp_avg_sq": v}
    if o.amsgrad:
        v = new["max_exp_avg_sq"] = torch.maximum(now["max_exp_avg_sq"], v)
    root = v.sqrt().div_(now["correction"]).add_(o.eps)  # √v̂ + ε
    return {**new, "value": value - (m / root).mul_(now["rate"])}


def sgd_factors(o: SGD, t: Tensor, lr: Tensor) -> Tensors:
    """The learning rate, and whether this is the first step.

    >>> found = sgd_factors(SGD([torch.ones(1)]), torch.tensor(1.0), torch.tensor(0.5))
    >>> {name: factor.item() for name, factor in found.items()}
    {'rate': 0.5, 'first': True}
    """
    return {"rate": lr, "first": t == 1}


def moved_by_sgd(o: SGD, now: Tensors) -> Tensors:
    """The value and running sum after a step of SGD; the formulas are in scratchae.optim.sgd.

    >>> o = SGD([torch.tensor([10.0])])
    >>> now = {"value": o.value, "grad": torch.tensor([2.0]), "rate": torch.tensor(0.5)}
    >>> moved_by_sgd(o, now)["value"].item()  # 10 − 0.5 · 2
    9.0
    """
    value, g, new = now["value"], now["grad"], {}
    if o.weight_decay:
        g = g.add(value, alpha=o.weight_decay)
    if o.momentum:
        v = now["momentum_buffer"]
        v = torch.where(now["first"] > 0, g, (v * o.momentum).add_(g, alpha=1 - o.dampening))
        new["momentum_buffer"] = v
        g = g.add(v, alpha=o.momentum) if o.nesterov else v
    return {**new, "value": value - g * now["rate"]}


FACTORS = {Adam: adam_factors, AdamW: adam_factors, SGD: sgd_factors}
MOVED = {Adam: moved_by_adam, AdamW: moved_by_adam, SGD: moved_by_sgd}


def has_device_form(optimizer: Optimizer) -> bool:
    """Adam, AdamW and SGD have one, with all their settings; a class of one's own has none."""
    return type(optimizer) in MOVED
