"""Cases of the optimisers, and of what else a step may do."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.checking.exercises import FLOAT32, Draw, exercise
from scratchae.optim import (
    adam_update,
    clip_grad_norm,
    cosine_annealing_lr,
    ema_update,
    sgd_update,
)


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


def rates(function: Callable, arguments: dict) -> Tensor:
    """Return the learning rates of several steps."""
    steps, *settings = arguments.values()
    return torch.tensor([float(function(step, *settings)) for step in steps], dtype=torch.float64)


@exercise(
    cosine_annealing_lr,
    "rates",
    corners=("down to 0", "down to eta_min", "after T_max"),
    call=rates,
    parameters=("step", "lr", "T_max", "eta_min"),
)
def cosine_inputs(draw: Draw) -> dict:
    T_max = 2 * draw.size()
    last = T_max + 5 if draw.corner == "after T_max" else T_max
    return {
        "steps": range(last + 1),
        "lr": draw.pick.choice([0.1, 0.3]),
        "T_max": T_max,
        "eta_min": 0.02 if draw.corner == "down to eta_min" else 0.0,
    }


@exercise(
    clip_grad_norm,
    "grad",
    corners=("too long", "short enough", "several axes", "tiny", FLOAT32),
    in_place=True,
)
def clip_inputs(draw: Draw) -> dict:
    shape = (draw.size(), 4) if draw.corner == "several axes" else (draw.size(),)
    grad = draw.normal(*shape)
    if draw.corner == "tiny":  # so small that the 10⁻⁶ shows
        return {"grad": 1e-5 * grad, "max_norm": 3e-6}
    norm = float(grad.square().sum().sqrt())
    return {"grad": grad, "max_norm": 2 * norm if draw.corner == "short enough" else 0.3}


@exercise(ema_update, "average", corners=("the first step", "later steps", FLOAT32), in_place=True)
def ema_inputs(draw: Draw) -> dict:
    n = draw.size()
    t = 1 if draw.corner == "the first step" else draw.pick.choice([2, 5])
    return {"average": draw.normal(n), "value": draw.normal(n), "t": t, "decay": 0.8}
