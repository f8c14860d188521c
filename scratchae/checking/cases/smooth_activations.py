"""Cases of SiLU, GELU and Softplus."""

from __future__ import annotations

from random import Random
from typing import Any

from scratchae.checking.exercises import PLAIN, Draw, exercise
from scratchae.checking.layer_cases import layer_case, some
from scratchae.layers import (
    gelu_backward,
    gelu_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
)

TANH, BETA, STRAIGHT = "tanh approximation", "other beta", "above the threshold"


@exercise(silu_forward, "y")
def silu_forward_inputs(draw: Draw) -> dict:
    return {"x": draw.normal(*shape_of(draw))}


@exercise(silu_backward, "dx")
def silu_backward_inputs(draw: Draw) -> dict:
    shape = shape_of(draw)
    return {"dy": draw.normal(*shape), "x": draw.normal(*shape)}


@exercise(gelu_forward, "y", corners=(*PLAIN, TANH))
def gelu_forward_inputs(draw: Draw) -> dict:
    return {**silu_forward_inputs(draw), "approximate": approximation(draw)}


@exercise(gelu_backward, "dx", corners=(*PLAIN, TANH))
def gelu_backward_inputs(draw: Draw) -> dict:
    return {**silu_backward_inputs(draw), "approximate": approximation(draw)}


@exercise(softplus_forward, "y", corners=(*PLAIN, BETA, STRAIGHT))
def softplus_forward_inputs(draw: Draw) -> dict:
    return {**silu_forward_inputs(draw), **bend(draw)}


@exercise(softplus_backward, "dx", corners=(*PLAIN, BETA, STRAIGHT))
def softplus_backward_inputs(draw: Draw) -> dict:
    return {**silu_backward_inputs(draw), **bend(draw)}


def shape_of(draw: Draw) -> tuple[int, ...]:
    return draw.batch(), draw.size(), draw.size()


def approximation(draw: Draw) -> str:
    return "tanh" if draw.corner == TANH else "none"


def bend(draw: Draw) -> dict[str, float]:
    """Draw beta, and a threshold that some x exceed in the corner of that name."""
    beta = draw.pick.choice([0.5, 2.0, 3.0]) if draw.corner in (BETA, STRAIGHT) else 1.0
    threshold = draw.pick.choice([-0.1, 0.1, 0.5]) if draw.corner == STRAIGHT else 20.0
    return {"beta": beta, "threshold": threshold}


@layer_case("SiLU", "GELU", "Softplus")
def smooth_activation(pick: Random, name: str) -> tuple[dict, dict]:
    arguments: dict[str, Any] = {}
    if name == "GELU":
        arguments = {"approximate": pick.choice(("none", "tanh"))}
    elif name == "Softplus":
        beta, threshold = pick.choice((0.1, 1, 1.0, 3.0, -2.0)), pick.choice((20, 20.0, 0.5, -1.0))
        arguments = {"beta": beta, "threshold": threshold}
    # no large numbers in GELU: below x = −6, 1 + erf(x / √2) consists of rounding errors, also in torch
    return arguments, {"shapes": [tuple(some(pick, 0, 4))], "extremes": name != "GELU"}
