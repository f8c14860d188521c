"""Adam: the step of each parameter is divided by the average size of its recent gradients.

    g ← g + λθ     m ← β₁ m + (1 − β₁) g     v ← β₂ v + (1 − β₂) g²
    m̂ = m / (1 − β₁ᵗ)     v̂ = v / (1 − β₂ᵗ)     θ ← θ − η m̂ / (√v̂ + ε)

    AdamW: θ ← θ − ηλθ instead of g ← g + λθ; the other formulas are the same

g is the gradient, θ the parameters, η the learning rate (`lr`), λ the `weight_decay`, and t the number
of this step, counted from 1. m and v start at 0, so in the first steps they are too small, by the factor
1 − βᵗ. Division by this factor gives m̂ and v̂. With amsgrad, v̂ is computed from the largest v so far.
(Kingma and Ba 2015; Loshchilov and Hutter 2019; Reddi et al. 2018.) The formulas and the defaults are
those of torch.optim.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.optim.base import Number, Optimizer


def adam_update(
    value: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    t: Number,
    lr: Number = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    max_exp_avg_sq: Tensor | None = None,
    maximize: bool = False,
) -> None:
    """Make step t of Adam: change value and the averages m = exp_avg and v = exp_avg_sq in place.

    value, grad, exp_avg and exp_avg_sq have the same shape; grad does not change. t, lr: numbers, or
    tensors of shape (); lr may also have the shape of value. max_exp_avg_sq: the largest v so far, which
    is also changed in place; None means no amsgrad. maximize: move along the gradient instead of
    against it.

    >>> import torch
    >>> value, grad, m, v = torch.ones(2), torch.tensor([4.0, -400.0]), torch.zeros(2), torch.zeros(2)
    >>> adam_update(value, grad, m, v, t=1, lr=0.5)
    >>> value  # the first step is lr or -lr, for gradients of any size
    tensor([0.5000, 1.5000])
    """
    (beta1, beta2), m, v = betas, exp_avg, exp_avg_sq
    g = -grad if maximize else grad
    if weight_decay:
        g = g.add(value, alpha=weight_decay)
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    if max_exp_avg_sq is not None:
        v = max_exp_avg_sq.copy_(max_exp_avg_sq.maximum(v))
    root = (v / (1 - beta2**t)).sqrt_().add_(eps)  # √v̂ + ε
    value.addcdiv_(m * (-lr / (1 - beta1**t)), root)  # θ − η m̂ / (√v̂ + ε)


class Adam(Optimizer):
    """Adam, as torch.optim.Adam: weight_decay times the parameter is added to the gradient.

    >>> import torch
    >>> weight = torch.tensor([1.0, 1.0])
    >>> optimizer = Adam([weight], lr=0.5)
    >>> weight.grad += torch.tensor([4.0, -400.0])
    >>> optimizer.step()
    >>> weight
    tensor([0.5000, 1.5000])
    """

    slots: tuple[str, ...] = ("exp_avg", "exp_avg_sq")
    hyperparameters = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize")
    decoupled_weight_decay = False

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: Number = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        if (
            not isinstance(betas, tuple | list)
            or len(betas) != 2
            or not all(isinstance(beta, int | float) and 0 <= beta < 1 for beta in betas)
        ):
            raise ScratchaeError(
                f"{type(self).__name__} expects betas to be two numbers >= 0 and < 1, got {betas!r}: "
                "the usual values are (0.9, 0.999)"
            )
        self.betas, self.eps = (betas[0], betas[1]), eps
        self.amsgrad, self.maximize = amsgrad, maximize
        if amsgrad:
            self.slots = (*self.slots, "max_exp_avg_sq")
        super().__init__(parameters, lr, weight_decay)

    def update(
        self, value: Tensor, grad: Tensor, t: Number, lr: Number, state: dict[str, Tensor]
    ) -> None:
        decay = self.weight_decay
        if self.decoupled_weight_decay:
            value.mul_(1 - lr * decay)
            decay = 0.0
        adam_update(
            value,
            grad,
            t=t,
            lr=lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=decay,
            maximize=self.maximize,
            **state,
        )


class AdamW(Adam):
    """Adam, as torch.optim.AdamW: `weight_decay` makes the parameters smaller without changing the gradient.

    >>> import torch
    >>> weight = torch.tensor([8.0])
    >>> optimizer = AdamW([weight], lr=0.5, weight_decay=0.5)
    >>> optimizer.step()  # the gradient is 0, so only the decay changes the weight: 8 − 0.5 · 0.5 · 8
    >>> weight.tolist()
    [6.0]
    """

    decoupled_weight_decay = True

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: Number = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
