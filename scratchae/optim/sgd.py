"""SGD: a step against the gradient, or against a running sum of gradients (momentum).

    g ← g + λθ      v ← μ v + (1 − dampening) g      (v = g in the first step)
    θ ← θ − η v,    or with nesterov   θ ← θ − η (g + μ v)

g is the gradient, θ the parameters, η the learning rate (`lr`), μ the `momentum`, λ the
`weight_decay` (Sutskever et al. 2013). Formulas and defaults are torch.optim.SGD's.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.optim.base import Optimizer


def sgd_update(
    value: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor | None,
    t: int,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """Step t of SGD: changes value and momentum_buffer (None without momentum), not grad; one shape.

    >>> import torch
    >>> value, v = torch.tensor([10.0]), torch.zeros(1)
    >>> for t in (1, 2):
    ...     sgd_update(value, torch.tensor([2.0]), v, t, lr=1.0, momentum=0.5)
    >>> value.item(), v.item()  # 10 − 2 − (0.5 · 2 + 2)
    (5.0, 3.0)
    """
    g = grad.add(value, alpha=weight_decay) if weight_decay else grad
    if momentum:
        v = momentum_buffer
        if t == 1:
            v.copy_(g)
        else:
            v.mul_(momentum).add_(g, alpha=1 - dampening)
        g = g.add(v, alpha=momentum) if nesterov else v
    value.add_(g, alpha=-lr)


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum; as torch.optim.SGD.

    >>> import torch
    >>> weight = torch.tensor([10.0])
    >>> optimizer = SGD([weight], lr=0.5)
    >>> weight.grad += torch.tensor([2.0])
    >>> optimizer.step()
    >>> weight.item()  # 10 − 0.5 · 2
    9.0
    """

    slots = ("momentum_buffer",)
    hyperparameters = ("lr", "momentum", "dampening", "weight_decay", "nesterov")

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        self.momentum, self.dampening, self.nesterov = momentum, dampening, nesterov
        if not momentum >= 0:
            raise ScratchaeError(f"SGD wants momentum >= 0, got {momentum!r}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ScratchaeError("SGD: nesterov=True wants a momentum above 0 and no dampening")
        if momentum == 0:
            self.slots = ()
        super().__init__(parameters, lr, weight_decay)

    def update(self, value: Tensor, grad: Tensor, t: int) -> None:
        sgd_update(
            value,
            grad,
            self.state.get("momentum_buffer"),
            t,
            self.lr,
            self.momentum,
            self.dampening,
            self.weight_decay,
            self.nesterov,
        )
