"""Cases of the training step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.checking.exercises import FLOAT32, Draw, exercise
from scratchae.layers import BatchNorm1d, Layer, Linear, ReLU, Sequential
from scratchae.optim import SGD, Adam
from scratchae.step import train_step


def call(function: Callable, arguments: dict) -> tuple[Tensor, Tensor]:
    """Make three steps; return the losses, and all parameters and running statistics as one vector."""
    model, optimizer = arguments["model"], arguments["optimizer"]
    losses = [function(model, optimizer, x) for x in arguments["batches"]]
    numbers = [t for t in model.state_dict().values() if t.is_floating_point()]
    return torch.stack([torch.as_tensor(loss) for loss in losses]), torch.cat(
        [t.flatten() for t in numbers]
    )


@exercise(
    train_step,
    *("losses", "weights after three steps"),
    corners=("with Adam", "with SGD", "with weight decay", "with BatchNorm", FLOAT32),
    call=call,
    parameters=("model", "optimizer", "x"),
)
def inputs(draw: Draw) -> dict:
    g = draw.generator
    normed = draw.corner == "with BatchNorm"
    # A bias before BatchNorm has gradient 0, and Adam would turn its rounding errors into steps.
    first = Linear(5, 4, bias=not normed, generator=g)
    layers: list[Layer] = [first, ReLU(), Linear(4, 5, generator=g)]
    if normed:
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
