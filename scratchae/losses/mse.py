"""MSE, the mean squared error over every element.

    L = mean((p − t)²)        dp = 2 (p − t) / n

n is the number of all elements in the batch. Like torch.nn.MSELoss, MSELoss can also return the sum of
the terms (p − t)², or the terms themselves.
"""

from __future__ import annotations

from torch import Tensor

from scratchae.losses.base import Loss, reduce_terms, term_weight


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


class MSELoss(Loss):
    """The mean squared error, as torch.nn.MSELoss.

    reduction: "mean"; "sum", which does not divide by n; "batchmean", which divides by the size of the
    batch; or "none", which returns the squared error of every element.

    Raises ScratchaeError if prediction and target differ in shape, dtype or device, or if the batch is
    empty and the reduction is a mean.

    >>> import torch
    >>> prediction, target = torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])
    >>> loss = MSELoss()
    >>> loss(prediction, target).item(), loss.backward().tolist()
    (5.0, [1.0, 3.0])
    >>> MSELoss(reduction="sum")(prediction, target).item()
    10.0
    """

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        self.check(prediction, target)
        if self.reduction == "mean":
            value = mse_forward(prediction, target)
        else:
            value = reduce_terms((prediction - target).square(), self.reduction)
        return self.remember(value, prediction, target)

    def backward(self) -> Tensor:
        prediction, target = self.recall()
        if self.reduction == "mean":
            return mse_backward(prediction, target)
        return (prediction - target) * (2 * term_weight(prediction, self.reduction))
