"""Warping: every pixel of the new image looks up its value at a place in the old image.

**The grid.** Coordinates are those of torch: x points right, y points down, and the image reaches from −1 to
1, so the centre of column j of W is x_j = (2 j + 1) / W − 1. A matrix A (2, 3) says where the new pixel at
(x, y) looks:

    (x', y') = A (x, y, 1)

It is the inverse of how the picture moves: to move the picture to the right, look to the left.

**Bilinear sampling.** The place (x', y') is column c = ((x' + 1) W − 1) / 2 and row r = ((y' + 1) H − 1) / 2,
usually between pixels. With the left column l = ⌊c⌋, the upper row t = ⌊r⌋, and the fractions
q = c − l and p = r − t,

    value = (1 − p) (1 − q) I[t, l]   +  (1 − p) q I[t, l+1]
            +     p (1 − q) I[t+1, l] +      p q I[t+1, l+1].

A pixel outside of the image has the value of the background. In torch these are affine_grid and
grid_sample(padding_mode="zeros") with align_corners=False.
"""

from __future__ import annotations

import torch
from torch import Tensor


def affine_grid(matrix: Tensor, height: int, width: int) -> Tensor:
    """Return the places (N, H, W, 2), x and y, at which the new pixels look, for matrices (N, 2, 3).

    >>> affine_grid(torch.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]]), 1, 2)[0, 0].tolist()
    [[0.0, 0.0], [1.0, 0.0]]
    """
    x = centres(width, matrix).expand(height, width)
    y = centres(height, matrix)[:, None].expand(height, width)
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # (H, W, 3)
    return torch.einsum("hwk,nck->nhwc", points, matrix)


def centres(count: int, like: Tensor) -> Tensor:
    """Return the coordinates (count,) of the centres of `count` pixels, with the dtype and device of `like`.

    >>> centres(2, torch.zeros(()))
    tensor([-0.5000,  0.5000])
    """
    return (2 * torch.arange(count, dtype=like.dtype, device=like.device) + 1) / count - 1


def grid_sample(images: Tensor, grid: Tensor, background: float = 0.0) -> Tensor:
    """Return the values of images (N, C, H, W) at the places of grid (N, H', W', 2): (N, C, H', W').

    >>> image = torch.tensor([[[[0.0, 8.0]]]])
    >>> grid_sample(image, torch.tensor([[[[0.0, 0.0], [1.0, 0.0]]]]), background=-1.0).tolist()
    [[[[4.0, 3.5]]]]
    """
    height, width = images.shape[2:]
    column = ((grid[..., 0] + 1) * width - 1) / 2  # (N, H', W')
    row = ((grid[..., 1] + 1) * height - 1) / 2
    left, top = column.floor(), row.floor()
    q, p = column - left, row - top
    upper_left = pixels_at(images, top, left, background)
    upper_right = pixels_at(images, top, left + 1, background)
    lower_left = pixels_at(images, top + 1, left, background)
    lower_right = pixels_at(images, top + 1, left + 1, background)
    q, p = q.unsqueeze(1), p.unsqueeze(1)  # (N, 1, H', W')
    upper = (1 - q) * upper_left + q * upper_right
    lower = (1 - q) * lower_left + q * lower_right
    return (1 - p) * upper + p * lower


def pixels_at(images: Tensor, row: Tensor, column: Tensor, background: float) -> Tensor:
    """Return the pixels (N, C, H', W') in these rows and columns (N, H', W'), which are whole numbers.

    >>> pixels_at(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 1), torch.full((1, 1, 1), 5.0), -1.0).item()
    -1.0
    """
    n, channels, height, width = images.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
    place = place.flatten(1).unsqueeze(1).expand(n, channels, -1)
    pixels = images.flatten(2).gather(2, place).reshape(n, channels, *row.shape[1:])
    return pixels.masked_fill(~inside.unsqueeze(1), background)
