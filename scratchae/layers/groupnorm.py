"""GroupNorm: normalise each group of channels of each sample; then scale by w and shift by b (learned).

The C channels of x (N, C, ...) are divided into G groups of C/G neighbouring channels. With x as
(N, G, C/G, ...), a group of a sample is normalised to mean 0 and variance 1, as LayerNorm does with all
values of a sample. So layernorm_forward computes x̂ here too (Wu and He 2018). w and b are (C,): unlike
in LayerNorm, there is one for each channel, as in BatchNorm.

    x̂ = LayerNorm of the groups            y = w x̂ + b

G = 1 puts all channels into one group. G = C normalises each channel alone. Samples do not influence one
another, so the formula is the same in training and evaluation, and a batch of one sample is enough.

Backward. w and b are used at all pixels of all samples. x̂ depends on x as in LayerNorm, so
layernorm_backward gives dx, with dx̂ in the place of its dy:

    db = Σ dy        dw = Σ dy x̂        over all axes except C
    dx̂ = w dy        dx = LayerNorm's, for the groups of dx̂
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, accumulate, check_tensor, parameter
from scratchae.layers.batchnorm import affine, other_axes, per_channel
from scratchae.layers.layernorm import layernorm_backward, layernorm_forward


def groupnorm_forward(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (y, x̂, s) for x (N, C, ...), weight and bias (C,) or None.

    x̂ has the shape of x. s is (N, G, 1, ...), with as many axes as the groups (N, G, C/G, ...).

    >>> x, weight = torch.tensor([[2.0, 6.0, 10.0, 30.0]]), torch.tensor([1.0, 1.0, 1.0, 5.0])
    >>> y, xhat, s = groupnorm_forward(x, 2, weight, eps=0)
    >>> y.tolist(), xhat.tolist(), s.flatten().tolist()  # the means are 4 and 20, the deviations 2 and 10
    ([[-1.0, 1.0, -1.0, 5.0]], [[-1.0, 1.0, -1.0, 1.0]], [2.0, 10.0])
    """
    grouped = in_groups(x, num_groups)  # (N, G, C/G, ...)
    xhat, _, s = layernorm_forward(grouped, grouped.shape[2:], eps=eps)
    xhat = xhat.reshape(x.shape)
    return affine(xhat, weight, bias), xhat, s


def groupnorm_backward(
    dy: Tensor, xhat: Tensor, s: Tensor, num_groups: int, weight: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias) for dy and x̂ (N, C, ...), weight (C,) or None, and s of the forward.

    >>> dy, xhat = torch.tensor([[1.0, 5.0, 0.0, 0.0]]), torch.tensor([[-1.0, 1.0, 1.0, -1.0]])
    >>> dx, dweight, dbias = groupnorm_backward(dy, xhat, torch.full((1, 1, 1), 0.5), 1)
    >>> dx.tolist()  # (dy − 1.5 − x̂ · 1) / s: the mean of dy is 1.5, and that of dy x̂ is 1
    [[1.0, 5.0, -5.0, -1.0]]
    >>> dweight.tolist(), dbias.tolist()
    ([-1.0, 5.0, 0.0, 0.0], [1.0, 5.0, 0.0, 0.0])
    """
    axes = other_axes(dy)
    dbias = dy.sum(axes)  # (C,)
    dweight = (dy * xhat).sum(axes)  # (C,)

    dxhat = dy if weight is None else per_channel(weight, dy) * dy  # (N, C, ...)
    dxhat, xhat = in_groups(dxhat, num_groups), in_groups(xhat, num_groups)  # (N, G, C/G, ...)
    dx, _, _ = layernorm_backward(dxhat, xhat, s, dxhat.shape[2:])
    return dx.reshape(dy.shape), dweight, dbias


def in_groups(x: Tensor, num_groups: int) -> Tensor:
    """Return x (N, C, ...) as (N, G, C/G, ...).

    >>> in_groups(torch.zeros(64, 16, 14, 14), 4).shape
    torch.Size([64, 4, 4, 14, 14])
    """
    return x.unflatten(1, (num_groups, x.shape[1] // num_groups))


class GroupNorm(Layer):
    """Normalise groups of channels, with the arguments, initialisation and keys of torch.nn.GroupNorm.

    Input and output (N, num_channels, ...). num_groups has to divide num_channels.

    >>> layer = GroupNorm(4, 16)
    >>> layer(torch.zeros(64, 16, 14, 14)).shape, layer.weight.shape
    (torch.Size([64, 16, 14, 14]), torch.Size([16]))
    >>> GroupNorm(2, 4, eps=0)(torch.tensor([[2.0, 6.0, 10.0, 30.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    parameter_names = ("weight", "bias")

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        for name, value in (("num_groups", num_groups), ("num_channels", num_channels)):
            if not isinstance(value, int) or value < 1:
                raise ScratchaeError(
                    f"GroupNorm expects {name} to be a whole number >= 1, got {value!r}"
                )
        if num_channels % num_groups:
            raise ScratchaeError(
                f"GroupNorm cannot divide {num_channels} channels into {num_groups} equal groups: "
                "num_groups must divide num_channels"
            )
        if not eps >= 0:
            raise ScratchaeError(f"GroupNorm expects eps >= 0, got {eps!r}: 1e-5 is usual")
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        ones = torch.ones(num_channels, device=device, dtype=dtype)
        self.weight = parameter(ones) if affine else None
        self.bias = parameter(torch.zeros_like(ones)) if affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        dtype, device = (None, None)
        if self.weight is not None:
            dtype, device = self.weight.dtype, self.weight.device
        check_tensor(self, x, dtype, device)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ScratchaeError(
                f"{self!r} expects (N, {self.num_channels}, ...) but got {tuple(x.shape)}: "
                "num_channels is the size of axis 1"
            )
        if x.numel() == self.num_groups:
            raise ScratchaeError(
                f"{self!r} got one value per group, which has no spread: use fewer groups"
            )
        y, xhat, s = groupnorm_forward(x, self.num_groups, self.weight, self.bias, self.eps)
        return self.remember(y, xhat, s)

    def backward(self, dy: Tensor) -> Tensor:
        xhat, s = self.recall(dy)
        dx, dweight, dbias = groupnorm_backward(dy, xhat, s, self.num_groups, self.weight)
        if self.weight is not None:
            accumulate(self.weight, dweight)
        if self.bias is not None:
            accumulate(self.bias, dbias)
        return dx

    def arguments(self) -> dict[str, object]:
        bias = self.bias is not None or not self.affine  # without affine, `bias` has no effect
        return {**super().arguments(), "bias": bias}
