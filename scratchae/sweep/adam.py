"""Adam for M models at once, each with a learning rate and a weight decay of its own.

The parameters of model m are row m of one buffer (M, P), in the order in which its own optimiser would
lay them out. η and λ are columns (M, 1) beside it; the rest is Adam's, line by line:

    g ← g + λθ     m ← β₁ m + (1 − β₁) g     v ← β₂ v + (1 − β₂) g²
    θ ← θ − (η / (1 − β₁ᵗ)) m / (√v / √(1 − β₂ᵗ) + ε)

t is the same for all: they start together and step together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from scratchae.layers import Layer
from scratchae.optim import Adam

CACHED = (
    2**18
)  # numbers of a buffer that are updated in one go on a CPU: all buffers stay in its cache


def stacked_adam_update(
    value: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    t: int,
    lr: Tensor,
    weight_decay: Tensor,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> None:
    """Step t of Adam for every row: changes value, exp_avg and exp_avg_sq (M, P), not grad.

    lr, weight_decay: (M, 1), in float64, so that a rate is rounded once, as a plain number would be.

    >>> value, rates = torch.zeros(2, 3), torch.tensor([[0.1], [0.2]], dtype=torch.float64)
    >>> m, v = torch.zeros(2, 3), torch.zeros(2, 3)
    >>> stacked_adam_update(value, torch.ones(2, 3), m, v, 1, rates, 0 * rates)
    >>> value  # the first step is as long as the rate
    tensor([[-0.1000, -0.1000, -0.1000],
            [-0.2000, -0.2000, -0.2000]])
    """
    (beta1, beta2), m, v = betas, exp_avg, exp_avg_sq
    g = torch.addcmul(grad, value, weight_decay.to(value.dtype))
    m.lerp_(g, 1 - beta1)
    v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    root = v.sqrt().div_(math.sqrt(1 - beta2**t)).add_(eps)  # √v̂ + ε
    value.addcdiv_(m * (-lr / (1 - beta1**t)).to(value.dtype), root)


class StackedAdam:
    """Moves a stacked model's parameters into one buffer `value` (M, P), its gradients into `grad`.

    lr, weight_decay: one number a model.

    >>> from scratchae.layers import Linear
    >>> from scratchae.sweep.stack import stack
    >>> family = stack([Linear(3, 2) for _ in range(4)])
    >>> optimizer = StackedAdam(family, lr=[1e-4, 1e-3, 1e-2, 1e-1], weight_decay=[0.0] * 4)
    >>> optimizer.value.shape, family.weight.shape
    (torch.Size([4, 8]), torch.Size([4, 2, 3]))
    """

    def __init__(self, family: Layer, lr: Sequence[float], weight_decay: Sequence[float]) -> None:
        parameters = family.parameters()
        self.value = torch.cat([p.flatten(1) for p in parameters], dim=1)  # (M, P)
        self.grad, self.exp_avg, self.exp_avg_sq = (torch.zeros_like(self.value) for _ in range(3))
        sizes = [p[0].numel() for p in parameters]
        views = zip(self.value.split(sizes, dim=1), self.grad.split(sizes, dim=1), strict=True)
        for p, (value, grad) in zip(parameters, views, strict=True):
            p.data, p.grad = value.view(p.shape), grad.view(p.shape)
        column = {"dtype": torch.float64, "device": self.value.device}
        self.lr = torch.tensor(lr, **column).unsqueeze(1)  # (M, 1)
        self.weight_decay = torch.tensor(weight_decay, **column).unsqueeze(1)
        self.steps = 0

    def zero_grad(self) -> None:
        """Empty all gradients of all models: one operation."""
        self.grad.zero_()

    def step(self) -> None:
        """Move every model once, by the gradients that have been collected."""
        self.steps += 1
        buffers = (self.value, self.grad, self.exp_avg, self.exp_avg_sq)
        M, P = self.value.shape
        rows = M if self.value.is_cuda else max(1, CACHED // P)
        for first in range(0, M, rows):
            part = slice(first, first + rows)
            own = [buffer[part] for buffer in buffers]
            stacked_adam_update(*own, self.steps, self.lr[part], self.weight_decay[part])

    def alone(self, index: int, model: Layer) -> Adam:
        """The optimiser of model `index` as its own run would have it, around an ordinary model."""
        lr, weight_decay = self.lr[index].item(), self.weight_decay[index].item()
        optimizer = Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
        optimizer.steps = self.steps
        for name, tensor in optimizer.state.items():
            tensor.copy_(getattr(self, name)[index])
        return optimizer
