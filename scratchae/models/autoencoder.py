"""Autoencoder: an encoder, then a decoder, trained to reproduce its input."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, Sequential
from scratchae.layers.base import LossFunction


def check_counts(model: str, **options: object) -> None:
    """Raise ScratchaeError if an option of a model is not an integer of at least 1.

    >>> check_counts("fc", latent=0)
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: fc expects latent to be an integer of at least 1, but got 0
    """
    for name, value in options.items():
        if not isinstance(value, int) or value < 1:
            raise ScratchaeError(
                f"{model} expects {name} to be an integer of at least 1, but got {value!r}"
            )


class Autoencoder(Sequential):
    """A model with forward(x) = decode(encode(x)). The output of the encoder is called the code.

    input_shape: the shape of one sample, such as (784,) or (1, 28, 28). loss: the loss for training;
    None means the mean squared error. A loss with parameters of its own is a child, "loss". pixel_range:
    the values of black and white in the input.

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
        loss: LossFunction | None = None,
        pixel_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        super().__init__({"encoder": encoder, "decoder": decoder})
        self.input_shape, self.loss = tuple(input_shape), loss
        self.pixel_range = pixel_range
        self.name: str | None = None  # its name in the registry

    def children(self) -> Iterator[tuple[str, Layer]]:
        yield from super().children()
        if isinstance(self.loss, Layer):
            yield "loss", self.loss

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

    def expected(self, y: Tensor) -> Tensor:
        """Return the pixels that an output y (N, *input_shape) stands for, in `pixel_range`.

        These are y itself, unless the loss says otherwise: for BCEWithLogitsLoss they are σ(y).
        """
        expected = getattr(self.loss, "expected", None)
        return y if expected is None else expected(y)

    def target(self, x: Tensor) -> Tensor:
        """Return the training target for the input x (N, *input_shape): x itself.

        Override this method in a model with another target.
        """
        return x
