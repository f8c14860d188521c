"""The training step: forward, loss, backward, update. All engines call `train_step`.

    y = model(x)      L = loss(y, target) + Σ penalties      dy = ∂L/∂y, then backward through the model
    update: the optimiser moves every parameter against its gradient

The target of an autoencoder is its input. Autograd is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import Layer
from scratchae.layers.base import LossFunction
from scratchae.losses import MSELoss


class SupportsStep(Protocol):
    """The methods that a step calls. The optimisers of scratchae.optim and torch.optim have them."""

    def zero_grad(self) -> None: ...

    def step(self) -> None: ...


def compute_loss(
    model: Layer, x: Tensor, target: Tensor | None = None, keys: Tensor | None = None
) -> Tensor:
    """Return the loss of x (N, ...): the model's own loss plus the penalties of its layers, shape ().

    target: the expected output for x; None means x itself. keys: int64 (N,), for `model.set_keys`; None
    leaves the keys of random layers as they are. A model without a loss uses MSELoss. Raises
    ScratchaeError if the loss gives one number for every element (reduction "none").

    >>> import torch
    >>> from scratchae.layers import ReLU
    >>> compute_loss(ReLU(), torch.tensor([[2.0, -2.0]])).item()  # ((2 − 2)² + (0 + 2)²) / 2
    2.0
    """
    own = loss_of(model)
    if getattr(own, "reduction", "mean") == "none":
        raise ScratchaeError(
            f"training needs one number as the loss, but {own!r} gives one for every element: "
            "use reduction='mean', 'sum' or 'batchmean'"
        )
    if keys is not None:
        model.set_keys(keys)
    y = model.forward(x)
    loss = own.forward(y, x if target is None else target)
    for penalty in model.penalties():
        loss = loss + penalty
    return loss


def add_gradients(
    model: Layer, x: Tensor, target: Tensor | None = None, keys: Tensor | None = None
) -> Tensor:
    """Add the gradient of the loss of x (N, ...) to every parameter's `.grad`; return the loss.

    >>> import torch
    >>> from scratchae.layers import Linear
    >>> model, x = Linear(1, 1, bias=False), torch.tensor([[2.0]])
    >>> model.weight[:] = 0
    >>> add_gradients(model, x).item(), add_gradients(model, x).item()
    (4.0, 4.0)
    >>> model.weight.grad.item()  # twice 2 (0 · 2 − 2) 2
    -16.0
    """
    loss = compute_loss(model, x, target, keys)
    model.backward(loss_of(model).backward())
    return loss


def fill_gradients(
    model: Layer,
    optimizer: SupportsStep,
    x: Tensor,
    target: Tensor | None = None,
    keys: Tensor | None = None,
) -> Tensor:
    """Set every parameter's `.grad` to its gradient; return the loss of x (N, ...), shape ().

    >>> import torch
    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import SGD
    >>> model, x = Linear(1, 1, bias=False), torch.tensor([[2.0]])
    >>> model.weight[:] = 0
    >>> fill_gradients(model, SGD(model.parameters(), lr=0.125), x).item()
    4.0
    >>> model.weight.grad.item()  # 2 (0 · 2 − 2) 2
    -8.0
    """
    optimizer.zero_grad()
    return add_gradients(model, x, target, keys)


def update_if_finite(optimizer: SupportsStep, loss: Tensor) -> None:
    """Update the parameters, but only if the loss is neither NaN nor infinite.

    >>> import torch
    >>> from scratchae.optim import SGD
    >>> weight = torch.tensor([1.0])
    >>> optimizer = SGD([weight], lr=0.5)
    >>> weight.grad += 4.0
    >>> update_if_finite(optimizer, torch.tensor(float("nan")))
    >>> weight.item()
    1.0
    """
    if loss.isfinite():
        optimizer.step()


def train_step(
    model: Layer,
    optimizer: SupportsStep,
    x: Tensor,
    target: Tensor | None = None,
    keys: Tensor | None = None,
    *,
    gradients: Callable[..., Tensor] = fill_gradients,
    update: Callable[..., None] = update_if_finite,
) -> Tensor:
    """Make one training step for x and target (None: x itself); return the loss before it, shape ().

    If the loss is not finite, no parameter changes, but buffers, such as BatchNorm's running statistics,
    may change. keys: as in `compute_loss`. gradients, update: the two halves of the step. An engine may
    pass other functions here, which compute the same in another way.

    >>> import torch
    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import SGD
    >>> model, x = Linear(1, 1, bias=False), torch.tensor([[2.0]])
    >>> model.weight[:] = 0
    >>> train_step(model, SGD(model.parameters(), lr=0.125), x).item()  # (0 · 2 − 2)²
    4.0
    >>> model.weight.item()  # 0 − 0.125 · dweight, which is 2 (0 · 2 − 2) 2 = −8
    1.0
    """
    loss = gradients(model, optimizer, x, target, keys)
    update(optimizer, loss)
    return loss


def loss_of(model: Layer) -> LossFunction:
    """Return the model's loss. If it has none, set `model.loss` to an MSELoss first.

    >>> from scratchae.layers import ReLU
    >>> loss_of(ReLU())
    MSELoss()
    """
    if model.loss is None:
        model.loss = MSELoss()
    return model.loss
