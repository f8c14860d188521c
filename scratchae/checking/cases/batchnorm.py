"""Inputs of BatchNorm: vectors, signals and images, and its running statistics."""

from __future__ import annotations

import torch

from scratchae.checking.cases.draw import Draw


def batchnorm_forward(draw: Draw) -> dict:
    shape = batchnorm_shape(draw)
    x = draw.normal(*shape) * 2 + 3
    C = shape[1]
    return {
        "x": x,
        "weight": draw.normal(C),
        "bias": draw.normal(C),
        "eps": draw.pick.choice([1e-3, 0.1]),
    }


def batchnorm_backward(draw: Draw) -> dict:
    shape = batchnorm_shape(draw)
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


def batchnorm_shape(draw: Draw) -> tuple[int, ...]:
    C, N = draw.size(), draw.batch()
    if draw.corner == "vectors (N, C)":
        return N, C
    return (N, C, 5) if draw.corner == "signals (N, C, L)" else (N, C, 2, 3)


def running_statistics(draw: Draw) -> dict:
    C = draw.size()
    return {
        "running_mean": draw.normal(C),
        "running_var": draw.positive(C),
        "mean": draw.normal(C),
        "var": draw.positive(C),
        "m": draw.pick.choice([2, 5, 12]),
        "momentum": 0.1 if draw.corner == "momentum 0.1" else draw.pick.choice([0.25, 0.7]),
    }
