"""BatchNorm: every channel is shifted and scaled to mean 0 and spread 1, then to learned b and w.

    μ = mean(x)   σ² = mean((x − μ)²)   x̂ = (x − μ) / √(σ² + ε)   y = w x̂ + b

x is (N, C), (N, C, L) or (N, C, H, W); all else is (C,). The means run over the m values of a
channel, that is over every axis but C (Ioffe and Szegedy 2015).

Backward. b and w are reached through y alone: db = Σ dy and dw = Σ dy x̂. For x, let
dx̂ = w dy and s = √(σ² + ε). x reaches the loss on three ways: through x̂ directly, through μ,
and through σ². Since ∂x̂ᵢ/∂μ = −1/s and ∂x̂ᵢ/∂σ² = −x̂ᵢ / (2 s²),

    dσ² = −Σ dx̂ x̂ / (2 s²)     dμ = −Σ dx̂ / s        (∂σ²/∂μ = −2 mean(x − μ) = 0)
    dx  = dx̂ / s + dσ² · 2 (x − μ) / m + dμ / m
        = (dx̂ − mean(dx̂) − x̂ · mean(dx̂ x̂)) / s
        = (w / s) (dy − db / m − x̂ · dw / m)

The last line says: the part of dy that a shift or a scale of x would make is taken out, since
normalising undoes both. With running statistics (eval) μ and σ² do not depend on x, and
dx = (w / s) dy is all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, accumulate, arguments, check_tensor, parameter


def batchnorm_forward(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(y, x̂, mean, var) with the batch's own statistics; var is the biased one (over m).

    >>> y, xhat, mean, var = batchnorm_forward(torch.tensor([[2.0], [6.0]]), None, None, eps=0.0)
    >>> xhat.tolist(), mean.tolist(), var.tolist()  # (2 − 4) / √4 and (6 − 4) / √4
    ([[-1.0], [1.0]], [4.0], [4.0])
    """
    axes = other_axes(x)
    mean = x.mean(axes)  # (C,)
    centred = x - per_channel(mean, x)
    var = centred.square().mean(axes)  # (C,)
    xhat = centred.mul_(per_channel((var + eps).rsqrt(), x))
    return affine(xhat, weight, bias), xhat, mean, var


def batchnorm_backward(
    dy: Tensor, xhat: Tensor, weight: Tensor | None, var: Tensor, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """(dx, dweight, dbias) where the forward pass used the batch's own statistics.

    >>> dy, xhat = torch.tensor([[1.0], [5.0], [3.0], [3.0]]), torch.tensor([[-1.0], [1.0], [1.0], [-1.0]])
    >>> dx, dweight, dbias = batchnorm_backward(dy, xhat, torch.tensor([2.0]), torch.tensor([4.0]), 0.0)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()  # of dy a shift (3) and a scale (1) are gone
    ([[-1.0], [1.0], [-1.0], [1.0]], [4.0], [12.0])
    """
    axes, m = other_axes(dy), dy.numel() // dy.shape[1]
    dbias = dy.sum(axes)  # (C,)
    dweight = (dy * xhat).sum(axes)  # (C,)
    scale = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
    dx = torch.addcmul(per_channel(-dbias / m, dy), xhat, per_channel(-dweight / m, dy)).add_(dy)
    return dx.mul_(per_channel(scale, dy)), dweight, dbias


def batchnorm_eval_forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """(y, x̂) with given statistics, such as the running ones.

    >>> mean, var = torch.tensor([1.0]), torch.tensor([4.0])
    >>> y, xhat = batchnorm_eval_forward(torch.tensor([[7.0]]), None, None, mean, var, eps=0.0)
    >>> xhat.tolist()  # (7 − 1) / √4
    [[3.0]]
    """
    xhat = (x - per_channel(mean, x)) * per_channel((var + eps).rsqrt(), x)
    return affine(xhat, weight, bias), xhat


def batchnorm_eval_backward(
    dy: Tensor, xhat: Tensor, weight: Tensor | None, var: Tensor, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """(dx, dweight, dbias) where the statistics were given and so do not depend on x.

    >>> dy, xhat, var = torch.tensor([[8.0]]), torch.tensor([[3.0]]), torch.tensor([4.0])
    >>> [gradient.item() for gradient in batchnorm_eval_backward(dy, xhat, torch.tensor([5.0]), var, 0.0)]
    [20.0, 24.0, 8.0]
    """
    axes = other_axes(dy)
    scale = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
    return dy * per_channel(scale, dy), (dy * xhat).sum(axes), dy.sum(axes)


def running_statistics(
    running_mean: Tensor,
    running_var: Tensor,
    mean: Tensor,
    var: Tensor,
    m: int,
    momentum: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """The running mean and variance (C,), moved by a share `momentum` towards the batch's.

    mean, var: the batch's own, over m values a channel, var the biased one. What is kept is the
    unbiased estimate, over m − 1: a sample's mean lies closer to it than the true mean does.

    >>> start, batch = torch.tensor([0.0]), torch.tensor([8.0])
    >>> running_statistics(start, start, batch, batch, m=2, momentum=0.5)  # 8 · 2 / (2 − 1) = 16
    (tensor([4.]), tensor([8.]))
    """
    unbiased = var * (m / (m - 1))
    return (
        (1 - momentum) * running_mean + momentum * mean,
        (1 - momentum) * running_var + momentum * unbiased,
    )


def other_axes(x: Tensor) -> tuple[int, ...]:
    """Every axis but the channels' (axis 1).

    >>> other_axes(torch.zeros(64, 16, 14, 14))
    (0, 2, 3)
    """
    return (0, *range(2, x.ndim))


def per_channel(v: Tensor, x: Tensor) -> Tensor:
    """v (C,) shaped to stand beside x (N, C, ...).

    >>> per_channel(torch.zeros(16), torch.zeros(64, 16, 14, 14)).shape
    torch.Size([16, 1, 1])
    """
    return v.view(-1, *[1] * (x.ndim - 2))


def affine(xhat: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """y = w x̂ + b, or x̂ itself (as a new tensor) where there is nothing to learn.

    >>> affine(torch.tensor([[-1.0], [1.0]]), torch.tensor([3.0]), torch.tensor([10.0])).tolist()
    [[7.0], [13.0]]
    """
    if weight is None:
        return xhat.clone()
    return torch.addcmul(per_channel(bias, xhat), xhat, per_channel(weight, xhat))


class BatchNorm(Layer):
    """What BatchNorm1d and BatchNorm2d share; they differ in the shapes they take.

    Training uses the batch's statistics and moves the running ones towards them by `momentum`
    (None: the plain average of all batches so far), the variance unbiased (over m − 1).
    Evaluation uses the running ones, or the batch's where there are none.

    >>> layer = BatchNorm1d(1, momentum=0.5)
    >>> y = layer(torch.tensor([[2.0], [6.0]]))
    >>> layer.running_mean.item(), layer.running_var.item()  # from 0 and 1 half way to 4 and 8
    (2.0, 4.5)
    """

    parameter_names = ("weight", "bias")
    buffer_names = ("running_mean", "running_var", "num_batches_tracked")
    shapes = ""
    dims: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(num_features, int) or num_features < 1:
            raise ScratchaeError(
                f"{name} wants num_features to be a whole number >= 1, got {num_features!r}"
            )
        if not eps >= 0:
            raise ScratchaeError(f"{name} wants eps >= 0, got {eps!r}: 1e-5 is usual")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ScratchaeError(
                f"{name} wants momentum between 0 and 1, or None for a plain average, got {momentum!r}"
            )
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = parameter(torch.ones(num_features)) if affine else None
        self.bias = parameter(torch.zeros(num_features)) if affine else None
        self.running_mean = torch.zeros(num_features) if track_running_stats else None
        self.running_var = torch.ones(num_features) if track_running_stats else None
        self.num_batches_tracked = torch.tensor(0) if track_running_stats else None

    def forward(self, x: Tensor) -> Tensor:
        own = next((t for t in (self.weight, self.running_mean) if t is not None), None)
        dtype, device = (None, None) if own is None else (own.dtype, own.device)
        check_tensor(self, x, dtype, device)
        if x.ndim not in self.dims or x.shape[1] != self.num_features:
            raise ScratchaeError(
                f"{self!r} wants {self.shapes.format(C=self.num_features)} but got {tuple(x.shape)}: "
                "num_features is the size of axis 1"
            )
        from_batch = self.training or self.running_mean is None
        if not from_batch:
            var = self.running_var.clone()  # training on must not change what backward needs
            y, xhat = batchnorm_eval_forward(
                x, self.weight, self.bias, self.running_mean, var, self.eps
            )
            return self.remember(y, xhat, var, from_batch)
        m = x.numel() // self.num_features
        if m < 2:
            raise ScratchaeError(
                f"{self!r} got {'one value' if m else 'no value'} a channel, {tuple(x.shape)}, which "
                "has no spread: train on batches of two or more, or call eval() first"
            )
        y, xhat, mean, var = batchnorm_forward(x, self.weight, self.bias, self.eps)
        if self.training and self.running_mean is not None:
            self.track(mean, var, m)
        return self.remember(y, xhat, var, from_batch)

    def track(self, mean: Tensor, var: Tensor, m: int) -> None:
        """Move the running statistics, in place."""
        self.num_batches_tracked += 1
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        moved = running_statistics(self.running_mean, self.running_var, mean, var, m, momentum)
        self.running_mean.copy_(moved[0])
        self.running_var.copy_(moved[1])

    def backward(self, dy: Tensor) -> Tensor:
        xhat, var, from_batch = self.recall(dy)
        gradients = batchnorm_backward if from_batch else batchnorm_eval_backward
        dx, dweight, dbias = gradients(dy, xhat, self.weight, var, self.eps)
        if self.affine:
            accumulate(self.weight, dweight)
            accumulate(self.bias, dbias)
        return dx

    def extra_repr(self) -> str:
        return arguments(
            self.num_features,
            eps=(self.eps, 1e-5),
            momentum=(self.momentum, 0.1),
            affine=(self.affine, True),
            track_running_stats=(self.track_running_stats, True),
        )


class BatchNorm1d(BatchNorm):
    """Over (N, C) or (N, C, L); arguments and keys as torch.nn.BatchNorm1d.

    >>> y = BatchNorm1d(1)(torch.tensor([[2.0], [6.0]]))
    >>> [round(value, 3) for value in y.flatten().tolist()]
    [-1.0, 1.0]
    """

    shapes, dims = "(N, {C}) or (N, {C}, L)", (2, 3)


class BatchNorm2d(BatchNorm):
    """Over (N, C, H, W); arguments and keys as torch.nn.BatchNorm2d.

    >>> layer = BatchNorm2d(16)
    >>> layer(torch.zeros(64, 16, 14, 14)).shape, layer.weight.shape
    (torch.Size([64, 16, 14, 14]), torch.Size([16]))
    """

    shapes, dims = "(N, {C}, H, W)", (4,)
