"""Cases of LayerNorm."""

from __future__ import annotations

from random import Random

import torch
from torch import Tensor

from scratchae.checking.exercises import PLAIN, Draw, exercise
from scratchae.checking.layer_cases import SIZES, flip, layer_case, some
from scratchae.layers import layernorm_backward, layernorm_forward

CORNERS = (*PLAIN, "two axes", "a sequence (N, L, F)")


@exercise(layernorm_forward, "y", "xhat", "s", corners=CORNERS)
def forward_inputs(draw: Draw) -> dict:
    leading, shape = shapes_of(draw)
    return {
        "x": draw.normal(*leading, *shape) * 2 + 3,
        "normalized_shape": shape,
        "weight": draw.normal(*shape),
        "bias": draw.normal(*shape),
        "eps": draw.pick.choice([1e-3, 0.1]),
    }


@exercise(layernorm_backward, "dx", "dweight", "dbias", corners=CORNERS)
def backward_inputs(draw: Draw) -> dict:
    leading, shape = shapes_of(draw)
    xhat, s = normalised(draw.normal(*leading, *shape) * 2 + 3, len(shape))
    return {
        "dy": draw.normal(*leading, *shape),
        "xhat": xhat,
        "s": s,
        "normalized_shape": shape,
        "weight": draw.normal(*shape),
    }


def normalised(x: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """Return x̂ and s, computed over the last axes of x."""
    last = tuple(range(-axes, 0))
    var, mean = torch.var_mean(x, last, correction=0, keepdim=True)
    s = torch.sqrt(var + 1e-3)
    return (x - mean) / s, s


def shapes_of(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the leading axes of x, and normalized_shape."""
    N, F = draw.batch(), draw.pick.choice([5, 7, 11])
    if draw.corner == "two axes":
        return (N,), (3, F)
    return ((N, 3), (F,)) if draw.corner == "a sequence (N, L, F)" else ((N,), (F,))


@layer_case("LayerNorm")
def layernorm(pick: Random, name: str) -> tuple[dict, tuple[int, ...]]:
    shape = (*some(pick, 0, 2), pick.choice(SIZES))
    arguments = {
        "normalized_shape": shape[0] if len(shape) == 1 and flip(pick) else shape,
        "eps": pick.choice((1e-5, 1e-3, 0.1)),
        "elementwise_affine": flip(pick),
        "bias": flip(pick),
    }
    return arguments, (*some(pick, 0, 2), *shape)
