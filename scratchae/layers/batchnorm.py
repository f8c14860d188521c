"""BatchNorm: normalise every channel to mean 0 and variance 1; then scale by w and shift by b (learned).

    μ = mean(x)   σ² = mean((x − μ)²)   x̂ = (x − μ) / √(σ² + ε)   y = w x̂ + b

x is (N, C), (N, C, L) or (N, C, H, W); μ, σ², w and b are (C,). The means are over the m values of
a channel, that is, over all axes except C (Ioffe and Szegedy 2015).

Backward. b and w reach the loss through y alone: db = Σ dy and dw = Σ dy x̂. For x, let
dx̂ = w dy and s = √(σ² + ε). x reaches the loss in three ways: through x̂ directly, through μ,
and through σ². Since ∂x̂ᵢ/∂μ = −1/s and ∂x̂ᵢ/∂σ² = −x̂ᵢ / (2 s²),

    dσ² = −Σ dx̂ x̂ / (2 s²)     dμ = −Σ dx̂ / s        (∂σ²/∂μ = −2 mean(x − μ) = 0)
    dx  = dx̂ / s + dσ² · 2 (x − μ) / m + dμ / m
        = (dx̂ − mean(dx̂) − x̂ · mean(dx̂ x̂)) / s
        = (w / s) (dy − db / m − x̂ · dw / m)

In words: if all x of a channel are shifted or scaled together, x̂ stays the same. So the last line
removes from dy the part that would shift x and the part that would scale it. With running statistics
(evaluation), μ and σ² do not depend on x, so dx = (w / s) dy.

In data parallel training, each worker (process) has a part of the batch, but needs the statistics of
the whole batch. So batchnorm_forward and batchnorm_backward take a function `join`. It gets values of
one worker's part and returns those of the whole batch (scratchae.distributed.batchnorm).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, accumulate, check_tensor, parameter

# (m, tensor (C,), tensor (C,)) of one worker's part -> the same three of the whole batch
Join = Callable[[int, Tensor, Tensor], tuple[int | Tensor, Tensor, Tensor]]


def one_worker(m: int, first: Tensor, second: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return the arguments unchanged. This is `join` if there is only one worker.

    >>> one_worker(2, torch.tensor([4.0]), torch.tensor([8.0]))
    (2, tensor([4.]), tensor([8.]))
    """
    return m, first, second


def batchnorm_forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float = 1e-5,
    join: Join = one_worker,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalise x (N, C, ...) with the statistics of the batch; return (y, x̂, mean, var).

    weight, bias: (C,) or None. y and x̂ have the shape of x; mean and var are (C,). var is the biased
    variance: the sum of squares is divided by m. join gets (m, mean, var) of x and returns those of the
    whole batch.

    >>> y, xhat, mean, var = batchnorm_forward(torch.tensor([[2.0], [6.0]]), None, None, eps=0.0)
    >>> xhat.tolist(), mean.tolist(), var.tolist()  # (2 − 4) / √4 and (6 − 4) / √4
    ([[-1.0], [1.0]], [4.0], [4.0])
    """
    axes = other_axes(x)
    mean = x.mean(axes)  # (C,)
    var = (x - per_channel(mean, x)).square().mean(axes)  # (C,)
    _, mean, var = join(values_per_channel(x), mean, var)
    xhat = (x - per_channel(mean, x)).mul_(per_channel((var + eps).rsqrt(), x))
    return affine(xhat, weight, bias), xhat, mean, var


def batchnorm_backward(
    dy: Tensor,
    xhat: Tensor,
    weight: Tensor | None,
    var: Tensor,
    eps: float = 1e-5,
    join: Join = one_worker,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias) after `batchnorm_forward`, for dy and xhat (N, C, ...), var (C,).

    weight, dweight, dbias: (C,); weight may be None. join gets (m, dbias, dweight) of dy and returns
    those of the whole batch. Only dx uses them. The returned dweight and dbias are those of dy alone.

    >>> dy, xhat = torch.tensor([[1.0], [5.0], [3.0], [3.0]]), torch.tensor([[-1.0], [1.0], [1.0], [-1.0]])
    >>> dx, dweight, dbias = batchnorm_backward(dy, xhat, torch.tensor([2.0]), torch.tensor([4.0]), 0.0)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()  # dx = dy − 3 − 1 · x̂, since w / s is 1
    ([[-1.0], [1.0], [-1.0], [1.0]], [4.0], [12.0])
    """
    axes = other_axes(dy)
    dbias = dy.sum(axes)  # (C,)
    dweight = (dy * xhat).sum(axes)  # (C,)
    m, db, dw = join(values_per_channel(dy), dbias, dweight)
    w_over_s = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
    # the last line of the derivation; each (C,) is reshaped so that it broadcasts with dy (N, C, ...)
    w_over_s, db_over_m, dw_over_m = (per_channel(v, dy) for v in (w_over_s, db / m, dw / m))
    dx = w_over_s * (dy - db_over_m - xhat * dw_over_m)
    return dx, dweight, dbias


def batchnorm_eval_forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """Normalise x (N, C, ...) with given statistics, such as the running ones; return (y, x̂).

    weight, bias: (C,) or None. mean, var: (C,). y and x̂ have the shape of x.

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
    """Return (dx, dweight, dbias) after `batchnorm_eval_forward`, for dy and xhat (N, C, ...), var (C,).

    weight, dweight, dbias: (C,); weight may be None.

    >>> dy, xhat, var = torch.tensor([[8.0]]), torch.tensor([[3.0]]), torch.tensor([4.0])
    >>> [gradient.item() for gradient in batchnorm_eval_backward(dy, xhat, torch.tensor([5.0]), var, 0.0)]
    [20.0, 24.0, 8.0]
    """
    axes = other_axes(dy)
    w_over_s = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
    return dy * per_channel(w_over_s, dy), (dy * xhat).sum(axes), dy.sum(axes)


def running_statistics(
    running_mean: Tensor,
    running_var: Tensor,
    mean: Tensor,
    var: Tensor,
    m: int,
    momentum: float = 0.1,
) -> tuple[Tensor, Tensor]:
    """Return the running mean and variance (C,), moved towards the batch's by the fraction `momentum`.

    mean, var: (C,), of a batch with m values per channel; var is the biased variance. The running
    variance moves towards the unbiased variance, which divides by m − 1 instead of m: the values of a
    batch are closer to their own mean than to the true mean, so dividing by m gives too small a variance.

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
    """Return all axes of x except axis 1, which counts the channels.

    >>> other_axes(torch.zeros(64, 16, 14, 14))
    (0, 2, 3)
    """
    return (0, *range(2, x.ndim))


def values_per_channel(x: Tensor) -> int:
    """Return m, the number of values that x (N, C, ...) holds for each channel.

    >>> values_per_channel(torch.zeros(64, 16, 14, 14))  # 64 · 14 · 14
    12544
    """
    return x.numel() // x.shape[1]


def per_channel(v: Tensor, x: Tensor) -> Tensor:
    """Return v (C,) as (C, 1, ...), so that it broadcasts with x (N, C, ...).

    >>> per_channel(torch.zeros(16), torch.zeros(64, 16, 14, 14)).shape
    torch.Size([16, 1, 1])
    """
    return v.view(-1, *[1] * (x.ndim - 2))


def affine(xhat: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return y = w x̂ + b as a new tensor. None stands for w = 1 or b = 0.

    >>> affine(torch.tensor([[-1.0], [1.0]]), torch.tensor([3.0]), torch.tensor([10.0])).tolist()
    [[7.0], [13.0]]
    """
    if weight is None:
        return xhat.clone() if bias is None else xhat + per_channel(bias, xhat)
    if bias is None:
        return xhat * per_channel(weight, xhat)
    return torch.addcmul(per_channel(bias, xhat), xhat, per_channel(weight, xhat))


class BatchNorm(Layer):
    """The base class of BatchNorm1d and BatchNorm2d, which differ only in the shapes they accept.

    In training mode, normalise with the batch's statistics and move the running statistics towards
    them by the fraction `momentum` (None: use the average of all batches so far). The running variance
    is unbiased (divided by m − 1). In evaluation mode, normalise with the running statistics, or with
    the batch's if there are no running ones. An empty batch does not change the running statistics, as
    in torch.nn.

    join_statistics, join_sums: `join` for batchnorm_forward and batchnorm_backward. Data parallel
    training sets them during each step. None means that there is only one worker.

    >>> layer = BatchNorm1d(1, momentum=0.5)
    >>> y = layer(torch.tensor([[2.0], [6.0]]))
    >>> layer.running_mean.item(), layer.running_var.item()  # halfway from 0 to 4, and from 1 to 8
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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(num_features, int) or num_features < 1:
            raise ScratchaeError(
                f"{name} expects num_features to be a whole number >= 1, got {num_features!r}"
            )
        if not eps >= 0:
            raise ScratchaeError(f"{name} expects eps >= 0, got {eps!r}: 1e-5 is usual")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ScratchaeError(
                f"{name} expects momentum between 0 and 1, or None for a plain average, got {momentum!r}"
            )
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        ones = torch.ones(num_features, device=device, dtype=dtype)
        self.weight = parameter(ones.clone()) if affine else None
        self.bias = parameter(torch.zeros_like(ones)) if affine and bias else None
        self.running_mean = torch.zeros_like(ones) if track_running_stats else None
        self.running_var = ones if track_running_stats else None
        self.num_batches_tracked = torch.tensor(0, device=device) if track_running_stats else None
        self.join_statistics: Join | None = None
        self.join_sums: Join | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        if not self.training and self.running_mean is not None and self.running_var is not None:
            var = self.running_var.clone()  # for backward: training changes it in place
            y, xhat = batchnorm_eval_forward(
                x, self.weight, self.bias, self.running_mean, var, self.eps
            )
            return self.remember(y, xhat, var, False)
        self.m = values_per_channel(x)
        join = [self.joined] if self.training and self.join_statistics else []
        y, xhat, mean, var = batchnorm_forward(x, self.weight, self.bias, self.eps, *join)
        self.check_spread(self.m)
        if self.training:
            self.track(mean, var, self.m)
        return self.remember(y, xhat, var, True)

    def joined(self, m: int, mean: Tensor, var: Tensor) -> tuple[int, Tensor, Tensor]:
        """Return (m, mean, var) of the whole batch, and set `self.m` to its m."""
        assert self.join_statistics is not None
        total, mean, var = self.join_statistics(m, mean, var)
        self.m = int(total)
        return self.m, mean, var

    def track(self, mean: Tensor, var: Tensor, m: int) -> None:
        """Move the running statistics, in place, towards those of a batch with m values per channel."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        if m == 0:
            return
        momentum = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        moved = running_statistics(self.running_mean, self.running_var, mean, var, m, momentum)
        self.running_mean.copy_(moved[0])
        self.running_var.copy_(moved[1])

    def backward(self, dy: Tensor) -> Tensor:
        xhat, var, from_batch = self.recall(dy)
        if from_batch:
            join = [self.join_sums] if self.training and self.join_sums else []
            dx, dweight, dbias = batchnorm_backward(dy, xhat, self.weight, var, self.eps, *join)
        else:
            dx, dweight, dbias = batchnorm_eval_backward(dy, xhat, self.weight, var, self.eps)
        if self.weight is not None:
            accumulate(self.weight, dweight)
        if self.bias is not None:
            accumulate(self.bias, dbias)
        return dx

    def check_spread(self, m: int) -> None:
        """Raise ScratchaeError if there is only one value per channel, m = 1."""
        if m == 1:
            raise ScratchaeError(
                f"{self!r} got one value per channel, which has no spread: "
                "train on batches of two or more, or call eval() first if there are running statistics"
            )

    def check_input(self, x: Tensor) -> None:
        """Raise ScratchaeError if x has the wrong dtype, device or shape."""
        own = next((t for t in (self.weight, self.running_mean) if t is not None), None)
        dtype, device = (None, None) if own is None else (own.dtype, own.device)
        check_tensor(self, x, dtype, device)
        if x.ndim not in self.dims or x.shape[1] != self.num_features:
            raise ScratchaeError(
                f"{self!r} expects {self.shapes.format(C=self.num_features)} but got {tuple(x.shape)}: "
                "num_features is the size of axis 1"
            )

    def arguments(self) -> dict[str, object]:
        bias = self.bias is not None or not self.affine  # without affine, `bias` has no effect
        return {**super().arguments(), "bias": bias}


class BatchNorm1d(BatchNorm):
    """BatchNorm for (N, C) or (N, C, L), with the arguments and keys of torch.nn.BatchNorm1d.

    >>> y = BatchNorm1d(1)(torch.tensor([[2.0], [6.0]]))
    >>> [round(value, 3) for value in y.flatten().tolist()]
    [-1.0, 1.0]
    """

    shapes, dims = "(N, {C}) or (N, {C}, L)", (2, 3)


class BatchNorm2d(BatchNorm):
    """BatchNorm for (N, C, H, W), with the arguments and keys of torch.nn.BatchNorm2d.

    >>> layer = BatchNorm2d(16)
    >>> layer(torch.zeros(64, 16, 14, 14)).shape, layer.weight.shape
    (torch.Size([64, 16, 14, 14]), torch.Size([16]))
    """

    shapes, dims = "(N, {C}, H, W)", (4,)
