"""Check the digits, codes and models that a user passes, and convert them for plotting."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.models import Autoencoder


def to_cpu(x: Tensor) -> Tensor:
    """Return x in float64 on the CPU, for matplotlib."""
    return x.detach().cpu().double()


def as_digits(caller: str, x: Tensor) -> Tensor:
    """Return digits of any accepted shape as (N, 28, 28), on the CPU."""
    fits = isinstance(x, Tensor) and x.is_floating_point() and x.numel() > 0
    if not fits or tuple(x.shape[1:]) not in {(784,), (28, 28), (1, 28, 28)}:
        got = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ScratchaeError(
            f"{caller} expects digits (N, 784), (N, 28, 28) or (N, 1, 28, 28), floating-point "
            f"numbers from -1 to 1, but got {got}"
        )
    return to_cpu(x).reshape(-1, 28, 28)


def one_digit(caller: str, x: Tensor) -> Tensor:
    """Return one digit, with or without a batch axis, as (1, 28, 28)."""
    unbatched = isinstance(x, Tensor) and tuple(x.shape) in {(784,), (28, 28)}
    digits = as_digits(caller, x[None] if unbatched else x)
    if len(digits) != 1:
        raise ScratchaeError(f"{caller} expects one digit, but got {len(digits)}: pick one")
    return digits


def evaluation_copy(caller: str, model: Autoencoder) -> Autoencoder:
    """Return a copy of the model in evaluation mode. Running it does not change the model."""
    if not isinstance(model, Autoencoder) or math.prod(model.input_shape) != 784:
        raise ScratchaeError(
            f"{caller} expects an Autoencoder of digits of 28 x 28, but got a {type(model).__name__}"
        )
    return copy.deepcopy(model).eval()


def as_input(model: Autoencoder, digits: Tensor) -> Tensor:
    """Return digits (N, 28, 28) in the shape, dtype and device that the model expects."""
    return digits.to(model.parameters()[0]).reshape(-1, *model.input_shape)


def check_codes(codes: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return codes as (N, D) and labels as int64 (N,), all 0 if there are no labels."""
    fits = isinstance(codes, Tensor) and codes.ndim > 1 and codes.numel() > 0
    codes = to_cpu(codes).flatten(1) if fits else torch.empty(0, 0)
    N, D = codes.shape
    if D < 2 or (D > 3 and N < 3) or not codes.isfinite().all():
        raise ScratchaeError(
            "latent_cloud expects finite codes (N, 2) or (N, 3), or at least three codes (N, D) to "
            f"project, but got {N} codes of {D} numbers, {(~codes.isfinite()).sum()} not finite"
        )
    digits = torch.zeros(N) if labels is None else torch.as_tensor(labels).cpu()
    if digits.shape != (N,) or not set(digits.tolist()) <= set(range(10)):
        raise ScratchaeError(
            f"latent_cloud expects a label from 0 to 9 for each of {N} codes, but got labels "
            f"{tuple(digits.shape)} with values such as {digits.flatten()[-3:].tolist()}"
        )
    return codes, digits.long()
