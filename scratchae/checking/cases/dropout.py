"""Cases of Dropout, with fixed masks."""

from __future__ import annotations

from random import Random

from torch import Tensor

from scratchae.checking.exercises import PLAIN, Draw, exercise
from scratchae.checking.layer_cases import layer_case, some
from scratchae.layers import dropout_backward, dropout_forward

CORNERS = (*PLAIN, "images", "all dropped, p = 1")


@exercise(dropout_forward, "y", corners=CORNERS)
def forward_inputs(draw: Draw) -> dict:
    x, mask, p = inputs(draw)
    return {"x": x, "mask": mask, "p": p}


@exercise(dropout_backward, "dx", corners=CORNERS)
def backward_inputs(draw: Draw) -> dict:
    dy, mask, p = inputs(draw)
    return {"dy": dy, "mask": mask, "p": p}


def inputs(draw: Draw) -> tuple[Tensor, Tensor, float]:
    """Return random numbers, a mask and the probability p."""
    shape = (draw.batch(), draw.size()) if draw.corner != "images" else (draw.batch(), 2, 3, 5)
    p = 1.0 if draw.corner == CORNERS[-1] else draw.pick.choice([0.2, 0.4, 0.7])
    numbers = draw.normal(*shape)
    mask = draw.normal(*shape) > 0
    mask.view(-1)[:2] = mask.new_tensor([True, False])  # both occur
    return numbers, mask & (p < 1), p


@layer_case("Dropout")
def dropout(pick: Random, name: str) -> tuple[dict, dict]:
    training = pick.choice(([True], [False], [True, False, True]))
    shapes = [tuple(some(pick, 1, 4))] * len(training)
    return {"p": pick.choice((0, 0.0, 0.2, 0.5, 0.9, 1.0))}, {
        "shapes": shapes,
        "training": training,
    }
