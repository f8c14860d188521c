"""Residual: a skip past other layers. They learn what to add to their input (He et al. 2016).

    y = S(x) + F(x)        S(x) = x without a shortcut

F are the layers inside. If they change the shape, S is a layer that changes x to the same shape, such as a
convolution with a 1 x 1 kernel.

Backward. x reaches y along two paths, so two gradients are summed:

    dx = dS + dF        dS = dy without a shortcut

So x gets dy even if the gradient through F is small, and a network of many such blocks can be trained.
"""

from __future__ import annotations

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer


class Residual(Layer):
    """y = x + body(x), or shortcut(x) + body(x). The body is usually a Sequential.

    Raises ScratchaeError if the two parts of the sum differ in shape.

    >>> import torch
    >>> from scratchae.layers import Linear, ReLU, Sequential
    >>> block = Residual(Sequential(Linear(3, 8), ReLU(), Linear(8, 3)))
    >>> block(torch.zeros(5, 3)).shape, list(block.state_dict())[:2]
    (torch.Size([5, 3]), ['body.0.weight', 'body.0.bias'])
    >>> Residual(ReLU())(torch.tensor([[1.0, -2.0]])).tolist()
    [[2.0, -2.0]]
    """

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        skipped = x if self.shortcut is None else self.shortcut.forward(x)
        added = self.body.forward(x)
        if skipped.shape != added.shape:
            raise ScratchaeError(
                f"{type(self).__name__} cannot add {tuple(skipped.shape)}, from "
                f"{'the input' if self.shortcut is None else 'the shortcut'}, and "
                f"{tuple(added.shape)}, from the layers inside: give a shortcut to that shape, such as "
                "Conv2d with kernel_size=1"
            )
        return self.remember(skipped + added)

    def backward(self, dy: Tensor) -> Tensor:
        self.recall(dy)
        dskipped = dy if self.shortcut is None else self.shortcut.backward(dy)
        return dskipped + self.body.backward(dy)
