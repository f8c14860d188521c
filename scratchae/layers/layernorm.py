"""LayerNorm: normalise every sample to mean 0 and variance 1; then scale by w and shift by b (learned).

    μ = mean(x)   σ² = mean((x − μ)²)   s = √(σ² + ε)   x̂ = (x − μ) / s   y = w x̂ + b

x is (..., *S) with S = normalized_shape. A sample is one entry of the axes before S. The means are over
its m values, that is, over the last axes, those of S (Ba, Kiros and Hinton 2016). μ, σ² and s have one
value for each sample, and an axis of size 1 for each axis of S: (..., 1) if S has one axis. w and b have
shape S and are the same for all samples. Samples do not influence one another. So, unlike BatchNorm,
LayerNorm has the same formula in training and in evaluation, and a batch of one sample is enough.

Backward. w and b are used by every sample, so their gradients are summed over the samples:

    db = Σ dy         dw = Σ dy x̂         over all axes except those of S

For x, let dx̂ = w dy. The sums and means below are over the m values of one sample. x reaches the
loss in three ways.

1. Through x̂ = (x − μ) / s directly, with μ and s held fixed:                          dx̂ / s
2. Through μ. Each x̂ᵢ has ∂x̂ᵢ/∂μ = −1/s, so dμ = −Σ dx̂ / s. (σ² depends on μ as well, but
   ∂σ²/∂μ = −2 mean(x − μ) = 0.) μ is the mean of m values, so ∂μ/∂x = 1/m:       −mean(dx̂) / s
3. Through σ². Since ∂s/∂σ² = 1 / (2 s), each x̂ᵢ has ∂x̂ᵢ/∂σ² = −x̂ᵢ / (2 s²), so
   dσ² = −Σ dx̂ x̂ / (2 s²). With ∂σ²/∂x = 2 (x − μ) / m = 2 s x̂ / m:       −x̂ · mean(dx̂ x̂) / s

The sum of the three is

    dx = (dx̂ − mean(dx̂) − x̂ · mean(dx̂ x̂)) / s

BatchNorm's dx has the same form. There, all values in one mean have the same w, so w can be written in
front of the mean. Here each value has its own w, so w stays inside.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, accumulate, check_tensor, parameter


def layernorm_forward(
    x: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (y, x̂, s) for x (..., *S), weight and bias of shape S or None, S = normalized_shape.

    s has the shape of x with 1 for each axis of S.

    >>> y, xhat, s = layernorm_forward(torch.tensor([[2.0, 6.0]]), (2,), torch.tensor([1.0, 10.0]), eps=0)
    >>> y.tolist(), xhat.tolist(), s.tolist()  # the mean is 4, the deviation 2
    ([[-1.0, 10.0]], [[-1.0, 1.0]], [[2.0]])
    """
    axes = sample_axes(normalized_shape)
    centred = x - x.mean(axes, keepdim=True)  # (..., *S)
    var = centred.square().mean(axes, keepdim=True)  # (..., 1)
    s = (var + eps).sqrt()
    xhat = centred / s

    y = xhat.clone() if weight is None else weight * xhat
    return y if bias is None else y + bias, xhat, s


def layernorm_backward(
    dy: Tensor,
    xhat: Tensor,
    s: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias) for dy and x̂ (..., *S), weight of shape S or None, and s of the forward.

    >>> dy, xhat = torch.tensor([[1.0, 5.0, 0.0, 0.0]]), torch.tensor([[-1.0, 1.0, 1.0, -1.0]])
    >>> dx, dweight, dbias = layernorm_backward(dy, xhat, torch.tensor([[0.5]]), (4,))
    >>> dx.tolist()  # (dy − 1.5 − x̂ · 1) / s: the mean of dy is 1.5, and that of dy x̂ is 1
    [[1.0, 5.0, -5.0, -1.0]]
    >>> dweight.tolist(), dbias.tolist()
    ([-1.0, 5.0, 0.0, 0.0], [1.0, 5.0, 0.0, 0.0])
    """
    axes = sample_axes(normalized_shape)
    dbias = dy.reshape(-1, *normalized_shape).sum(dim=0)  # S
    dweight = (dy * xhat).reshape(-1, *normalized_shape).sum(dim=0)  # S

    dxhat = dy if weight is None else weight * dy  # (..., *S)
    mean = dxhat.mean(axes, keepdim=True)  # (..., 1)
    mean_with_xhat = (dxhat * xhat).mean(axes, keepdim=True)  # (..., 1)
    dx = (dxhat - mean - xhat * mean_with_xhat) / s
    return dx, dweight, dbias


def sample_axes(normalized_shape: Sequence[int]) -> tuple[int, ...]:
    """Return the axes of one sample's values, counted from the end.

    >>> sample_axes((16, 14, 14))
    (-3, -2, -1)
    """
    return tuple(range(-len(normalized_shape), 0))


class LayerNorm(Layer):
    """LayerNorm over the last axes, with the arguments, initialisation and keys of torch.nn.LayerNorm.

    Input and output (..., *normalized_shape). normalized_shape: the sizes of these axes; a single number
    is the size of the last axis.

    >>> layer = LayerNorm((16, 14, 14))
    >>> layer(torch.zeros(64, 16, 14, 14)).shape, layer.weight.shape
    (torch.Size([64, 16, 14, 14]), torch.Size([16, 14, 14]))
    >>> LayerNorm(2, eps=0)(torch.tensor([[2.0, 6.0], [100.0, 300.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    parameter_names = ("weight", "bias")

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        if (
            not isinstance(shape, tuple | list)
            or not shape
            or any(not isinstance(n, int) or n < 1 for n in shape)
        ):
            raise ScratchaeError(
                "LayerNorm expects normalized_shape to be a whole number >= 1 or several of them, "
                f"got {normalized_shape!r}"
            )
        if not eps >= 0:
            raise ScratchaeError(f"LayerNorm expects eps >= 0, got {eps!r}: 1e-5 is usual")
        self.normalized_shape, self.eps = tuple(shape), eps
        self.elementwise_affine = elementwise_affine
        ones = torch.ones(self.normalized_shape, device=device, dtype=dtype)
        self.weight = parameter(ones) if elementwise_affine else None
        self.bias = parameter(torch.zeros_like(ones)) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        dtype, device = (None, None)
        if self.weight is not None:
            dtype, device = self.weight.dtype, self.weight.device
        check_tensor(self, x, dtype, device)
        if x.shape[-len(self.normalized_shape) :] != self.normalized_shape:
            expected = ", ".join(map(str, self.normalized_shape))
            raise ScratchaeError(
                f"{self!r} expects (..., {expected}) but got {tuple(x.shape)}: "
                "normalized_shape is the sizes of the last axes"
            )
        y, xhat, s = layernorm_forward(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return self.remember(y, xhat, s)

    def backward(self, dy: Tensor) -> Tensor:
        xhat, s = self.recall(dy)
        dx, dweight, dbias = layernorm_backward(dy, xhat, s, self.normalized_shape, self.weight)
        if self.weight is not None:
            accumulate(self.weight, dweight)
        if self.bias is not None:
            accumulate(self.bias, dbias)
        return dx
