"""Corruption: noise on the input of a denoising autoencoder. The target stays clean.

x is an image with pixels from `low` to `high`, and h = high − low is its peak. Strengths are given for
pixels from 0 to 1, and are multiplied by h: sigma = 0.3 is the same noise on [0, 1] as on [−1, 1].

    Gaussian noise    x + h σ ε,  ε ~ N(0, 1)      not clipped, so the mean squared error is (h σ)²
    salt and pepper   a share of the pixels becomes low or high, each with probability 1/2
    masking           a share of the pixels, or a square block at a random place, becomes low

The peak signal-to-noise ratio of an image with Gaussian noise is 10 log₁₀(h² / (h σ)²) = −20 log₁₀ σ:
20.0 dB for σ = 0.1 and 10.5 dB for σ = 0.3. Source: Vincent et al. 2010, "Stacked denoising
autoencoders".

All functions take images (N, ...) and one key for each image (scratchae.noise). The same key gives the
same noise, whatever the batch and the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from scratchae.data.settings_text import SettingsText
from scratchae.noise import normal, split_keys, uniform

Range = tuple[float, float]


def gaussian_noise(
    images: Tensor, keys: Tensor, sigma: float, pixel_range: Range = (0.0, 1.0)
) -> Tensor:
    """Add normal noise with the standard deviation sigma · (high − low). Nothing is clipped.

    >>> from scratchae.noise import noise_keys
    >>> noisy = gaussian_noise(torch.zeros(100, 784), noise_keys(0, 0, 100), 0.3, (-1.0, 1.0))
    >>> round(noisy.std().item(), 1)
    0.6
    """
    low, high = pixel_range
    return images + (high - low) * sigma * normal(keys, images.shape[1:], images.dtype)


def salt_and_pepper(
    images: Tensor, keys: Tensor, share: float, pixel_range: Range = (0.0, 1.0)
) -> Tensor:
    """Replace a share of the pixels: half of these become low, and half become high.

    >>> from scratchae.noise import noise_keys
    >>> noisy = salt_and_pepper(torch.full((100, 784), 0.5), noise_keys(0, 0, 100), 0.2)
    >>> [round((noisy == value).double().mean().item(), 1) for value in (0.0, 0.5, 1.0)]
    [0.1, 0.8, 0.1]
    """
    low, high = pixel_range
    u = uniform(keys, images.shape[1:], images.dtype)
    return images.masked_fill(u < share, high).masked_fill(u < share / 2, low)


def mask_pixels(
    images: Tensor, keys: Tensor, share: float, pixel_range: Range = (0.0, 1.0)
) -> Tensor:
    """Replace a share of the pixels by low, the background.

    >>> from scratchae.noise import noise_keys
    >>> masked = mask_pixels(torch.ones(100, 784), noise_keys(0, 0, 100), 0.2)
    >>> round(masked.mean().item(), 1)
    0.8
    """
    return images.masked_fill(uniform(keys, images.shape[1:], images.dtype) < share, pixel_range[0])


def mask_block(images: Tensor, keys: Tensor, side: int, pixel_range: Range = (0.0, 1.0)) -> Tensor:
    """Replace a block of side x side pixels by low. It lies inside the image; every place is equally likely.

    images: (N, C, H, W), or (N, P) of square images with P pixels.

    >>> from scratchae.noise import noise_keys
    >>> mask_block(torch.ones(3, 1, 28, 28), noise_keys(0, 0, 3), 8).sum(dim=(1, 2, 3)).tolist()
    [720.0, 720.0, 720.0]
    """
    grid = as_grid(images)
    height, width = grid.shape[2:]
    u = uniform(keys, (2,), torch.float64)  # so that u times a size is never rounded up to it
    top = (u[:, 0] * (height - side + 1)).long()[:, None, None, None]
    left = (u[:, 1] * (width - side + 1)).long()[:, None, None, None]
    row = torch.arange(height, device=images.device)[:, None]
    column = torch.arange(width, device=images.device)
    inside = (row >= top) & (row < top + side) & (column >= left) & (column < left + side)
    return grid.masked_fill(inside, pixel_range[0]).reshape(images.shape)


@dataclass(frozen=True)
class Corruption(SettingsText):
    """What is done to the input: a block of `block` pixels a side, masking, salt and pepper, then noise.

    noise: standard deviation of the Gaussian noise, for pixels from 0 to 1. salt: share of the pixels
    that become black or white. mask: share of the pixels that become background. block: side of
    the square that becomes background, a whole number of pixels. 0 means that this kind is not used.

    A call returns new images, and does not change its arguments.

    >>> from scratchae.noise import noise_keys
    >>> corruption = Corruption.parse("noise=0.3,block=8")
    >>> corruption
    Corruption(noise=0.3, salt=0.0, mask=0.0, block=8)
    >>> corruption(torch.zeros(5, 1, 28, 28), noise_keys(seed=0, epoch=1, n=5), (-1.0, 1.0)).shape
    torch.Size([5, 1, 28, 28])
    """

    noise: float = 0.0
    salt: float = 0.0
    mask: float = 0.0
    block: int = 0

    kind: ClassVar = "corruption"
    most: ClassVar = {"noise": 10.0, "salt": 1.0, "mask": 1.0, "block": 28}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.block != int(self.block):
            self.wrong("block", "a whole number of pixels")
        object.__setattr__(self, "block", int(self.block))

    def __call__(self, images: Tensor, keys: Tensor, pixel_range: Range = (0.0, 1.0)) -> Tensor:
        """Return corrupted images (N, ...). keys: int64 (N,), one for each image."""
        kinds: tuple[tuple[Callable[..., Tensor], float], ...] = (
            (mask_block, self.block),
            (mask_pixels, self.mask),
            (salt_and_pepper, self.salt),
            (gaussian_noise, self.noise),
        )
        for number, (corrupt, strength) in enumerate(kinds):
            if strength:
                images = corrupt(images, split_keys(keys, number), strength, pixel_range)
        return images

    @classmethod
    def example(cls) -> str:
        return "noise=0.3,mask=0.1"


def as_grid(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) as they are, and (N, P) as (N, 1, √P, √P).

    >>> as_grid(torch.zeros(2, 784)).shape
    torch.Size([2, 1, 28, 28])
    """
    if images.ndim == 4:
        return images
    side = math.isqrt(images.shape[1])
    return images.reshape(len(images), 1, side, side)
