"""Your autoencoder: `build` gives a fresh one, and train.py trains it and keeps its weights."""

from __future__ import annotations

import torch

from scratchae.models import Autoencoder


def build(generator: torch.Generator | None = None) -> Autoencoder:
    """An Autoencoder(encoder, decoder, input_shape), untrained, its first weights from the generator.

    input_shape is (784,) or (1, 28, 28); pixels are in [-1, 1]. The encoder's output may hold as many
    numbers a digit as the assignment says, of any shape. All of scratchae.layers may be used; the fc
    model, in scratchae/models/fc.py, shows how one is put together.
    """
    raise NotImplementedError("your turn: build")
