"""Case: the model, batch size and threads of a measurement, the same for all contenders."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scratchae.data import load
from scratchae.layers import Sequential, Tanh
from scratchae.models import Autoencoder, build, register
from scratchae.models.fc import stack as linear_stack
from scratchae.training.preparation import pixels_for

SEED = 0
ADAM = {"lr": 1e-3, "weight_decay": 1e-5}  # as in the runs of record


@dataclass(frozen=True)
class Case:
    """The name of a model, the images per step, the threads and the device.

    >>> case = Case("fc", 64, threads=1)
    >>> batches = case.batches(case.images())
    >>> len(batches), batches[0].shape
    (40, torch.Size([64, 784]))
    """

    model: str
    batch_size: int
    threads: int
    device: str = "cpu"

    def build(self) -> Autoencoder:
        """Build the model, always with the same initial weights."""
        return build(self.model, SEED).to(self.device)

    @property
    def count(self) -> int:
        """The number of different batches: 40 of 64 images, and fewer if they are larger."""
        return max(2, min(40, 2560 // self.batch_size))

    def images(self) -> Tensor:
        """Return the images of `count` batches in the shape that the model expects."""
        model, images = build(self.model, SEED), load(test=0.0).train
        index = torch.arange(self.count * self.batch_size) % len(images)
        return pixels_for(model, images.select(index), torch.device(self.device))

    def batches(self, images: Tensor) -> list[Tensor]:
        """Split `images` into batches, which are views."""
        return list(images.split(self.batch_size))

    def __str__(self) -> str:
        return (
            f"{self.model}, batch {self.batch_size}, {self.threads} thread{'s'[: self.threads > 1]}"
        )


def stack(
    generator: torch.Generator | None = None, width: int = 128, depth: int = 4
) -> Autoencoder:
    """Build 784-width-...-width-784 with `depth` hidden layers, ReLU between, Tanh at the end."""
    half = (depth + 1) // 2
    encoder = linear_stack([784, *[width] * half], generator)
    decoder = linear_stack([width] * (depth - half + 1) + [784], generator)
    return Autoencoder(Sequential(*encoder), Sequential(*decoder, Tanh()), input_shape=(784,))


register("stack", stack)
