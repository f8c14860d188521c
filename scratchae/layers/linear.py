"""Linear: every output is a weighted sum of every input.

    y = x Wᵀ + b            x (N, I)   W (O, I)   b (O,)   y (N, O)

Backward, given dy = ∂L/∂y (N, O). Written out, y[n,o] = Σᵢ x[n,i] W[o,i] + b[o]. So

    dx[n,i] = Σₒ dy[n,o] W[o,i]     dx = dy W        each input feeds every output
    dW[o,i] = Σₙ dy[n,o] x[n,i]     dW = dyᵀ x       every sample uses W, so we sum over the batch
    db[o]   = Σₙ dy[n,o]

If x has more axes, (..., I), all axes except the last one are treated as one batch axis.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, accumulate, check_tensor, parameter
from scratchae.layers.init import default_bias, default_weight


def linear_forward(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return y = x Wᵀ + b, of shape (..., O), for x (..., I), weight (O, I), bias (O,) or None.

    >>> x, weight, bias = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 2.0]]), torch.tensor([5.0])
    >>> linear_forward(x, weight, bias).tolist()  # 3·1 + 4·2 + 5
    [[16.0]]
    """
    rows = x.reshape(-1, x.shape[-1])  # (N, I)
    y = rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)  # (N, O)
    return y.reshape(*x.shape[:-1], weight.shape[0])


def linear_backward(dy: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias) for dy (..., O), x (..., I), weight (O, I).

    >>> x, weight = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 2.0]])
    >>> dx, dweight, dbias = linear_backward(torch.tensor([[10.0]]), x, weight)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()
    ([[10.0, 20.0]], [[30.0, 40.0]], [10.0])
    """
    dy_rows = dy.reshape(-1, dy.shape[-1])  # (N, O)
    rows = x.reshape(-1, x.shape[-1])  # (N, I)
    dx = (dy_rows @ weight).reshape(x.shape)  # (..., I)
    dweight = dy_rows.T @ rows  # (O, I)
    dbias = dy_rows.sum(dim=0)  # (O,)
    return dx, dweight, dbias


class Linear(Layer):
    """y = x Wᵀ + b, with the arguments, the initialisation and the keys of torch.nn.Linear.

    Input (..., in_features), output (..., out_features).

    >>> layer = Linear(784, 128)
    >>> layer(torch.zeros(64, 784)).shape, layer.weight.shape
    (torch.Size([64, 128]), torch.Size([128, 784]))
    >>> layer.backward(torch.ones(64, 128)).shape, layer.bias.grad[0].item()  # summed over the batch
    (torch.Size([64, 784]), 64.0)
    """

    parameter_names = ("weight", "bias")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(value, int) or value < 1:
                raise ScratchaeError(
                    f"Linear expects {name} to be a whole number >= 1, got {value!r}"
                )
        self.in_features, self.out_features = in_features, out_features
        shape, made = (out_features, in_features), (generator, device, dtype)
        self.weight = parameter(default_weight(shape, in_features, *made))
        self.bias = parameter(default_bias(out_features, in_features, *made)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, self.weight.dtype, self.weight.device)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            flat = x.ndim > 1 and x[0].numel() == self.in_features
            cure = "put a Flatten() before it" if flat else "the last size has to match"
            raise ScratchaeError(
                f"{self!r} expects (..., {self.in_features}) but got {tuple(x.shape)}: {cure}"
            )
        return self.remember(linear_forward(x, self.weight, self.bias), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        dx, dweight, dbias = linear_backward(dy, x, self.weight)
        accumulate(self.weight, dweight)
        if self.bias is not None:
            accumulate(self.bias, dbias)
        return dx
