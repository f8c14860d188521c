"""Initialisation: the random values with which weights and biases start.

An output is a sum of `fan_in` products of an input and a weight. If the inputs have mean square 1, it
has standard deviation √fan_in · std(W). He's rule (He et al. 2015, "Delving deep into rectifiers")
chooses std(W) = gain / √fan_in, so that the size of the values stays the same from layer to layer. The
factor `gain` corrects for the ReLU. Uniform numbers in [-bound, bound] have standard deviation
bound / √3, so

    bound = √3 · gain / √fan_in        gain = √(2 / (1 + a²)) for a ReLU of negative slope a

torch.nn draws weights with a = √5, which gives bound = 1 / √fan_in, and biases with the same bound. The
functions of this file draw the same numbers: the same seed gives the same weights, bit for bit.
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
    """Return a tensor of this shape, uniform in ±√3 · √(2 / (1 + a²)) / √fan_in (He et al. 2015).

    Its dtype is torch's default dtype.

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
    """Return a new weight as in torch.nn's Linear and convolutions: uniform in ±1 / √fan_in.

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
    """Return a new bias (size,) as in torch.nn: uniform in ±1 / √fan_in.

    >>> bool(default_bias(100, fan_in=25).abs().max() <= 1 / 5)
    True
    """
    return uniform((size,), 1 / math.sqrt(fan_in), generator, device, dtype)


def kaiming_bound(fan_in: int, a: float) -> float:
    """Return √3 · gain / √fan_in, computed in the same order as in torch, so that it is rounded alike.

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
    """Return a tensor of this shape, uniform in [-bound, bound].

    Raises ScratchaeError if dtype is not a floating-point type.

    >>> bool(uniform((100,), 0.5).abs().max() <= 0.5)
    True
    """
    if dtype is not None and not dtype.is_floating_point:
        raise ScratchaeError(
            f"weights need a floating-point dtype but got {dtype}: use torch.float32"
        )
    return torch.empty(shape, device=device, dtype=dtype).uniform_(
        -bound, bound, generator=generator
    )
