"""Adam as it is miswritten: the step itself, the weight decay, what is kept. Mistakes of the two
averages are in adam_averages.py, those of their hats, the root and ε in adam_hats.py.

Right is, with g = grad + weight_decay · value, m = exp_avg, v = exp_avg_sq,

    m ← β₁ m + (1 − β₁) g       m̂ = m / (1 − β₁ᵗ)
    v ← β₂ v + (1 − β₂) g²      v̂ = v / (1 − β₂ᵗ)       value ← value − lr m̂ / (√v̂ + eps)
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from scratchae.checking.mistake import mistake

wrong = partial(mistake, "adam_update", chapter=4)


def average(g: Tensor, m: Tensor, v: Tensor, betas: tuple[float, float]) -> None:
    """Both averages as they should move."""
    beta1, beta2 = betas
    m.mul_(beta1).add_((1 - beta1) * g)
    v.mul_(beta2).add_((1 - beta2) * g**2)


def largest(v: Tensor, max_v: Tensor | None) -> Tensor:
    """v, or with amsgrad the largest v so far, which is kept in max_v."""
    return v if max_v is None else max_v.copy_(torch.maximum(max_v, v))


def hats(
    m: Tensor, v: Tensor, t: int, betas: tuple[float, float], max_v: Tensor | None
) -> tuple[Tensor, Tensor]:
    """m̂ and v̂ as they should be."""
    beta1, beta2 = betas
    return m / (1 - beta1**t), largest(v, max_v) / (1 - beta2**t)


@wrong(
    "The step goes uphill: value grows by lr * m_hat / (sqrt(v_hat) + eps); the gradient "
    "points to where the loss grows, so subtract that."
)
def uphill(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value += lr * m / (v.sqrt() + eps)


@wrong(
    "The learning rate is missing: value moves by m_hat / (sqrt(v_hat) + eps), however "
    "small lr is; multiply it by lr."
)
def lr_forgotten(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= m / (v.sqrt() + eps)


@wrong(
    "The learning rate multiplies the gradient before the averages, where m / sqrt(v) cancels "
    "it: it belongs to the last line, value -= lr * m_hat / (sqrt(v_hat) + eps)."
)
def lr_on_gradient(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = lr * (grad + weight_decay * value)
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= m / (v.sqrt() + eps)


@wrong(
    "weight_decay is not used: begin with g = grad + weight_decay * value and go on with g "
    "wherever the formula has the gradient."
)
def decay_forgotten(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    average(grad, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The weight decay has the wrong sign: grad - weight_decay * value lets the weights grow; "
    "it is grad + weight_decay * value."
)
def decay_subtracted(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad - weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The weight decay shrinks value directly, by lr * weight_decay * value: that is AdamW; "
    "for Adam both averages take in g = grad + weight_decay * value."
)
def decay_decoupled(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    average(grad, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * (m / (v.sqrt() + eps) + weight_decay * value)


@wrong(
    "Only exp_avg takes in the weight decay: exp_avg_sq averages grad**2, it has to average "
    "the square of g = grad + weight_decay * value as well."
)
def decay_only_in_m(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_((1 - beta1) * g)
    exp_avg_sq.mul_(beta2).add_((1 - beta2) * grad**2)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The weight decay is added to grad in place, so the caller's gradient is changed: make a "
    "new tensor, g = grad + weight_decay * value, and leave grad as it is."
)
def decay_into_grad(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad.add_(weight_decay * value)
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "value = value - ... makes a new tensor that is lost when the function ends, and the "
    "caller's value stays: change it in place, with value -= ..."
)
def value_replaced(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value = value - lr * m / (v.sqrt() + eps)


@wrong(
    "max_exp_avg_sq is not used: where it is given, it takes the larger of itself and "
    "exp_avg_sq, in place, and the root is taken of it."
)
def amsgrad_forgotten(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, None)
    value -= lr * m / (v.sqrt() + eps)
