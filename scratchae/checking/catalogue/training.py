"""The training step as it is miswritten: a call forgotten or out of order, a loss that is another's.

Right is: zero_grad, forward, loss, backward with the loss's gradient, step; the loss is returned.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from scratchae.checking.mistake import mistake
from scratchae.layers import Layer
from scratchae.losses import mse_backward, mse_forward
from scratchae.optim import Optimizer

wrong = partial(mistake, "train_step", chapter=5)


@wrong(
    "optimizer.zero_grad() is missing: backward adds to the gradients, so those of all "
    "batches before are still in them; empty them before backward."
)
def gradients_not_emptied(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))
    optimizer.step()
    return loss


@wrong(
    "optimizer.zero_grad() comes between backward and step, so step sees only zeros: empty "
    "the gradients before backward."
)
def emptied_before_step(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))
    optimizer.zero_grad()
    optimizer.step()
    return loss


@wrong(
    "optimizer.step() comes before backward, so the weights move by the gradients of the call "
    "before: the order is zero_grad, forward, backward, step."
)
def step_before_backward(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    y = model.forward(x)
    loss = mse_forward(y, x)
    optimizer.step()
    optimizer.zero_grad()
    model.backward(mse_backward(y, x))
    return loss


@wrong(
    "optimizer.step() is missing: the gradients are collected but the weights never move; "
    "call it after backward."
)
def step_forgotten(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))
    return loss


@wrong(
    "optimizer.step() is called twice for one batch: the weights move twice by the same "
    "gradient; once is right."
)
def step_twice(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))
    optimizer.step()
    optimizer.step()
    return loss


@wrong(
    "model.backward is called twice for one batch: gradients add up, so every one of them is "
    "doubled; call it once."
)
def backward_twice(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    dy = mse_backward(y, x)
    model.backward(dy)
    model.backward(dy)
    optimizer.step()
    return loss


@wrong(
    "The batch goes forward twice, once for the loss and once for backward: BatchNorm's "
    "running statistics count it double; keep y = model.forward(x) and use it for both."
)
def forward_twice(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    loss = mse_forward(model.forward(x), x)
    model.backward(mse_backward(model.forward(x), x))
    optimizer.step()
    return loss


@wrong(
    "The gradient of the loss has the wrong sign: mse_backward got (x, y), the prediction "
    "comes first, mse_backward(y, x)."
)
def target_first(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(x, y))
    optimizer.step()
    return loss


@wrong(
    "The loss returned is that of a second forward pass, after the step: return the loss of "
    "the output that backward started from."
)
def loss_after_step(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    model.backward(mse_backward(y, x))
    optimizer.step()
    return mse_forward(model.forward(x), x)


@wrong(
    "The loss returned is multiplied by the batch size, len(x): return the mean, as "
    "mse_forward gives it."
)
def loss_times_batch(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))
    optimizer.step()
    return loss * len(x)


@wrong(
    "The model is switched to evaluation mode, where BatchNorm uses its running statistics "
    "and does not update them: train with model.train(), evaluate with model.eval()."
)
def evaluation_mode(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    model.eval()
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))
    optimizer.step()
    return loss


@wrong(
    "The gradient given to model.backward is len(x) times too large: mse_backward(y, x) has "
    "its mean over the batch already."
)
def dy_times_batch(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x) * len(x))
    optimizer.step()
    return loss


@wrong(
    "The gradient given to model.backward is 2 * (y - x) / len(x): the loss is a mean over "
    "every element, so divide by x.numel()."
)
def dy_over_samples(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(2 * (y - x) / len(x))
    optimizer.step()
    return loss


@wrong(
    "The gradient given to model.backward is 2 * (y - x), that of the sum of squares: the "
    "loss is their mean, so divide by x.numel()."
)
def dy_of_sum(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(2 * (y - x))
    optimizer.step()
    return loss


@wrong(
    "The gradient given to model.backward is (y - x) / x.numel(): the derivative of a square "
    "has a factor 2, which is missing."
)
def dy_without_two(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward((y - x) / x.numel())
    optimizer.step()
    return loss


@wrong(
    "model.backward got a tensor of ones, which asks how the sum of the outputs grows: give "
    "it the gradient of the loss, mse_backward(y, x)."
)
def dy_of_ones(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(torch.ones_like(y))
    optimizer.step()
    return loss


@wrong(
    "model.backward got the loss itself, repeated over y's shape: it wants the gradient of "
    "the loss with respect to y, mse_backward(y, x)."
)
def dy_is_loss(model: Layer, optimizer: Optimizer, x: Tensor) -> Tensor:
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(torch.full_like(y, loss.item()))
    optimizer.step()
    return loss
