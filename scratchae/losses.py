"""MSE: how far the prediction is from the target, squared and averaged over every element.

    L = mean((p − t)²)        dp = 2 (p − t) / n        n = number of elements, batch included

As torch.nn.MSELoss with its default reduction.
"""

from __future__ import annotations

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import check_tensor


def mse_forward(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean squared error, a tensor of shape ().

    >>> import torch
    >>> mse_forward(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])).item()  # (1² + 3²) / 2
    5.0
    """
    return (prediction - target).square().mean()


def mse_backward(prediction: Tensor, target: Tensor) -> Tensor:
    """dprediction, of the prediction's shape.

    >>> import torch
    >>> mse_backward(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])).tolist()  # 2 · 1 / 2, 2 · 3 / 2
    [1.0, 3.0]
    """
    return (prediction - target) * (2 / prediction.numel())


class MSELoss:
    """loss = MSELoss(); value = loss(prediction, target); dprediction = loss.backward().

    >>> import torch
    >>> loss = MSELoss()
    >>> loss(torch.tensor([1.0, 5.0]), torch.tensor([0.0, 2.0])).item(), loss.backward().tolist()
    (5.0, [1.0, 3.0])
    """

    def __init__(self) -> None:
        self.saved: tuple[Tensor, Tensor] | None = None

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        return self.forward(prediction, target)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss, a tensor of shape ()."""
        check_tensor("MSELoss", prediction, None, None)
        check_tensor("MSELoss's target", target, prediction.dtype, prediction.device)
        if prediction.shape != target.shape:
            raise ScratchaeError(
                f"MSELoss wants two tensors of one shape but got prediction {tuple(prediction.shape)} "
                f"and target {tuple(target.shape)}: reshape one of them, nothing is broadcast"
            )
        if prediction.numel() == 0:
            raise ScratchaeError("MSELoss got an empty batch, which has no mean: leave it out")
        self.saved = (prediction, target)
        return mse_forward(prediction, target)

    def backward(self) -> Tensor:
        """The gradient of the last loss with respect to its prediction."""
        if self.saved is None:
            raise ScratchaeError(
                "MSELoss.backward was called before forward: call loss(prediction, target) first"
            )
        return mse_backward(*self.saved)

    def __repr__(self) -> str:
        return "MSELoss()"
