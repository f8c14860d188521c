"""Cases of the optimisers."""

from __future__ import annotations

import torch

from scratchae.checking.exercises import FLOAT32, Draw, exercise
from scratchae.optim import adam_update, sgd_update


@exercise(
    sgd_update,
    "value",
    "momentum_buffer",
    corners=("no momentum", "the first step", "later steps", "weight decay", "nesterov", FLOAT32),
    in_place=True,
)
def sgd_inputs(draw: Draw) -> dict:
    n, momentum = draw.size(), 0.0 if draw.corner == "no momentum" else 0.8
    t = 1 if draw.corner == "the first step" else draw.pick.choice([2, 5])
    buffer = torch.zeros_like(draw.normal(n)) if t == 1 else draw.normal(n)
    nesterov = draw.corner == "nesterov"
    return {
        "value": draw.normal(n),
        "grad": draw.normal(n),
        "momentum_buffer": buffer if momentum else None,
        "t": t,
        "lr": 0.1,
        "momentum": momentum,
        "dampening": 0.3 if momentum and not nesterov else 0.0,
        "weight_decay": 0.2 if draw.corner == "weight decay" else 0.0,
        "nesterov": nesterov,
    }


@exercise(
    adam_update,
    "value",
    "exp_avg",
    "exp_avg_sq",
    "max_exp_avg_sq",
    corners=("the first step", "later steps", "weight decay", "amsgrad", FLOAT32),
    in_place=True,
)
def adam_inputs(draw: Draw) -> dict:
    n, t = draw.size(), 1 if draw.corner == "the first step" else draw.pick.choice([2, 5, 20])
    value, grad = draw.normal(n), draw.normal(n)
    m, v = draw.normal(n), draw.positive(n) * 0.1
    amsgrad = draw.corner == "amsgrad"
    return {
        "value": value,
        "grad": grad,
        "exp_avg": torch.zeros_like(m) if t == 1 else m,
        "exp_avg_sq": torch.zeros_like(v) if t == 1 else v,
        "t": t,
        "lr": 0.1,
        "betas": (0.8, 0.95),
        "eps": 0.01,
        "weight_decay": 0.2 if draw.corner == "weight decay" else 0.0,
        "max_exp_avg_sq": draw.positive(n) * 0.1 if amsgrad else None,
    }
