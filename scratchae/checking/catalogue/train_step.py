"""Mistakes in the training step. The function below is right; the rows change its text."""

from __future__ import annotations

import torch  # noqa: F401 - rows use it

from scratchae.losses import mse_backward, mse_forward

CHAPTER = 5


def train_step(model, optimizer, x):
    optimizer.zero_grad()
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))
    optimizer.step()
    return loss


ORDER = {
    "gradients_not_emptied": (
        "optimizer.zero_grad() → pass",
        "optimizer.zero_grad() is missing. backward adds to the gradients, so those of all earlier "
        "batches are still in the sum: set them to zero before backward.",
    ),
    "emptied_before_step": (
        """
        optimizer.zero_grad() → pass
        optimizer.step() → optimizer.zero_grad(); optimizer.step()
        """,
        "optimizer.zero_grad() comes between backward and step, so step sees only zeros. Call "
        "zero_grad before backward.",
    ),
    "step_before_backward": (
        """
        optimizer.zero_grad() → pass
        optimizer.step() → pass
        model.backward( → optimizer.step(); optimizer.zero_grad(); model.backward(
        """,
        "optimizer.step() comes before backward, so the weights move along the gradients of the "
        "previous call. The order is zero_grad, forward, backward, step.",
    ),
    "step_forgotten": (
        "optimizer.step() → pass",
        "optimizer.step() is missing: the gradients are computed, but the weights never move. Call it "
        "after backward.",
    ),
    "step_twice": (
        "optimizer.step() → optimizer.step(); optimizer.step()",
        "optimizer.step() is called twice for one batch, so the weights move twice along the same "
        "gradient. Call it once.",
    ),
    "backward_twice": (
        "model.backward(mse_backward(y, x)) → [model.backward(mse_backward(y, x)) for _ in range(2)]",
        "model.backward is called twice for one batch. Gradients add up, so all of them are doubled: "
        "call it once.",
    ),
    "forward_twice": (
        "mse_backward(y, x) → mse_backward(model.forward(x), x)",
        "model.forward runs twice for one batch, for the loss and for backward, so the running "
        "statistics of BatchNorm count it twice. Keep y = model.forward(x) and use it for both.",
    ),
    "evaluation_mode": (
        "optimizer.zero_grad() → model.eval(); optimizer.zero_grad()",
        "The model is in evaluation mode, in which BatchNorm uses its running statistics and does not "
        "update them. Train with model.train(), evaluate with model.eval().",
    ),
}

LOSS = {
    "target_first": (
        "mse_backward(y, x) → mse_backward(x, y)",
        "The gradient of the loss has the wrong sign: mse_backward got (x, y). The prediction comes "
        "first, mse_backward(y, x).",
    ),
    "loss_after_step": (
        "return loss → return mse_forward(model.forward(x), x)",
        "The loss that is returned comes from a second forward pass, after the step. Return the "
        "loss of the output y from which backward started.",
    ),
    "loss_times_batch": (
        "return loss → return loss * len(x)",
        "The loss that is returned is multiplied by the batch size, len(x). Return the mean, as "
        "mse_forward gives it.",
    ),
    "dy_times_batch": (
        "mse_backward(y, x) → mse_backward(y, x) * len(x)",
        "The gradient given to model.backward is len(x) times too large. mse_backward(y, x) "
        "already contains the division by the batch size.",
    ),
    "dy_over_samples": (
        "mse_backward(y, x) → 2 * (y - x) / len(x)",
        "The gradient given to model.backward is 2 * (y - x) / len(x). The loss is a mean over every "
        "element: divide by x.numel().",
    ),
    "dy_of_sum": (
        "mse_backward(y, x) → 2 * (y - x)",
        "The gradient given to model.backward is 2 * (y - x), that of the sum of squares. The loss is "
        "their mean: divide by x.numel().",
    ),
    "dy_without_two": (
        "mse_backward(y, x) → (y - x) / x.numel()",
        "The gradient given to model.backward is (y - x) / x.numel(). The derivative of a square has a "
        "factor 2, which is missing.",
    ),
    "dy_of_ones": (
        "mse_backward(y, x) → torch.ones_like(y)",
        "model.backward got a tensor of ones, which is the gradient of the sum of the outputs. Give it "
        "the gradient of the loss, mse_backward(y, x).",
    ),
    "dy_is_loss": (
        "mse_backward(y, x) → torch.full_like(y, loss.item())",
        "model.backward got the loss itself, repeated in the shape of y. Give it the gradient of the "
        "loss with respect to y, mse_backward(y, x).",
    ),
}

MISTAKES = {"train_step": ORDER | LOSS}
