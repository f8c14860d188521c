"""conv: the convolutional autoencoder. Its code is 64 channels of 5 x 5 pixels."""

from __future__ import annotations

import torch

from scratchae.layers import BatchNorm2d, Conv2d, ConvTranspose2d, ReLU, Sequential, Tanh
from scratchae.models.autoencoder import Autoencoder


def conv(generator: torch.Generator | None = None) -> Autoencoder:
    """Three convolutions and three transposed convolutions, BatchNorm after all but the last.

    Input and output (N, 1, 28, 28) in [-1, 1]; code (N, 64, 5, 5).

    >>> model = conv()
    >>> model.encode(torch.zeros(2, 1, 28, 28)).shape, len(model.encoder), len(model.decoder)
    (torch.Size([2, 64, 5, 5]), 8, 8)
    """
    g = generator
    encoder = Sequential(
        Conv2d(1, 16, 3, stride=2, padding=1, generator=g),  # (N, 16, 14, 14)
        BatchNorm2d(16),
        ReLU(),
        Conv2d(16, 32, 3, stride=2, padding=1, generator=g),  # (N, 32, 7, 7)
        BatchNorm2d(32),
        ReLU(),
        Conv2d(32, 64, 3, generator=g),  # (N, 64, 5, 5)
        BatchNorm2d(64),
    )
    decoder = Sequential(
        ConvTranspose2d(64, 32, 3, generator=g),  # (N, 32, 7, 7)
        BatchNorm2d(32),
        ReLU(),
        ConvTranspose2d(
            32, 16, 3, stride=2, padding=1, output_padding=1, generator=g
        ),  # (N, 16, 14, 14)
        BatchNorm2d(16),
        ReLU(),
        ConvTranspose2d(
            16, 1, 3, stride=2, padding=1, output_padding=1, generator=g
        ),  # (N, 1, 28, 28)
        Tanh(),
    )
    return Autoencoder(encoder, decoder, input_shape=(1, 28, 28))
