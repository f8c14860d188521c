"""Cases of Linear."""

from __future__ import annotations

from random import Random

from scratchae.checking.exercises import PLAIN, Draw, exercise
from scratchae.checking.layer_cases import SIZES, flip, layer_case, some
from scratchae.layers import linear_backward, linear_forward


@exercise(linear_forward, "y", corners=(*PLAIN, "leading axes", "no bias"))
def forward_inputs(draw: Draw) -> dict:
    I, O, lead = sizes(draw)
    x, weight = draw.normal(*lead, I), draw.normal(O, I)
    return {"x": x, "weight": weight, "bias": None if draw.corner == "no bias" else draw.normal(O)}


@exercise(linear_backward, "dx", "dweight", "dbias", corners=(*PLAIN, "leading axes"))
def backward_inputs(draw: Draw) -> dict:
    I, O, lead = sizes(draw)
    return {"dy": draw.normal(*lead, O), "x": draw.normal(*lead, I), "weight": draw.normal(O, I)}


def sizes(draw: Draw) -> tuple[int, int, tuple[int, ...]]:
    """Draw (I, O, the axes before the last)."""
    I, O = draw.pick.sample([3, 5, 7, 11], 2)
    return I, O, (2, 3) if draw.corner == "leading axes" else (draw.batch(),)


@layer_case("Linear")
def linear(pick: Random, name: str) -> tuple[dict, tuple]:
    I, O = pick.choice(SIZES), pick.choice(SIZES)
    return {"in_features": I, "out_features": O, "bias": flip(pick)}, (*some(pick, 0, 3), I)
