"""SGD: a step against the gradient or, with momentum, against a running sum of gradients.

    g ← g + λθ      v ← μ v + (1 − dampening) g      (v = g in the first step)
    θ ← θ − η v,    or with nesterov   θ ← θ − η (g + μ v)

g is the gradient, θ the parameters, η the learning rate (`lr`), μ the `momentum`, and λ the
`weight_decay` (Sutskever et al. 2013). The formulas and the defaults are those of torch.optim.SGD.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.optim.base import Number, Optimizer


def sgd_update(
    value: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor | None,
    t: Number,
    lr: Number,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> None:
    """Make step t of SGD: change value and v = momentum_buffer in place.

    value, grad and momentum_buffer have the same shape; grad does not change. momentum_buffer: zeros
    before the first step; None means no momentum. t, lr: numbers, or tensors of shape (); lr may also
    have the shape of value. maximize: move along the gradient instead of against it.

    >>> import torch
    >>> value, v = torch.tensor([10.0]), torch.zeros(1)
    >>> for t in (1, 2):
    ...     sgd_update(value, torch.tensor([2.0]), v, t, lr=1.0, momentum=0.5)
    >>> value.item(), v.item()  # 10 − 2 − (0.5 · 2 + 2)
    (5.0, 3.0)
    """
    g = -grad if maximize else grad
    if weight_decay:
        g = g.add(value, alpha=weight_decay)
    if momentum_buffer is not None:
        first = 0.0 ** (t - 1)  # 1 in the first step, then 0
        v = momentum_buffer.mul_(momentum).add_(g * (1 - dampening * (1 - first)))
        g = g.add(v, alpha=momentum) if nesterov else v
    value.sub_(g * lr)


class SGD(Optimizer):
    """Stochastic gradient descent, with or without momentum, as torch.optim.SGD.

    >>> import torch
    >>> weight = torch.tensor([10.0])
    >>> optimizer = SGD([weight], lr=0.5)
    >>> weight.grad += torch.tensor([2.0])
    >>> optimizer.step()
    >>> weight.item()  # 10 − 0.5 · 2
    9.0
    """

    slots: tuple[str, ...] = ("momentum_buffer",)
    hyperparameters = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: Number = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        self.momentum, self.dampening = momentum, dampening
        self.nesterov, self.maximize = nesterov, maximize
        if not momentum >= 0:
            raise ScratchaeError(f"SGD expects momentum >= 0, got {momentum!r}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ScratchaeError("SGD: nesterov=True needs a momentum above 0 and no dampening")
        if momentum == 0:
            self.slots = ()
        super().__init__(parameters, lr, weight_decay)

    def update(
        self, value: Tensor, grad: Tensor, t: Number, lr: Number, state: dict[str, Tensor]
    ) -> None:
        sgd_update(
            value,
            grad,
            state.get("momentum_buffer"),
            t,
            lr,
            self.momentum,
            self.dampening,
            self.weight_decay,
            self.nesterov,
            self.maximize,
        )
