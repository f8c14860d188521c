"""Binarise: make images of zeros and ones from grey images, so that BCE is a true likelihood.

A grey value g from 0 to 1 is taken as a probability: the pixel becomes 1 with probability g and 0 otherwise
(Salakhutdinov and Murray 2008). There are two protocols, and their figures must not be compared:

    static    every training image is drawn once; all runs see the same binary images
    dynamic   every training image is drawn anew in each epoch, which works like augmentation

In both, the test images are drawn once, and are the same for all runs. `binary_checksum` identifies them.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.noise import noise_keys, uniform

MODES = ("none", "dynamic", "static")
# (seed, epoch) of the images that are the same for all runs
FIXED = {"train": (0, 0), "test": (0, 1)}
ROWS = 256  # images that are binarised at once: their random bits fit into the cache


def binarise(images: Tensor, keys: Tensor) -> Tensor:
    """Return images of zeros and ones: a pixel is 1 with the probability that is its grey value.

    images (N, ...) in [0, 1]; keys (N,): the same key gives an image the same pixels again. Raises
    ScratchaeError if a pixel is outside of [0, 1].

    >>> grey = torch.tensor([[0.0, 0.5, 0.5, 0.5, 0.5, 1.0]])
    >>> binarise(grey, noise_keys(0, 0, 1)).tolist(), binarise(grey, noise_keys(0, 1, 1)).tolist()
    ([[0.0, 1.0, 1.0, 1.0, 1.0, 1.0]], [[0.0, 0.0, 0.0, 0.0, 1.0, 1.0]])
    """
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):
        raise ScratchaeError(
            f"binarise expects pixels from 0 to 1 but got {images.min():.4g} to {images.max():.4g}: "
            "use a model of pixels in [0, 1], such as vae"
        )
    parts = zip(images.split(ROWS), keys.split(ROWS), strict=True)
    return torch.cat(
        [(uniform(own, grey.shape[1:]) < grey).to(images.dtype) for grey, own in parts]
    )


def binarise_once(images: Tensor, part: str) -> Tensor:
    """Return the binary images (N, ...) that are the same in all runs; part: "train" or "test".

    >>> grey = torch.full((2, 5), 0.5)
    >>> torch.equal(binarise_once(grey, "test"), binarise_once(grey, "test"))
    True
    """
    return binarise(images, noise_keys(*FIXED[part], len(images), images.device))


def binary_checksum(images: Tensor) -> str:
    """Return a checksum of binary images (N, ...), which depends on every pixel and on the order.

    >>> binary_checksum(torch.tensor([[0.0, 1.0]])) == binary_checksum(torch.tensor([[1.0, 0.0]]))
    False
    """
    return hashlib.sha256(images.to(torch.uint8).cpu().numpy().tobytes()).hexdigest()[:16]


def check_binarisation(
    mode: str, pixel_range: tuple[float, float], augmentation: object = None
) -> None:
    """Raise ScratchaeError if there is no such mode, or if it does not fit the model or the augmentation.

    >>> check_binarisation("dynamic", (0.0, 1.0))
    >>> check_binarisation("dynamic", (-1.0, 1.0))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: binarise=dynamic expects a model of pixels in [0, 1], but ...
    """
    if mode not in MODES:
        raise ScratchaeError(f"binarise must be one of {', '.join(MODES)}, got {mode!r}")
    if mode == "none":
        return
    if tuple(pixel_range) != (0.0, 1.0):
        low, high = pixel_range
        raise ScratchaeError(
            f"binarise={mode} expects a model of pixels in [0, 1], but this model's are in "
            f"[{low:g}, {high:g}]: train another model, such as vae"
        )
    if mode == "static" and augmentation:
        raise ScratchaeError(
            "binarise=static draws the images once, and an augmentation would make them grey again: use "
            "binarise=dynamic, which draws after the augmentation"
        )
