"""Autoencoder: an encoder, then a decoder, trained to give back what went in."""

from __future__ import annotations

from torch import Tensor

from scratchae.layers import Sequential


class Autoencoder(Sequential):
    """`Autoencoder(encoder, decoder)`; forward(x) = decode(encode(x)).

    input_shape: one sample's shape as the encoder takes it, such as (784,) or (1, 28, 28).

    >>> import torch
    >>> from scratchae.layers import Linear, Sequential
    >>> model = Autoencoder(Sequential(Linear(9, 2)), Sequential(Linear(2, 9)), input_shape=(9,))
    >>> model.encode(torch.zeros(5, 9)).shape, model(torch.zeros(5, 9)).shape
    (torch.Size([5, 2]), torch.Size([5, 9]))
    """

    def __init__(
        self, encoder: Sequential, decoder: Sequential, input_shape: tuple[int, ...]
    ) -> None:
        super().__init__({"encoder": encoder, "decoder": decoder})
        self.input_shape = tuple(input_shape)
        self.name: str | None = None  # its name in the registry

    @property
    def encoder(self) -> Sequential:
        return self.layers["encoder"]

    @property
    def decoder(self) -> Sequential:
        return self.layers["decoder"]

    def encode(self, x: Tensor) -> Tensor:
        """x (N, *input_shape) to the latent code."""
        return self.encoder.forward(x)

    def decode(self, code: Tensor) -> Tensor:
        """A latent code to (N, *input_shape)."""
        return self.decoder.forward(code)
