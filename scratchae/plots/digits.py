"""Digits and models as a reader gives them, checked, in the one form that is drawn and run."""

from __future__ import annotations

import math

from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.sequential import copy_for_evaluation
from scratchae.models import Autoencoder


def plain(x: Tensor) -> Tensor:
    """x as matplotlib can take it from any device and dtype."""
    return x.detach().cpu().double()


def as_digits(who: str, x: Tensor) -> Tensor:
    """Any of the shapes of digits as (N, 28, 28), plain."""
    fits = isinstance(x, Tensor) and x.is_floating_point() and x.numel() > 0
    if not fits or tuple(x.shape[1:]) not in {(784,), (28, 28), (1, 28, 28)}:
        got = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ScratchaeError(
            f"{who} wants digits (N, 784), (N, 28, 28) or (N, 1, 28, 28), floating-point numbers "
            f"from -1 to 1, but got {got}"
        )
    return plain(x).reshape(-1, 28, 28)


def one_digit(who: str, x: Tensor) -> Tensor:
    """A digit, with or without a batch of one around it, as (1, 28, 28)."""
    alone = isinstance(x, Tensor) and tuple(x.shape) in {(784,), (28, 28)}
    digits = as_digits(who, x[None] if alone else x)
    if len(digits) != 1:
        raise ScratchaeError(f"{who} wants one digit at a time, but got {len(digits)}: pick one")
    return digits


def trial(who: str, model: Autoencoder) -> Autoencoder:
    """A copy that can be run without a trace in the model."""
    if not isinstance(model, Autoencoder) or math.prod(model.input_shape) != 784:
        raise ScratchaeError(
            f"{who} wants an Autoencoder of digits of 28 x 28, but got a {type(model).__name__}"
        )
    return copy_for_evaluation(model)


def as_input(model: Autoencoder, digits: Tensor) -> Tensor:
    """Plain digits as the model takes them."""
    return digits.to(model.parameters()[0]).reshape(-1, *model.input_shape)
