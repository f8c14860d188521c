"""Activations: each output depends on one input only, so dx is dy times the slope at this input.

    y = f(x)      dx = dy · f'(x)

            f(x)                          f'(x)
    ReLU    max(x, 0)                     sign(y): 1 if x > 0, else 0
    Leaky   x if x > 0, else a·x          1 if x > 0, else a
    Tanh    (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)       1 − y²
    Sigmoid 1 / (1 + e⁻ˣ)                 y (1 − y)

ReLU has no slope at 0. We use 0, as torch does. The slopes of ReLU, Tanh and Sigmoid can be computed
from y alone, so x does not have to be kept. For ReLU, y is positive exactly if x is positive.
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, check_tensor


def relu_forward(x: Tensor) -> Tensor:
    """Return max(x, 0) for x of any shape.

    >>> relu_forward(torch.tensor([-2.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 3.0]
    """
    return x.clamp(min=0)


def relu_backward(dy: Tensor, y: Tensor) -> Tensor:
    """Return dx, given the output y: the slope is 1 if y > 0, and 0 if y = 0.

    >>> relu_backward(torch.tensor([5.0, 6.0, 7.0]), torch.tensor([0.0, 0.0, 3.0])).tolist()
    [0.0, 0.0, 7.0]
    """
    return dy * y.sign()


def leaky_relu_forward(x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Return x if x > 0, else negative_slope · x, for each element of x of any shape.

    >>> leaky_relu_forward(torch.tensor([-2.0, 0.0, 3.0]), 0.5).tolist()
    [-1.0, 0.0, 3.0]
    """
    return torch.where(x > 0, x, negative_slope * x)


def leaky_relu_backward(dy: Tensor, x: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Return dx, given the input x. (y is not enough: if negative_slope <= 0, y does not show the sign of x.)

    >>> leaky_relu_backward(torch.tensor([6.0, 7.0]), torch.tensor([-2.0, 3.0]), 0.5).tolist()
    [3.0, 7.0]
    """
    return torch.where(x > 0, dy, negative_slope * dy)


def tanh_forward(x: Tensor) -> Tensor:
    """Return tanh x for x of any shape.

    >>> tanh_forward(torch.tensor([-100.0, 0.0, 100.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return torch.tanh(x)


def tanh_backward(dy: Tensor, y: Tensor) -> Tensor:
    """Return dx, given the output y: the slope is 1 − y².

    >>> tanh_backward(torch.tensor([8.0, 8.0, 8.0]), torch.tensor([0.0, 0.5, 1.0])).tolist()
    [8.0, 6.0, 0.0]
    """
    return dy * (1 - y * y)


def sigmoid_forward(x: Tensor) -> Tensor:
    """Return 1 / (1 + e⁻ˣ) for x of any shape.

    >>> sigmoid_forward(torch.tensor([-100.0, 0.0, 100.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return 1 / (1 + torch.exp(-x))


def sigmoid_backward(dy: Tensor, y: Tensor) -> Tensor:
    """Return dx, given the output y: the slope is y (1 − y).

    >>> sigmoid_backward(torch.tensor([8.0, 8.0]), torch.tensor([0.5, 1.0])).tolist()
    [2.0, 0.0]
    """
    return dy * (y * (1 - y))


class ReLU(Layer):
    """The activation max(x, 0), for x of any shape.

    >>> layer = ReLU()
    >>> layer(torch.tensor([-2.0, 3.0])).tolist(), layer.backward(torch.tensor([6.0, 7.0])).tolist()
    ([0.0, 3.0], [0.0, 7.0])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        refuse_inplace("ReLU", inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        y = relu_forward(x)
        return self.remember(y, y)

    def backward(self, dy: Tensor) -> Tensor:
        (y,) = self.recall(dy)
        return relu_backward(dy, y)


class LeakyReLU(Layer):
    """The activation x if x > 0, else negative_slope · x, for x of any shape.

    >>> layer = LeakyReLU(0.5)
    >>> layer(torch.tensor([-2.0, 3.0])).tolist(), layer.backward(torch.tensor([6.0, 7.0])).tolist()
    ([-1.0, 3.0], [3.0, 7.0])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        refuse_inplace("LeakyReLU", inplace)
        check_number("LeakyReLU", "negative_slope", negative_slope)
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        return self.remember(leaky_relu_forward(x, self.negative_slope), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        return leaky_relu_backward(dy, x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Tanh(Layer):
    """The activation tanh x, for x of any shape. Its values are in [-1, 1].

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
    """The activation 1 / (1 + e⁻ˣ), for x of any shape. Its values are in [0, 1].

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


def refuse_inplace(name: str, inplace: bool) -> None:
    """Raise ScratchaeError if `inplace` is True, which only torch.nn supports.

    >>> refuse_inplace("ReLU", False)
    """
    if inplace:
        raise ScratchaeError(
            f"{name} never overwrites its input, since the layer before may need it for its "
            "backward pass: omit inplace=True"
        )


def check_number(layer: str, name: str, value: object) -> None:
    """Raise ScratchaeError if `value`, the argument `name` of a layer, is not a number.

    >>> check_number("LeakyReLU", "negative_slope", 0.01)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScratchaeError(f"{layer} expects {name} to be a number, got {value!r}")
