"""Activations: one number in, one number out, so the gradient is the slope there times dy.

    y = f(x)      dx = dy · f'(x)

            f(x)                          f'(x)
    ReLU    max(x, 0)                     1 where x > 0, else 0
    Leaky   x where x > 0, else a·x       1 where x > 0, else a
    Tanh    (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)       1 − y²
    Sigmoid 1 / (1 + e⁻ˣ)                 y (1 − y)

ReLU has no slope at 0; as torch does, we take 0 there. ReLU, Tanh and Sigmoid need only their
output to tell the slope (a ReLU's y is positive exactly where x was), so x need not be kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, check_tensor


def relu_forward(x: Tensor) -> Tensor:
    """max(x, 0), any shape.

    >>> relu_forward(torch.tensor([-2.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 3.0]
    """
    return x.clamp(min=0)


def relu_backward(dy: Tensor, y: Tensor) -> Tensor:
    """dx, given the output y: the slope is sign(y), 1 where y > 0 and 0 where y = 0.

    >>> relu_backward(torch.tensor([5.0, 6.0, 7.0]), torch.tensor([0.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 7.0]
    """
    return dy * y.sign()


def leaky_relu_forward(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope · x; any shape.

    >>> leaky_relu_forward(torch.tensor([-2.0, 0.0, 3.0]), 0.5).tolist()
    [-1.0, 0.0, 3.0]
    """
    return torch.where(x > 0, x, negative_slope * x)


def leaky_relu_backward(dy: Tensor, x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """dx, given the input x: with a slope of 0 or less the output would not tell the side.

    >>> leaky_relu_backward(torch.tensor([6.0, 7.0]), torch.tensor([-2.0, 3.0]), 0.5).tolist()
    [3.0, 7.0]
    """
    return torch.where(x > 0, dy, negative_slope * dy)


def tanh_forward(x: Tensor) -> Tensor:
    """tanh x, any shape.

    >>> tanh_forward(torch.tensor([-100.0, 0.0, 100.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return torch.tanh(x)


def tanh_backward(dy: Tensor, y: Tensor) -> Tensor:
    """dx, given the output y: tanh' = 1 − y².

    >>> tanh_backward(torch.tensor([8.0, 8.0, 8.0]), torch.tensor([0.0, 0.5, 1.0])).tolist()
    [8.0, 6.0, 0.0]
    """
    return dy * (1 - y * y)


def sigmoid_forward(x: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ), any shape.

    >>> sigmoid_forward(torch.tensor([-100.0, 0.0, 100.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return 1 / (1 + torch.exp(-x))


def sigmoid_backward(dy: Tensor, y: Tensor) -> Tensor:
    """dx, given the output y: sigmoid' = y (1 − y).

    >>> sigmoid_backward(torch.tensor([8.0, 8.0]), torch.tensor([0.5, 1.0])).tolist()
    [2.0, 0.0]
    """
    return dy * (y * (1 - y))


class ReLU(Layer):
    """max(x, 0).

    >>> layer = ReLU()
    >>> layer(torch.tensor([-2.0, 3.0])).tolist(), layer.backward(torch.tensor([6.0, 7.0])).tolist()
    ([0.0, 3.0], [0.0, 7.0])
    """

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        y = relu_forward(x)
        return self.remember(y, y)

    def backward(self, dy: Tensor) -> Tensor:
        (y,) = self.recall(dy)
        return relu_backward(dy, y)


class LeakyReLU(Layer):
    """x where x > 0, else negative_slope · x.

    >>> layer = LeakyReLU(0.5)
    >>> layer(torch.tensor([-2.0, 3.0])).tolist(), layer.backward(torch.tensor([6.0, 7.0])).tolist()
    ([-1.0, 3.0], [3.0, 7.0])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        if isinstance(negative_slope, bool) or not isinstance(negative_slope, int | float):
            raise ScratchaeError(
                f"LeakyReLU wants negative_slope to be a number, got {negative_slope!r}"
            )
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        return self.remember(leaky_relu_forward(x, self.negative_slope), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        return leaky_relu_backward(dy, x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Tanh(Layer):
    """tanh x, in [-1, 1].

    >>> layer = Tanh()
    >>> layer(torch.tensor([0.0, 100.0])).tolist(), layer.backward(torch.tensor([6.0, 7.0])).tolist()
    ([0.0, 1.0], [6.0, 0.0])
    """

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        y = tanh_forward(x)
        return self.remember(y, y)

    def backward(self, dy: Tensor) -> Tensor:
        (y,) = self.recall(dy)
        return tanh_backward(dy, y)


class Sigmoid(Layer):
    """1 / (1 + e⁻ˣ), in [0, 1].

    >>> layer = Sigmoid()
    >>> layer(torch.tensor([0.0, 100.0])).tolist(), layer.backward(torch.tensor([8.0, 8.0])).tolist()
    ([0.5, 1.0], [2.0, 0.0])
    """

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        y = sigmoid_forward(x)
        return self.remember(y, y)

    def backward(self, dy: Tensor) -> Tensor:
        (y,) = self.recall(dy)
        return sigmoid_backward(dy, y)
