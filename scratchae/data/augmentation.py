"""Augmentation: new images from old ones, by small movements that leave a digit the same digit.

    rotation, scaling, shift   the picture is turned by θ, enlarged by s and moved by t, around its centre:
                               p → s R(θ) p + t.  A new pixel p looks at R(−θ) (p − t) / s   (warping.py)
    elastic deformation        each place is displaced by a random vector u(p) that changes smoothly

For the displacement field (Simard et al. 2003), draw independent random numbers for all pixels, and smooth
them with a Gaussian of the standard deviation 4 pixels. Smoothing is a matrix product in each
direction, u = S n Sᵀ, because a Gaussian of two variables is the product of two Gaussians. Here S is
periodic (row i is row 0 moved by i), and its rows have the length 1, so that every displacement has the
same variance as the numbers n.

The target of an autoencoder moves with the augmentation: it is the moved image. If the target stayed in
its place, the model would learn to undo the movement. It cannot know the movement, so its output would be
blurred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from scratchae.data.corruption import Range, as_grid
from scratchae.data.settings_text import SettingsText
from scratchae.data.warping import affine_grid, grid_sample
from scratchae.noise import split_keys, uniform

SMOOTHNESS = 4.0  # pixels: Simard's σ


def affine_matrices(angle: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """Return matrices (N, 2, 3) for `affine_grid`, which turn, then enlarge, then move square images.

    angle: radians (N,), counted clockwise, as y points down. factor: (N,), above 1 enlarges. shift: (N, 2),
    to the right and down; 2 is the width of the image.

    >>> quarter = torch.tensor([math.pi / 2])
    >>> affine_matrices(quarter, torch.ones(1), torch.tensor([[0.5, 0.0]]))[0].round(decimals=3)
    tensor([[-0.0000,  1.0000,  0.0000],
            [-1.0000, -0.0000,  0.5000]])
    """
    cos, sin = angle.cos() / factor, angle.sin() / factor
    back = torch.stack([cos, sin, -sin, cos], dim=1).reshape(-1, 2, 2)  # R(−θ) / s
    return torch.cat([back, -back @ shift.unsqueeze(2)], dim=2)  # R(−θ) (p − t) / s


def displacement(keys: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Return smooth random vectors (N, H, W, 2). Each of their coordinates has the variance 1.

    >>> from scratchae.noise import noise_keys
    >>> field = displacement(noise_keys(0, 0, 500), 28, 28, torch.float32)
    >>> field.shape, round(field.std().item(), 1)
    (torch.Size([500, 28, 28, 2]), 1.0)
    """
    n = math.sqrt(3) * (2 * uniform(keys, (2, height, width), dtype) - 1)  # variance 1
    smooth = smoothing(height, n) @ n @ smoothing(width, n).T
    return smooth.permute(0, 2, 3, 1)


def smoothing(size: int, like: Tensor) -> Tensor:
    """Return the periodic Gaussian filter S (size, size), each of whose rows has the length 1.

    >>> S = smoothing(28, torch.zeros(()))
    >>> torch.allclose(S.square().sum(dim=1), torch.ones(28)), torch.equal(S[1], S[0].roll(1))
    (True, True)
    """
    away = torch.arange(size, dtype=like.dtype, device=like.device)
    away = torch.minimum(away, size - away)  # around the circle
    row = torch.exp(-((away / SMOOTHNESS) ** 2) / 2)
    row = row / row.square().sum().sqrt()
    return torch.stack([row.roll(i) for i in range(size)])


@dataclass(frozen=True)
class Augmentation(SettingsText):
    """How images are moved. Each image gets its own movement, within these bounds.

    rotate: degrees, in both directions. shift: pixels, in both directions of x and of y. scale: 0.1
    means a size from 0.9 to 1.1. elastic: the standard deviation of the elastic displacement, in pixels
    (Simard's α = 34 is about 1.4). 0 means that this kind is not used. For MNIST use rotations up to 15
    degrees and shifts up to 2 pixels, and no mirror images: a mirrored 3 is no digit.

    A call returns new images, and does not change its arguments.

    >>> from scratchae.noise import noise_keys
    >>> augmentation = Augmentation.parse("rotate=10,shift=2")
    >>> str(augmentation)
    'rotate=10,shift=2'
    >>> augmentation(torch.zeros(5, 784), noise_keys(seed=0, epoch=1, n=5), (-1.0, 1.0)).shape
    torch.Size([5, 784])
    """

    rotate: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    elastic: float = 0.0

    kind: ClassVar = "augmentation"
    most: ClassVar = {"rotate": 180.0, "shift": 28.0, "scale": 0.9, "elastic": 10.0}

    def __call__(self, images: Tensor, keys: Tensor, pixel_range: Range = (0.0, 1.0)) -> Tensor:
        """Return moved images. images: (N, C, H, H), or (N, P) with P = H². keys: int64 (N,)."""
        if not self:
            return images
        pixels = as_grid(images)
        size = pixels.shape[-1]
        draw = 2 * uniform(split_keys(keys, 0), (4,), images.dtype) - 1  # (N, 4) in (−1, 1)
        angle = math.radians(self.rotate) * draw[:, 0]
        factor = 1 + self.scale * draw[:, 1]
        shift = self.shift * (2 / size) * draw[:, 2:]
        grid = affine_grid(affine_matrices(angle, factor, shift), size, size)
        if self.elastic:
            field = displacement(split_keys(keys, 1), size, size, images.dtype)
            grid = grid + self.elastic * (2 / size) * field
        return grid_sample(pixels, grid, pixel_range[0]).reshape(images.shape)

    @classmethod
    def example(cls) -> str:
        return "rotate=10,shift=2"
