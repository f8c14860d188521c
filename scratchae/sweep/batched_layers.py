"""Many models as one: the tensors of M models of one shape, one above the other.

    y[m] = x[m] W[m]ᵀ + b[m]      x (M, N, I)   W (M, O, I)   b (M, O)   y (M, N, O)

is the forward pass of M Linear layers in one batched product. The models do not meet: y[m] depends
on nothing of another model, so each gradient is that of linear.py with an m before its indices,

    dx[m] = dy[m] W[m]       dW[m] = dy[m]ᵀ x[m]       db[m] = Σₙ dy[m,n]

and no sum runs over m. A layer that works on single numbers (ReLU, Tanh, ...) does not see the new
axis and is used as it is; layers of channels are in convolution.py and batchnorm.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, accumulate, parameter


class Stacked(Layer):
    """M layers built alike, their parameters and buffers stacked along a new first axis.

    Input (M, ...), output (M, ...); every entry m is what layer m makes of its own part.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        first = layers[0]
        self.parameter_names, self.buffer_names = first.parameter_names, first.buffer_names
        for name in (*self.parameter_names, *self.buffer_names):
            own = [getattr(layer, name) for layer in layers]
            setattr(self, name, None if own[0] is None else torch.stack(own))
        for tensor in self.parameters():
            parameter(tensor)
        self.training = first.training
        self.models, self.what = len(layers), repr(first)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) != self.models:
            raise ScratchaeError(
                f"{self!r} wants ({self.models}, ...), a batch for each model, but got "
                f"{tuple(x.shape)}: stack the batches along a first axis"
            )
        return self.forward_all(x)

    def forward_all(self, x: Tensor) -> Tensor:
        """`forward`, once x is seen to hold a batch for each model."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.models} x {self.what}"


def stacked_linear_forward(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y (M, ..., O) for x (M, ..., I), weight (M, O, I), bias (M, O) or None.

    >>> x, weight = torch.ones(2, 5, 3), torch.stack([torch.zeros(4, 3), torch.ones(4, 3)])
    >>> stacked_linear_forward(x, weight)[:, 0]  # the first image of either model
    tensor([[0., 0., 0., 0.],
            [3., 3., 3., 3.]])
    """
    rows = in_rows(x)  # (M, N, I)
    W = weight.mT  # (M, I, O)
    y = rows @ W if bias is None else torch.baddbmm(bias.unsqueeze(1), rows, W)  # (M, N, O)
    return y.view(*x.shape[:-1], weight.shape[1])


class StackedLinear(Stacked):
    """M Linear layers of one size.

    >>> from scratchae.layers import Linear
    >>> layers = [Linear(3, 2), Linear(3, 2)]
    >>> y = StackedLinear(layers)(torch.ones(2, 5, 3))
    >>> torch.allclose(y[1], layers[1](torch.ones(5, 3)))
    True
    """

    def forward_all(self, x: Tensor) -> Tensor:
        return self.remember(stacked_linear_forward(x, self.weight, self.bias), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        dy_rows, rows = in_rows(dy), in_rows(x)  # (M, N, O), (M, N, I)
        dweight = self.weight.grad  # added to in one pass: M gradients at once fill the cache
        torch.baddbmm(dweight, dy_rows.mT, rows, out=dweight)  # (M, O, I)
        if self.bias is not None:
            accumulate(self.bias, dy_rows.sum(dim=1))  # (M, O)
        return (dy_rows @ self.weight).view(x.shape)  # (M, ..., I)


def in_rows(x: Tensor) -> Tensor:
    """(M, ..., I) as (M, N, I): leading dimensions are one long batch, but for the models'."""
    return x.reshape(len(x), -1, x.shape[-1])


def stacked_mse_forward(prediction: Tensor, target: Tensor) -> Tensor:
    """Every model's own mean squared error, (M,), for two tensors (M, ...).

    >>> stacked_mse_forward(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), torch.ones(2, 2))
    tensor([ 2., 16.])
    """
    return (prediction - target).square().flatten(1).mean(dim=1)


def stacked_mse_backward(prediction: Tensor, target: Tensor) -> Tensor:
    """dprediction (M, ...), the gradient of each model's own loss.

    >>> stacked_mse_backward(torch.tensor([[1.0, 3.0], [5.0, 5.0]]), torch.ones(2, 2))
    tensor([[0., 2.],
            [4., 4.]])
    """
    return (prediction - target) * (2 / prediction[0].numel())
