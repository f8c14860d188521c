"""Noise: random numbers as a function of a key, an integer for each sample, in tensor arithmetic.

A usual generator draws its numbers one after the other. So what a sample gets depends on all draws before,
and therefore on the batch size, on the number of workers and on the engine. Here the number at position i
of a sample is a function of two integers, the sample's key and i:

    bits = mix(mix(i ⊕ low) ⊕ high)        key = 2³² high + low, and ⊕ is the exclusive or of bits
    u = (bits' + 1/2) / 2²³                 bits' are the upper 23 of the 32 bits, so 0 < u < 1
    ε₁ = √(−2 ln u₁) cos(2π u₂)             two uniform numbers give two standard normal ones
    ε₂ = √(−2 ln u₁) sin(2π u₂)             (Box and Muller 1958)

`mix` maps the 32-bit integers one to one onto themselves, so that every bit of the result depends on every
bit of x (its constants are those of C. Wellons' search for good ones, "hash prospector"). Such generators
are called counter-based (Salmon et al. 2011). The numbers are the same on every device, up to the rounding
of ln, sin and cos. They are good enough for training, but not for cryptography.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from scratchae.errors import ScratchaeError

MASK = 2**32 - 1  # the lower 32 bits
SPLITS = 2**31  # `split_keys` uses the positions from here on, `uniform` those below


def noise_keys(seed: int, epoch: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """Return a key for each of n samples: int64 (n,), >= 0.

    Key i depends on the seed, on the epoch and on i, but not on n. Raises ScratchaeError if the seed or the
    epoch is negative.

    >>> keys = noise_keys(seed=0, epoch=1, n=3)
    >>> torch.equal(keys[:2], noise_keys(0, 1, 2)), torch.equal(keys, noise_keys(0, 2, 3))
    (True, False)
    """
    if seed < 0 or epoch < 0:
        raise ScratchaeError(
            f"seed and epoch must be integers of at least 0, but got {seed} and {epoch}"
        )
    high, low = np.random.SeedSequence([seed, epoch]).generate_state(2).tolist()
    base = torch.full((1,), (high % 2**31) * 2**32 + low, device=device)
    return join(*(random_bits(base, start, n)[0] for start in (0, SPLITS)))


def split_keys(keys: Tensor, number: int) -> Tensor:
    """Return new keys, int64 of the shape of keys. Each number from 0 gives others, independent of these.

    >>> keys = noise_keys(seed=0, epoch=1, n=3)
    >>> torch.equal(split_keys(keys, 0), split_keys(keys, 1))
    False
    """
    bits = random_bits(keys, SPLITS + 2 * number, 2)  # (n, 2)
    return join(bits[:, 0], bits[:, 1])


def uniform(
    keys: Tensor, shape: tuple[int, ...] | torch.Size, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return uniform random numbers in (0, 1), (n, *shape), for keys (n,).

    >>> u = uniform(noise_keys(seed=0, epoch=1, n=1000), (3,))
    >>> u.shape, round(u.mean().item(), 1), bool((u > 0).all() and (u < 1).all())
    (torch.Size([1000, 3]), 0.5, True)
    """
    exact = dtype if dtype == torch.float64 else torch.float32
    bits = random_bits(keys, 0, math.prod(shape)) >> 9  # 23 of the 32 bits
    return ((bits.to(exact) + 0.5) / 2**23).to(dtype).view(len(keys), *shape)


def normal(
    keys: Tensor, shape: tuple[int, ...] | torch.Size, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return standard normal random numbers, (n, *shape), for keys (n,).

    >>> noise = normal(noise_keys(seed=0, epoch=1, n=1000), (3,))
    >>> noise.shape, round(noise.std().item(), 1)
    (torch.Size([1000, 3]), 1.0)
    """
    count = math.prod(shape)
    exact = dtype if dtype == torch.float64 else torch.float32
    u1, u2 = uniform(keys, (2, (count + 1) // 2), exact).unbind(1)  # (n, count / 2), rounded up
    radius, angle = (-2 * u1.log()).sqrt(), 2 * math.pi * u2
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return both[:, :count].reshape(len(keys), *shape).to(dtype)


def random_bits(keys: Tensor, start: int, count: int) -> Tensor:
    """Return 32 random bits for each key (n,) and each position start, ..., start + count - 1: int64 (n, count).

    >>> random_bits(torch.tensor([5, 6]), 0, 2).tolist()
    [[1513663792, 1238491242], [4154744545, 256695110]]
    """
    position = torch.arange(start, start + count, device=keys.device)
    high, low = keys.unsqueeze(1) >> 32, keys.unsqueeze(1) & MASK
    return mix(mix(position ^ low) ^ high)


def mix(x: Tensor) -> Tensor:
    """Return another 32-bit integer for each x, int64 from 0 to 2³² − 1. No two x give the same.

    The factors are below 2³¹, so that no product exceeds an int64.

    >>> mix(torch.tensor([0, 1, 2])).tolist()
    [0, 2261973619, 229111015]
    """
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & MASK
    x = ((x ^ (x >> 15)) * 0x735A2D97) & MASK
    return x ^ (x >> 15)


def join(high: Tensor, low: Tensor) -> Tensor:
    """Return the keys with these two words of 32 bits; the highest bit of `high` is dropped."""
    return (high & (MASK >> 1)) * 2**32 + low
