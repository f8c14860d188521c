"""fc: the fully connected autoencoder. It encodes 784 pixels as `latent` numbers, by default 3."""

from __future__ import annotations

from itertools import pairwise

import torch

from scratchae.layers import Linear, ReLU, Sequential, Tanh
from scratchae.models.autoencoder import Autoencoder, check_counts


def fc(generator: torch.Generator | None = None, latent: int = 3) -> Autoencoder:
    """Linear layers 784-128-64-32-16-12-3-12-16-32-64-128-784, with ReLU between them and Tanh at the end.

    There is no ReLU after the code. Input and output (N, 784) in [-1, 1]; code (N, latent), by default
    (N, 3). Raises ScratchaeError if latent is not an integer of at least 1.

    >>> model = fc()
    >>> model.encode(torch.zeros(2, 784)).shape, len(model.encoder), len(model.decoder)
    (torch.Size([2, 3]), 11, 12)
    >>> fc(latent=8).encode(torch.zeros(2, 784)).shape
    torch.Size([2, 8])
    """
    check_counts("fc", latent=latent)
    encoder = stack([784, 128, 64, 32, 16, 12, latent], generator)
    decoder = stack([latent, 12, 16, 32, 64, 128, 784], generator)
    return Autoencoder(Sequential(*encoder), Sequential(*decoder, Tanh()), input_shape=(784,))


def stack(sizes: list[int], generator: torch.Generator | None = None) -> list:
    """Return Linear layers between consecutive sizes, with a ReLU between the layers."""
    layers = []
    for in_features, out_features in pairwise(sizes):
        layers += [Linear(in_features, out_features, generator=generator), ReLU()]
    return layers[:-1]
