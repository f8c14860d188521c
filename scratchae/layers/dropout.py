"""Dropout: set random numbers to 0 in training, so that the layers after it cannot rely on any one of them.

    y = x m / (1 − p)        m is 1 with probability 1 − p, and else 0, independently for each number

m is called the mask. The division keeps the expected value: E[y] = x. So in evaluation nothing has to be
scaled, and y = x (Srivastava et al. 2014). With p = 1 all numbers are dropped: y = 0.

Backward. m does not depend on x. With m held fixed, ∂y/∂x = m / (1 − p), so

    dx = dy m / (1 − p)      with the mask of the forward pass
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.activations import check_number, refuse_inplace
from scratchae.layers.base import Layer, check_tensor
from scratchae.noise import uniform


def dropout_forward(x: Tensor, mask: Tensor, p: float) -> Tensor:
    """Return x m / (1 − p). x and mask have the same shape; mask is 1 (or True) where x is kept, and else 0.

    >>> dropout_forward(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, False, True]), 0.5).tolist()
    [2.0, 0.0, 6.0]
    """
    return x * mask * keep_factor(p)


def dropout_backward(dy: Tensor, mask: Tensor, p: float) -> Tensor:
    """Return dx, in the shape of dy, for the mask of the forward pass.

    >>> dropout_backward(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([True, False, True]), 0.5).tolist()
    [2.0, 0.0, 6.0]
    """
    return dy * mask * keep_factor(p)


def keep_factor(p: float) -> float:
    """Return 1 / (1 − p), by which kept numbers are multiplied; 0 if all are dropped, p = 1.

    >>> keep_factor(0.75), keep_factor(1.0)
    (4.0, 0.0)
    """
    return 1 / (1 - p) if p < 1 else 0.0


class Dropout(Layer):
    """Set each number to 0 with probability p in training mode; in evaluation mode y = x. Any shape.

    With keys (see `Layer.set_keys`), the mask is a function of them. Without keys, it is drawn by torch's own
    generator.

    >>> layer = Dropout(0.5)
    >>> sorted(set(layer(torch.ones(1000)).tolist()))
    [0.0, 2.0]
    >>> layer.eval()(torch.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    random = True

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        refuse_inplace("Dropout", inplace)
        check_number("Dropout", "p", p)
        if not 0 <= p <= 1:
            raise ScratchaeError(f"Dropout expects a probability p from 0 to 1, got {p!r}")
        self.p, self.inplace = p, inplace

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        if not self.training:
            return self.remember(x.clone(), None)
        mask = self.mask(x)
        return self.remember(dropout_forward(x, mask, self.p), mask)

    def backward(self, dy: Tensor) -> Tensor:
        (mask,) = self.recall(dy)
        return dy.clone() if mask is None else dropout_backward(dy, mask, self.p)

    def mask(self, x: Tensor) -> Tensor:
        """Return the mask for x, with the shape of x: True where x is kept."""
        if self.keys is None:
            return torch.rand(x.shape, device=x.device) >= self.p
        self.check_keys(len(x))
        return uniform(self.keys, x.shape[1:]) >= self.p
