"""Autoencoder: an encoder, then a decoder, trained to reproduce its input."""

from __future__ import annotations

from torch import Tensor

from scratchae.layers import Sequential
from scratchae.losses import Loss


class Autoencoder(Sequential):
    """A model with forward(x) = decode(encode(x)). The output of the encoder is called the code.

    input_shape: the shape of one sample, such as (784,) or (1, 28, 28). loss: the loss for training;
    None means the mean squared error.

    >>> import torch
    >>> from scratchae.layers import Linear, Sequential
    >>> model = Autoencoder(Sequential(Linear(9, 2)), Sequential(Linear(2, 9)), input_shape=(9,))
    >>> model.encode(torch.zeros(5, 9)).shape, model(torch.zeros(5, 9)).shape
    (torch.Size([5, 2]), torch.Size([5, 9]))
    """

    def __init__(
        self,
        encoder: Sequential,
        decoder: Sequential,
        input_shape: tuple[int, ...],
        loss: Loss | None = None,
    ) -> None:
        super().__init__({"encoder": encoder, "decoder": decoder})
        self.input_shape, self.loss = tuple(input_shape), loss
        self.name: str | None = None  # its name in the registry

    @property
    def encoder(self) -> Sequential:
        """The layers from the input to the code."""
        return self._part("encoder")

    @property
    def decoder(self) -> Sequential:
        """The layers from the code to the output."""
        return self._part("decoder")

    def _part(self, name: str) -> Sequential:
        part = self.layers[name]
        assert isinstance(part, Sequential)
        return part

    def encode(self, x: Tensor) -> Tensor:
        """Return the code (N, ...) of x (N, *input_shape)."""
        return self.encoder.forward(x)

    def decode(self, code: Tensor) -> Tensor:
        """Return the decoder's output (N, *input_shape) for a code (N, ...)."""
        return self.decoder.forward(code)

    def target(self, x: Tensor) -> Tensor:
        """Return the training target for the input x (N, *input_shape): x itself.

        Override this method in a model with another target.
        """
        return x
