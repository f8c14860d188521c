"""BatchNorm for M models: each channel of each model is normalised by its own model's batch.

    x (M, N, C, ...)     μ[m,c], σ²[m,c] over all axes but m and c

The mathematics is that of layers/batchnorm.py, whose channels (C,) have become (M, C).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import accumulate, running_statistics
from scratchae.layers.batchnorm import BatchNorm
from scratchae.sweep.batched_layers import Stacked


def stacked_batchnorm_forward(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """(y, x̂) for x (M, N, C, ...) and statistics (M, C), the batch's own or running ones.

    >>> x, mean, var = torch.tensor([[[7.0]], [[7.0]]]), torch.tensor([[1.0], [2.0]]), torch.ones(2, 1)
    >>> y, xhat = stacked_batchnorm_forward(x, None, None, mean, var, eps=0.0)
    >>> xhat.flatten().tolist()
    [6.0, 5.0]
    """
    xhat = (x - per_channel(mean, x)) * per_channel((var + eps).rsqrt(), x)
    if weight is None:
        return xhat.clone(), xhat
    if bias is None:
        return xhat * per_channel(weight, x), xhat
    return torch.addcmul(per_channel(bias, x), xhat, per_channel(weight, x)), xhat


def stacked_batchnorm_backward(
    dy: Tensor, xhat: Tensor, weight: Tensor | None, var: Tensor, eps: float, from_batch: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """(dx, dweight, dbias): (M, N, C, ...) and twice (M, C).

    from_batch: the statistics were the batch's own, and so depend on x.

    >>> dy, xhat = torch.tensor([[[1.0], [5.0]]]), torch.tensor([[[-1.0], [1.0]]])
    >>> dx, dweight, dbias = stacked_batchnorm_backward(dy, xhat, None, torch.ones(1, 1), 0.0, True)
    >>> dx.flatten().tolist(), dweight.item(), dbias.item()  # of two images nothing is left
    ([0.0, 0.0], 4.0, 6.0)
    """
    axes, m = other_axes(dy), dy[0, :, 0].numel()
    dbias = dy.sum(axes)  # (M, C)
    dweight = (dy * xhat).sum(axes)  # (M, C)
    scale = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
    if not from_batch:
        return dy * per_channel(scale, dy), dweight, dbias
    scale, db, dw = (per_channel(v, dy) for v in (scale, dbias / m, dweight / m))
    return scale * (dy - db - xhat * dw), dweight, dbias


class StackedBatchNorm(Stacked):
    """M BatchNorm1d or BatchNorm2d layers of one size.

    >>> from scratchae.layers import BatchNorm2d
    >>> y = StackedBatchNorm([BatchNorm2d(3), BatchNorm2d(3)])(torch.rand(2, 5, 3, 8, 8))
    >>> y.shape, bool((y.mean(dim=(1, 3, 4)).abs() < 1e-5).all())
    (torch.Size([2, 5, 3, 8, 8]), True)
    """

    def __init__(self, layers: Sequence[BatchNorm]) -> None:
        super().__init__(layers)
        self.eps, self.momentum = layers[0].eps, layers[0].momentum

    def forward_all(self, x: Tensor) -> Tensor:
        from_batch = self.training or self.running_mean is None
        if from_batch:
            m = x[0, :, 0].numel()  # values a channel
            if m < 2:
                raise ScratchaeError(
                    f"{self!r} got one value a channel, which has no spread: choose a batch size "
                    "that leaves two or more images for the last batch"
                )
            axes = other_axes(x)
            mean = x.mean(axes)  # (M, C)
            var = (x - per_channel(mean, x)).square().mean(axes)
            if self.training and self.running_mean is not None:
                self.track(mean, var, m)
        else:
            mean, var = self.running_mean, self.running_var
        y, xhat = stacked_batchnorm_forward(x, self.weight, self.bias, mean, var, self.eps)
        return self.remember(y, xhat, var, from_batch)

    def track(self, mean: Tensor, var: Tensor, m: int) -> None:
        """Move the running statistics (M, C), in place."""
        self.num_batches_tracked += 1
        momentum = self.momentum
        if momentum is None:
            momentum = (1 / self.num_batches_tracked.to(var.dtype)).unsqueeze(1)  # (M, 1)
        moved = running_statistics(self.running_mean, self.running_var, mean, var, m, momentum)
        self.running_mean.copy_(moved[0])
        self.running_var.copy_(moved[1])

    def backward(self, dy: Tensor) -> Tensor:
        xhat, var, from_batch = self.recall(dy)
        dx, dweight, dbias = stacked_batchnorm_backward(
            dy, xhat, self.weight, var, self.eps, from_batch
        )
        if self.weight is not None:
            accumulate(self.weight, dweight)
        if self.bias is not None:
            accumulate(self.bias, dbias)
        return dx


def other_axes(x: Tensor) -> tuple[int, ...]:
    """Every axis of (M, N, C, ...) but the models' and the channels'."""
    return (1, *range(3, x.ndim))


def per_channel(v: Tensor, x: Tensor) -> Tensor:
    """v (M, C) shaped to stand beside x (M, N, C, ...)."""
    return v.view(len(v), 1, v.shape[1], *[1] * (x.ndim - 3))
