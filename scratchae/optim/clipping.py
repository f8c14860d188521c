"""Gradient clipping: a step cannot become arbitrarily large because of one batch.

    by value:   g_i ← min(max(g_i, −c), c)
    by norm:    g ← g · min(1, M / (‖g‖ + 10⁻⁶))       ‖g‖ = √(Σ g_i²), over all parameters together

Clipping by norm keeps the direction of the gradient; clipping by value changes it. The number 10⁻⁶ avoids
a division by 0. (Pascanu, Mikolov and Bengio 2013; the formulas are those of torch.nn.utils.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def clip_grad_norm(grad: Tensor | Sequence[Tensor], max_norm: float) -> Tensor:
    """Scale the gradient of all parameters in place, so that its norm is at most max_norm.

    grad: one tensor with the gradients of all parameters, such as `optimizer.grad`, or several tensors that
    together are the gradient. Returns the norm before the change, shape ().

    >>> grad = torch.tensor([3.0, 4.0])
    >>> clip_grad_norm(grad, max_norm=1.0).item(), grad
    (5.0, tensor([0.6000, 0.8000]))
    """
    parts = [grad] if isinstance(grad, Tensor) else grad
    flat = [part.reshape(-1) for part in parts]
    norm = torch.stack([torch.dot(part, part) for part in flat]).sum().sqrt()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for part in parts:
        part.mul_(factor)
    return norm


def clip_grad_value(grad: Tensor, clip_value: float) -> None:
    """Limit every element of the gradient to the range from −clip_value to clip_value, in place.

    >>> grad = torch.tensor([0.5, -3.0])
    >>> clip_grad_value(grad, 1.0)
    >>> grad
    tensor([ 0.5000, -1.0000])
    """
    grad.clamp_(-clip_value, clip_value)
