"""Inputs of what surrounds the layers: the first weights, the optimisers, the training step."""

from __future__ import annotations

import torch

from scratchae.checking.cases.draw import FLOAT32, Draw
from scratchae.layers import BatchNorm1d, Linear, ReLU, Sequential
from scratchae.optim import SGD, Adam


def kaiming_uniform(draw: Draw) -> dict:
    shape = draw.pick.choice([(170, 230), (60, 20, 5, 7)])
    fan_in = shape[1] * (35 if len(shape) == 4 else 1)
    a = 5**0.5 if draw.corner == "a slope a" else 0.0
    return {"shape": shape, "fan_in": fan_in, "a": a, "generator": draw.generator}


def sgd_update(draw: Draw) -> dict:
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


def adam_update(draw: Draw) -> dict:
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


def train_step(draw: Draw) -> dict:
    g = draw.generator
    layers = [Linear(5, 4, generator=g), ReLU(), Linear(4, 5, generator=g)]
    if draw.corner == "with BatchNorm":
        layers.insert(1, BatchNorm1d(4))
    model = Sequential(*layers)
    if draw.corner != FLOAT32:
        model.to(torch.float64)
    decay = 0.1 if draw.corner == "with weight decay" else 0.0
    optimizer = SGD if draw.corner == "with SGD" else Adam
    return {
        "model": model,
        "optimizer": optimizer(model.parameters(), lr=0.05, weight_decay=decay),
        "batches": [draw.normal(6, 5) for _ in range(3)],
    }
