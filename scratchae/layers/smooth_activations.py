"""SiLU, GELU and Softplus: activations like ReLU, but without its corner at 0.

Each output depends on one input only, so dx is dy times the slope at this input: dx = dy · f'(x).

SiLU and GELU multiply x by a gate g(x) between 0 and 1, which rises with x. By the product rule,

    y = x g(x)      dx = dy · (g(x) + x g'(x))

            g(x)                          g'(x)
    SiLU    σ(x) = 1 / (1 + e⁻ˣ)          σ(x) (1 − σ(x))
    GELU    Φ(x) = (1 + erf(x / √2)) / 2  φ(x) = e^(−x²/2) / √(2π)
    or      (1 + tanh u) / 2              (1 − tanh² u) u' / 2
            with u = √(2/π) (x + a x³), u' = √(2/π) (1 + 3 a x²) and a = 0.044715

Φ(x) is the probability that a standard normal number is less than x, and φ is its density. The last gate
approximates Φ (Hendrycks and Gimpel 2016, who also name SiLU).

Softplus is the function whose slope is the sigmoid. A large β makes it more like ReLU:

    y = log(1 + e^(βx)) / β      dx = dy · β e^(βx) / (β (1 + e^(βx))) = dy · σ(βx)

For large βx, e^(βx) would overflow. There y is x up to rounding, so where βx > threshold we use y = x
and the slope 1, as torch does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.activations import check_number, refuse_inplace, sigmoid_forward
from scratchae.layers.base import Layer, check_tensor

CUBIC = 0.044715  # a


def silu_forward(x: Tensor) -> Tensor:
    """Return x σ(x) for x of any shape.

    >>> silu_forward(torch.tensor([-100.0, 0.0, 100.0])).tolist()
    [-0.0, 0.0, 100.0]
    """
    return x * sigmoid_forward(x)


def silu_backward(dy: Tensor, x: Tensor) -> Tensor:
    """Return dx, given the input x.

    >>> silu_backward(torch.tensor([2.0, 2.0]), torch.tensor([0.0, 100.0])).tolist()
    [1.0, 2.0]
    """
    s = sigmoid_forward(x)
    return dy * (s + x * s * (1 - s))


def gelu_forward(x: Tensor, approximate: str = "none") -> Tensor:
    """Return x Φ(x) for x of any shape. approximate: "none", or "tanh" for the approximation of Φ.

    >>> gelu_forward(torch.tensor([-100.0, 0.0, 100.0])).tolist()
    [-0.0, 0.0, 100.0]
    """
    if approximate == "tanh":
        u = math.sqrt(2 / math.pi) * (x + CUBIC * x**3)
        gate = (1 + torch.tanh(u)) / 2
    else:
        gate = (1 + torch.erf(x / math.sqrt(2))) / 2
    return x * gate


def gelu_backward(dy: Tensor, x: Tensor, approximate: str = "none") -> Tensor:
    """Return dx, given the input x.

    >>> gelu_backward(torch.tensor([2.0, 2.0]), torch.tensor([0.0, 100.0])).tolist()
    [1.0, 2.0]
    """
    if approximate == "tanh":
        t = torch.tanh(math.sqrt(2 / math.pi) * (x + CUBIC * x**3))
        du = math.sqrt(2 / math.pi) * (1 + 3 * CUBIC * x**2)
        gate = (1 + t) / 2
        dgate = (1 - t**2) * du / 2
    else:
        gate = (1 + torch.erf(x / math.sqrt(2))) / 2
        dgate = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return dy * (gate + x * dgate)


def softplus_forward(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + e^(βx)) / β for x of any shape, and x itself where βx > threshold.

    >>> softplus_forward(torch.tensor([-1000.0, 0.0, 1000.0])).tolist()  # log 2 at x = 0
    [0.0, 0.6931471824645996, 1000.0]
    """
    z = beta * x
    return torch.where(z > threshold, x, torch.log1p(torch.exp(z)) / beta)


def softplus_backward(dy: Tensor, x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return dx, given the input x.

    >>> softplus_backward(torch.tensor([2.0, 2.0]), torch.tensor([0.0, 100.0])).tolist()
    [1.0, 2.0]
    """
    z = beta * x
    return torch.where(z > threshold, dy, dy * sigmoid_forward(z))


class SiLU(Layer):
    """The activation x σ(x), for x of any shape. It is also called swish.

    >>> layer = SiLU()
    >>> layer(torch.tensor([0.0, 100.0])).tolist(), layer.backward(torch.tensor([6.0, 7.0])).tolist()
    ([0.0, 100.0], [3.0, 7.0])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        refuse_inplace("SiLU", inplace)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        return self.remember(silu_forward(x), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        return silu_backward(dy, x)


class GELU(Layer):
    """The activation x Φ(x), for x of any shape. approximate="tanh" approximates Φ with a tanh.

    >>> layer = GELU()
    >>> layer(torch.tensor([0.0, 100.0])).tolist(), layer.backward(torch.tensor([6.0, 7.0])).tolist()
    ([0.0, 100.0], [3.0, 7.0])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ScratchaeError(
                f"GELU expects approximate to be 'none' or 'tanh', got {approximate!r}"
            )
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        return self.remember(gelu_forward(x, self.approximate), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        return gelu_backward(dy, x, self.approximate)


class Softplus(Layer):
    """The activation log(1 + e^(βx)) / β, for x of any shape. Its values are >= 0.

    Where βx > threshold, the output is x.

    >>> layer = Softplus()
    >>> layer(torch.tensor([-1000.0, 1000.0])).tolist(), layer.backward(torch.tensor([6.0, 7.0])).tolist()
    ([0.0, 1000.0], [0.0, 7.0])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        check_number("Softplus", "beta", beta)
        check_number("Softplus", "threshold", threshold)
        if beta == 0:
            raise ScratchaeError("Softplus divides by beta, got beta=0: 1 is usual")
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        return self.remember(softplus_forward(x, self.beta, self.threshold), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        return softplus_backward(dy, x, self.beta, self.threshold)
