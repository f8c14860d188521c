"""Inputs of Linear, of the activations and of the loss."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from scratchae.checking.cases.draw import Draw


def linear_forward(draw: Draw) -> dict:
    I, O = draw.pick.sample([3, 5, 7, 11], 2)
    lead = (2, 3) if draw.corner == "leading axes" else (draw.batch(),)
    x, weight = draw.normal(*lead, I), draw.normal(O, I)
    return {"x": x, "weight": weight, "bias": None if draw.corner == "no bias" else draw.normal(O)}


def linear_backward(draw: Draw) -> dict:
    I, O = draw.pick.sample([3, 5, 7, 11], 2)
    lead = (2, 3) if draw.corner == "leading axes" else (draw.batch(),)
    return {"dy": draw.normal(*lead, O), "x": draw.normal(*lead, I), "weight": draw.normal(O, I)}


def activation_forward(draw: Draw) -> dict:
    return {"x": with_zeros(draw, draw.normal(draw.batch(), draw.size(), draw.size()))}


def activation_backward(squash: Callable[[Tensor], Tensor]) -> Callable[[Draw], dict]:
    def make(draw: Draw) -> dict:
        shape = draw.batch(), draw.size(), draw.size()
        return {"dy": draw.normal(*shape), "y": squash(with_zeros(draw, draw.normal(*shape)))}

    return make


def with_zeros(draw: Draw, x: Tensor) -> Tensor:
    if draw.corner == "exact zeros":
        x.view(-1)[::3] = 0
    return x


def mse(draw: Draw) -> dict:
    shape = draw.batch(), draw.size(), draw.size()
    return {"prediction": draw.normal(*shape), "target": draw.normal(*shape)}
