"""Losses: one number that says how far a prediction is from its target, and the gradient of this number.

MSE, the mean squared error over every element:

    L = mean((p − t)²)        dp = 2 (p − t) / n

n is the number of all elements in the batch. Like torch.nn.MSELoss, MSELoss can also return the sum of
the terms (p − t)², or the terms themselves.
"""

from __future__ import annotations

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import check_tensor


def mse_forward(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error, shape (), of a prediction and a target of the same shape.

    >>> import torch
    >>> mse_forward(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])).item()  # (1² + 3²) / 2
    5.0
    """
    return (prediction - target).square().mean()


def mse_backward(prediction: Tensor, target: Tensor) -> Tensor:
    """Return dprediction, the gradient of the mean squared error, in the shape of the prediction.

    >>> import torch
    >>> mse_backward(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])).tolist()  # 2 · 1 / 2, 2 · 3 / 2
    [1.0, 3.0]
    """
    return (prediction - target) * (2 / prediction.numel())


class Loss:
    """Base of all losses: `value = loss(prediction, target)`, then `dprediction = loss.backward()`.

    A subclass defines `forward`, which ends with `return self.remember(value, *saved)`, and
    `backward`, which begins with `saved = self.recall()`.

    >>> class L1Loss(Loss):
    ...     def forward(self, prediction, target):
    ...         difference = prediction - target
    ...         return self.remember(difference.abs().mean(), difference)
    ...     def backward(self):
    ...         (difference,) = self.recall()
    ...         return difference.sign() / difference.numel()
    >>> import torch
    >>> loss = L1Loss()
    >>> loss(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])).item(), loss.backward().tolist()
    (2.0, [0.5, 0.5])
    """

    saved: tuple | None = None

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.forward(prediction, target)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss, a tensor of shape (); save what `backward` needs."""
        raise NotImplementedError

    def backward(self) -> Tensor:
        """Return the gradient of the last loss with respect to its prediction."""
        raise NotImplementedError

    def remember(self, value: Tensor, *saved: object) -> Tensor:
        """Save these values for the backward pass and return the value of the loss."""
        self.saved = saved
        return value

    def recall(self) -> tuple:
        """Return what `remember` saved. Raises ScratchaeError if there was no forward pass."""
        if self.saved is None:
            raise ScratchaeError(
                f"{type(self).__name__}.backward was called before forward: call "
                "loss(prediction, target) first"
            )
        return self.saved

    def forget(self) -> None:
        """Delete what `forward` saved for `backward`."""
        self.saved = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MSELoss(Loss):
    """The mean squared error, as torch.nn.MSELoss.

    reduction: "mean"; "sum", which does not divide by n; or "none", which returns the squared error of
    every element. Training needs one number, so it needs "mean" or "sum". With "none", `backward`
    returns the derivative of each squared error with respect to its own element of the prediction.

    Raises ScratchaeError if prediction and target differ in shape, dtype or device, or if the batch is
    empty and the reduction is "mean".

    >>> import torch
    >>> prediction, target = torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])
    >>> loss = MSELoss()
    >>> loss(prediction, target).item(), loss.backward().tolist()
    (5.0, [1.0, 3.0])
    >>> MSELoss(reduction="sum")(prediction, target).item()
    10.0
    """

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ScratchaeError(
                f"MSELoss expects reduction to be 'mean', 'sum' or 'none', got {reduction!r}"
            )
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        check_tensor("MSELoss", prediction, None, None)
        check_tensor("MSELoss's target", target, prediction.dtype, prediction.device)
        if prediction.shape != target.shape:
            raise ScratchaeError(
                f"MSELoss expects two tensors of one shape but got prediction "
                f"{tuple(prediction.shape)} and target {tuple(target.shape)}: reshape one of them, "
                "nothing is broadcast"
            )
        if self.reduction == "none":
            value = (prediction - target).square()
        elif self.reduction == "sum":
            value = (prediction - target).square().sum()
        elif prediction.numel() == 0:
            raise ScratchaeError("MSELoss got an empty batch, which has no mean: omit it")
        else:
            value = mse_forward(prediction, target)
        return self.remember(value, prediction, target)

    def backward(self) -> Tensor:
        prediction, target = self.recall()
        if self.reduction != "mean":
            return 2 * (prediction - target)
        return mse_backward(prediction, target)

    def __repr__(self) -> str:
        return "MSELoss()" if self.reduction == "mean" else f"MSELoss(reduction={self.reduction!r})"
