"""Flatten and Unflatten: y has the numbers of x in another shape, so dx is dy in the shape of x."""

from __future__ import annotations

from math import prod

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, check_tensor


class Flatten(Layer):
    """(N, C, H, W) -> (N, C·H·W): join the axes start_dim to end_dim into one, as torch.nn.Flatten.

    >>> import torch
    >>> layer = Flatten()
    >>> layer(torch.zeros(64, 1, 28, 28)).shape, layer.backward(torch.zeros(64, 784)).shape
    (torch.Size([64, 784]), torch.Size([64, 1, 28, 28]))
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        first, last = self.start_dim % max(x.ndim, 1), self.end_dim % max(x.ndim, 1)
        if (
            not -x.ndim <= self.start_dim < x.ndim
            or not -x.ndim <= self.end_dim < x.ndim
            or first > last
        ):
            raise ScratchaeError(
                f"{self!r} expects an input with both axes, start_dim before end_dim, but got "
                f"{tuple(x.shape)}: give it a batch, or change start_dim and end_dim"
            )
        return self.remember(x.flatten(first, last), x.shape)

    def backward(self, dy: Tensor) -> Tensor:
        (shape,) = self.recall(dy)
        return dy.reshape(shape)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Layer):
    """(N, C·H·W) -> (N, C, H, W): split axis `dim` into axes of these sizes, as torch.nn.Unflatten.

    >>> import torch
    >>> layer = Unflatten(1, (1, 28, 28))
    >>> layer(torch.zeros(64, 784)).shape, layer.backward(torch.zeros(64, 1, 28, 28)).shape
    (torch.Size([64, 1, 28, 28]), torch.Size([64, 784]))
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        if (
            not isinstance(unflattened_size, tuple | list)
            or not unflattened_size
            or any(not isinstance(n, int) or n < 1 for n in unflattened_size)
        ):
            raise ScratchaeError(
                f"Unflatten expects unflattened_size to be whole numbers >= 1, got {unflattened_size!r}"
            )
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        fits = -x.ndim <= self.dim < x.ndim and x.shape[self.dim] == prod(self.unflattened_size)
        if not fits:
            raise ScratchaeError(
                f"{self!r} expects {prod(self.unflattened_size)} numbers along axis {self.dim} but got "
                f"{tuple(x.shape)}: the product of the sizes must be the size of that axis"
            )
        return self.remember(x.unflatten(self.dim, self.unflattened_size), x.shape)

    def backward(self, dy: Tensor) -> Tensor:
        (shape,) = self.recall(dy)
        return dy.reshape(shape)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
