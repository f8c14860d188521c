"""residual and plain-deep: the same deep autoencoder with and without skips, for a race at equal size."""

from __future__ import annotations

import torch

from scratchae.layers import Layer, Linear, ReLU, Residual, Sequential, Tanh
from scratchae.models.autoencoder import Autoencoder, check_counts

WIDTH = 128


def residual(
    generator: torch.Generator | None = None, latent: int = 16, blocks: int = 8
) -> Autoencoder:
    """A deep autoencoder of Linear layers with a skip around every two of them.

    784-128, `blocks` blocks of two Linear layers, 128-latent, and the same in reverse. Input and output
    (N, 784) in [-1, 1]; code (N, latent).

    >>> model = residual(latent=3, blocks=2)
    >>> model.encode(torch.zeros(5, 784)).shape, type(model.encoder[1]).__name__
    (torch.Size([5, 3]), 'Residual')
    """
    return deep(generator, latent, blocks, skips=True)


def plain_deep(
    generator: torch.Generator | None = None, latent: int = 16, blocks: int = 8
) -> Autoencoder:
    """The same deep autoencoder as `residual`, with equally many parameters, but without skips.

    >>> sizes = {sum(p.numel() for p in make().parameters()) for make in (plain_deep, residual)}
    >>> len(sizes), type(plain_deep().encoder[1]).__name__
    (1, 'Sequential')
    """
    return deep(generator, latent, blocks, skips=False)


def deep(generator: torch.Generator | None, latent: int, blocks: int, skips: bool) -> Autoencoder:
    """Return a deep autoencoder. skips: whether its blocks have skips."""
    check_counts("residual" if skips else "plain-deep", latent=latent, blocks=blocks)

    def block() -> Layer:
        two = [Linear(WIDTH, WIDTH, generator=generator) for _ in range(2)]
        body = Sequential(ReLU(), two[0], ReLU(), two[1])
        return Residual(body) if skips else body

    encoder = Sequential(
        Linear(784, WIDTH, generator=generator),
        *(block() for _ in range(blocks)),
        ReLU(),
        Linear(WIDTH, latent, generator=generator),
    )
    decoder = Sequential(
        Linear(latent, WIDTH, generator=generator),
        *(block() for _ in range(blocks)),
        ReLU(),
        Linear(WIDTH, 784, generator=generator),
        Tanh(),
    )
    return Autoencoder(encoder, decoder, input_shape=(784,))
