"""The training step: where layers, loss and optimiser meet. No graph is recorded: this is all."""

from __future__ import annotations

from torch import Tensor

from scratchae.layers import Layer
from scratchae.losses import mse_backward, mse_forward
from scratchae.optim import Optimizer


def train_step(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    """Move the model once towards giving back x (N, ...); returns the loss before the move, shape ().

    Where the loss is not finite nothing is moved.

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
    loss = fill_gradients(model, optimizer, x)
    if loss.isfinite():
        optimizer.step()
    return loss


def fill_gradients(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    """The loss of giving back x (N, ...), shape (), and every parameter's gradient in its `.grad`.

    Where the loss is not finite the gradients are left zero.

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
    y = model.forward(x)
    loss = mse_forward(y, x)
    if loss.isfinite():
        model.backward(mse_backward(y, x))
    return loss
