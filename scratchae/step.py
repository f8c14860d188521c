"""The training step: where layers, loss and optimiser meet. No graph is recorded: this is all."""

from __future__ import annotations

from torch import Tensor

from scratchae.layers import Layer
from scratchae.losses import mse_backward, mse_forward
from scratchae.optim import Optimizer


def train_step(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    """Move the model once towards giving back x (N, ...); returns the loss before the move, shape ().

    Where the loss is not finite nothing is moved.
    """
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    if loss.isfinite():
        model.backward(mse_backward(y, x))
        optimizer.step()
    return loss
