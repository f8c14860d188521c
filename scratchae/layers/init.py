"""Initialisation: how large the first, random weights are.

A weight that adds up `fan_in` inputs of spread 1 gives an output of spread √fan_in · std(W).
He's rule (He et al. 2015, "Delving deep into rectifiers") keeps the spread from layer to
layer: a uniform draw from [-bound, bound] has standard deviation bound / √3, so

    bound = √3 · gain / √fan_in        gain = √(2 / (1 + a²)) for a ReLU of negative slope a

torch.nn draws weights with a = √5, which makes bound = 1 / √fan_in, and biases from the
same bound. That is what is done here, with the same random numbers: the same seed
gives the same weights as torch.nn, bit for bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def kaiming_uniform(
    shape: tuple[int, ...],
    fan_in: int,
    a: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Uniform in ±√3 · √(2 / (1 + a²)) / √fan_in (He et al. 2015), float dtype of torch's default.

    >>> weight = kaiming_uniform((100, 6), fan_in=6)  # √3 · √2 / √6 = 1
    >>> weight.shape, bool(0.9 < weight.max() <= 1)
    (torch.Size([100, 6]), True)
    """
    gain = math.sqrt(2.0 / (1 + a**2))
    bound = math.sqrt(3.0) * gain / math.sqrt(fan_in)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def default_weight(
    shape: tuple[int, ...], fan_in: int, generator: torch.Generator | None = None
) -> Tensor:
    """torch.nn's first weights for Linear and the convolutions.

    >>> bool(default_weight((100, 25), fan_in=25).abs().max() <= 1 / 5)
    True
    """
    return kaiming_uniform(shape, fan_in, math.sqrt(5), generator)


def default_bias(size: int, fan_in: int, generator: torch.Generator | None = None) -> Tensor:
    """torch.nn's first bias: uniform in ±1 / √fan_in.

    >>> bool(default_bias(100, fan_in=25).abs().max() <= 1 / 5)
    True
    """
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(size).uniform_(-bound, bound, generator=generator)
