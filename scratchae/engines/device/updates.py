"""What an optimiser makes of a gradient, where no step may ask Python for its number.

The optimisers of scratchae.optim count steps in Python, and a recorded step would repeat the
number that it was recorded with. So each update comes in two parts:

    factors   the few numbers that depend on the step, worked out for many steps at once before the
              first of them, as a table with a row a step. In float64: in float32, 1 − β₂ᵗ would be
              wrong by 3e-5 of itself in the first step.
    moved     all else, which takes a row of the table as tensors of shape (). It changes nothing: the
              new tensors are given back, so that the caller can still decide not to take them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.optim import SGD, Adam, AdamW, Optimizer

Tensors = dict[str, Tensor]


def adam_factors(o: Adam, t: Tensor) -> list[Tensor]:
    """η / (1 − β₁ᵗ), √(1 − β₂ᵗ) and, for AdamW, 1 − ηλ, each (K,), for the steps t (K,).

    >>> o = Adam([torch.ones(2)], lr=3.0, betas=(0.5, 0.75))
    >>> [factor.tolist() for factor in adam_factors(o, torch.tensor([1.0]))]
    [[6.0], [0.5], [1.0]]
    """
    beta1, beta2 = o.betas
    shrink = torch.full_like(t, 1 - o.lr * o.weight_decay)
    return [o.lr / (1 - beta1**t), (1 - beta2**t).sqrt(), shrink]


def moved_by_adam(
    o: Adam, now: Tensors, rate: Tensor, correction: Tensor, shrink: Tensor
) -> Tensors:
    """The value and averages after a step of Adam or AdamW; the formulas are in scratchae.optim.adam.

    o: for its settings alone. now: value, grad and the optimiser's state, all (P,). The factors: ().

    >>> o = Adam([torch.ones(2)], lr=0.5)
    >>> now = {"value": o.value, "grad": torch.tensor([4.0, -400.0]), **o.state}
    >>> moved_by_adam(o, now, *factors(o, 1)[0])["value"]  # the first step is lr, up or down
    tensor([0.5000, 1.5000])
    """
    (beta1, beta2), value, g = o.betas, now["value"], now["grad"]
    if o.decoupled_weight_decay:
        value = value * shrink
    elif o.weight_decay:
        g = g.add(value, alpha=o.weight_decay)
    m = now["exp_avg"].lerp(g, 1 - beta1)
    v = torch.addcmul(now["exp_avg_sq"] * beta2, g, g, value=1 - beta2)
    new = {"exp_avg": m, "exp_avg_sq": v}
    if o.amsgrad:
        v = new["max_exp_avg_sq"] = torch.maximum(now["max_exp_avg_sq"], v)
    root = v.sqrt().div_(correction).add_(o.eps)  # √v̂ + ε
    return {**new, "value": value - (m / root).mul_(rate)}


def sgd_factors(o: SGD, t: Tensor) -> list[Tensor]:
    """The learning rate, and 1 for the first step of all, else 0, each (K,), for the steps t (K,).

    >>> [factor.tolist() for factor in sgd_factors(SGD([torch.ones(1)], lr=0.5), torch.tensor([1.0, 2.0]))]
    [[0.5, 0.5], [1.0, 0.0]]
    """
    return [torch.full_like(t, o.lr), (t == 1).to(t.dtype)]


def moved_by_sgd(o: SGD, now: Tensors, rate: Tensor, first: Tensor) -> Tensors:
    """The value and running sum after a step of SGD; the formulas are in scratchae.optim.sgd.

    >>> o = SGD([torch.tensor([10.0])], lr=0.5)
    >>> now = {"value": o.value, "grad": torch.tensor([2.0])}
    >>> moved_by_sgd(o, now, *factors(o, 1)[0])["value"].item()  # 10 − 0.5 · 2
    9.0
    """
    value, g, new = now["value"], now["grad"], {}
    if o.weight_decay:
        g = g.add(value, alpha=o.weight_decay)
    if o.momentum:
        v = now["momentum_buffer"]
        v = torch.where(first > 0, g, (v * o.momentum).add_(g, alpha=1 - o.dampening))
        new["momentum_buffer"] = v
        g = g.add(v, alpha=o.momentum) if o.nesterov else v
    return {**new, "value": value - g * rate}


FACTORS = {Adam: adam_factors, AdamW: adam_factors, SGD: sgd_factors}
MOVED = {Adam: moved_by_adam, AdamW: moved_by_adam, SGD: moved_by_sgd}


def has_device_form(optimizer: Optimizer) -> bool:
    """Adam, AdamW and SGD have one, with all their settings; a class of one's own has none."""
    return type(optimizer) in MOVED


def factors(optimizer: Optimizer, count: int) -> Tensor:
    """(count, F): the factors of the optimizer's next steps, beside its parameters.

    >>> factors(SGD([torch.ones(1)], lr=0.5), 2).tolist()
    [[0.5, 1.0], [0.5, 0.0]]
    """
    t = torch.arange(count, dtype=torch.float64) + optimizer.steps + 1
    return torch.stack(FACTORS[type(optimizer)](optimizer, t), dim=1).to(optimizer.value)
