"""Cases of BatchNorm and of its running statistics."""

from __future__ import annotations

from math import prod
from random import Random

import torch

from scratchae.checking.exercises import FLOAT32, PLAIN, Draw, exercise
from scratchae.checking.layer_cases import FEW, SIZES, flip, layer_case, some
from scratchae.layers import batchnorm_backward, batchnorm_forward, running_statistics

CORNERS = (*PLAIN, "vectors (N, C)", "signals (N, C, L)")


@exercise(batchnorm_forward, "y", "xhat", "mean", "var", corners=CORNERS)
def forward_inputs(draw: Draw) -> dict:
    shape = shape_of(draw)
    x = draw.normal(*shape) * 2 + 3
    C = shape[1]
    return {
        "x": x,
        "weight": draw.normal(C),
        "bias": draw.normal(C),
        "eps": draw.pick.choice([1e-3, 0.1]),
    }


@exercise(batchnorm_backward, "dx", "dweight", "dbias", corners=CORNERS)
def backward_inputs(draw: Draw) -> dict:
    shape = shape_of(draw)
    x, C, eps = draw.normal(*shape) * 2 + 3, shape[1], draw.pick.choice([1e-3, 0.1])
    axes = [axis for axis in range(len(shape)) if axis != 1]
    var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    xhat = (x - mean) / torch.sqrt(var + eps)
    weight = draw.normal(C)
    return {
        "dy": draw.normal(*shape),
        "xhat": xhat,
        "weight": weight,
        "var": var.flatten(),
        "eps": eps,
    }


def shape_of(draw: Draw) -> tuple[int, ...]:
    C, N = draw.size(), draw.batch()
    if draw.corner == "vectors (N, C)":
        return N, C
    return (N, C, 5) if draw.corner == "signals (N, C, L)" else (N, C, 2, 3)


@exercise(
    running_statistics,
    "running_mean",
    "running_var",
    corners=("momentum 0.1", "other momenta", FLOAT32),
)
def running_inputs(draw: Draw) -> dict:
    C = draw.size()
    return {
        "running_mean": draw.normal(C),
        "running_var": draw.positive(C),
        "mean": draw.normal(C),
        "var": draw.positive(C),
        "m": draw.pick.choice([2, 5, 12]),
        "momentum": 0.1 if draw.corner == "momentum 0.1" else draw.pick.choice([0.25, 0.7]),
    }


@layer_case("BatchNorm1d", "BatchNorm2d")
def batchnorm(pick: Random, name: str) -> tuple[dict, dict]:
    C = pick.choice(SIZES)
    arguments = {
        "num_features": C,
        "eps": pick.choice((1e-5, 1e-3, 0.1)),
        "momentum": pick.choice((None, 0.0, 0.1, 0.5, 1.0)),
        "affine": flip(pick),
        "track_running_stats": flip(pick),
        "bias": flip(pick),
    }
    training = pick.choice(([True], [False], [True, True, True, False, True]))
    tail = some(pick, 0, 1) if name == "BatchNorm1d" else some(pick, 2, 2)
    shapes = []
    for mode in training:
        N = pick.choice(FEW)
        if N * prod(tail) < 2 and (mode or not arguments["track_running_stats"]):
            N = 2  # one value per channel has no variance
        shapes.append((N, C, *tail))
    return arguments, {"shapes": shapes, "training": training}
