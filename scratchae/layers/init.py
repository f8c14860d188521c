"""Initialisation: how large the first, random weights are.

A weight that adds up `fan_in` inputs of spread 1 gives an output of spread √fan_in · std(W).
He's rule (He et al. 2015, "Delving deep into rectifiers") keeps the spread from layer to
layer: a uniform draw from [-bound, bound] has standard deviation bound / √3, so

    bound = √3 · gain / √fan_in        gain = √(2 / (1 + a²)) for a ReLU of negative slope a

torch.nn draws weights with a = √5, which makes bound = 1 / √fan_in, and biases from the
same bound. Here the random numbers are the same too: the same seed gives the same weights
as torch.nn, bit for bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


def kaiming_uniform(
    shape: tuple[int, ...],
    fan_in: int,
    a: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw uniformly from ±√3 · √(2 / (1 + a²)) / √fan_in (He et al. 2015).

    The dtype is torch's default.

    >>> weight = kaiming_uniform((100, 6), fan_in=6)  # √3 · √2 / √6 = 1
    >>> weight.shape, bool(0.9 < weight.max() <= 1)
    (torch.Size([100, 6]), True)
    """
    return uniform(shape, kaiming_bound(fan_in, a), generator)


def default_weight(
    shape: tuple[int, ...],
    fan_in: int,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw torch.nn's first weights of Linear and the convolutions.

    >>> bool(default_weight((100, 25), fan_in=25).abs().max() <= 1 / 5)
    True
    """
    return uniform(shape, kaiming_bound(fan_in, math.sqrt(5)), generator, device, dtype)


def default_bias(
    size: int,
    fan_in: int,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw torch.nn's first bias: uniform in ±1 / √fan_in.

    >>> bool(default_bias(100, fan_in=25).abs().max() <= 1 / 5)
    True
    """
    return uniform((size,), 1 / math.sqrt(fan_in), generator, device, dtype)


def kaiming_bound(fan_in: int, a: float) -> float:
    """√3 · gain / √fan_in, rounded as torch rounds it.

    >>> round(kaiming_bound(6, a=0), 12)
    1.0
    """
    gain = math.sqrt(2.0 / (1 + a**2))
    std = gain / math.sqrt(fan_in)
    return math.sqrt(3.0) * std


def uniform(
    shape: tuple[int, ...],
    bound: float,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Draw uniformly from [-bound, bound]. Raises ScratchaeError if dtype has no fractions.

    >>> bool(uniform((100,), 0.5).abs().max() <= 0.5)
    True
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ScratchaeError(f"weights need a floating-point dtype but got {dtype}")
    return torch.empty(shape, device=device, dtype=dtype).uniform_(
        -bound, bound, generator=generator
    )
