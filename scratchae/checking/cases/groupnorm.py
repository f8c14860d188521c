"""Cases of GroupNorm."""

from __future__ import annotations

from random import Random

from scratchae.checking.cases.layernorm import normalised
from scratchae.checking.exercises import PLAIN, Draw, exercise
from scratchae.checking.layer_cases import FEW, flip, layer_case, some
from scratchae.layers import groupnorm_backward, groupnorm_forward

CORNERS = (*PLAIN, "vectors (N, C)", "one group")


@exercise(groupnorm_forward, "y", "xhat", "s", corners=CORNERS)
def forward_inputs(draw: Draw) -> dict:
    shape, num_groups = shape_of(draw)
    return {
        "x": draw.normal(*shape) * 2 + 3,
        "num_groups": num_groups,
        "weight": draw.normal(shape[1]),
        "bias": draw.normal(shape[1]),
        "eps": draw.pick.choice([1e-3, 0.1]),
    }


@exercise(groupnorm_backward, "dx", "dweight", "dbias", corners=CORNERS)
def backward_inputs(draw: Draw) -> dict:
    (N, C, *image), num_groups = shape_of(draw)
    grouped = draw.normal(N, num_groups, C // num_groups, *image) * 2 + 3
    xhat, s = normalised(grouped, grouped.ndim - 2)
    return {
        "dy": draw.normal(N, C, *image),
        "xhat": xhat.flatten(1, 2),
        "s": s,
        "num_groups": num_groups,
        "weight": draw.normal(C),
    }


def shape_of(draw: Draw) -> tuple[tuple[int, ...], int]:
    """Return the shape of x, and the number of groups."""
    num_groups = 1 if draw.corner == "one group" else draw.pick.choice([2, 3])
    C = num_groups * draw.pick.choice([4, 5])
    image = () if draw.corner == "vectors (N, C)" else (2, 3)
    return (draw.batch(), C, *image), num_groups


@layer_case("GroupNorm")
def groupnorm(pick: Random, name: str) -> tuple[dict, tuple[int, ...]]:
    num_groups, width = pick.randint(1, 4), pick.randint(1, 3)
    arguments = {
        "num_groups": num_groups,
        "num_channels": num_groups * width,
        "eps": pick.choice((1e-5, 1e-3, 0.1)),
        "affine": flip(pick),
        "bias": flip(pick),
    }
    N, image = pick.choice(FEW), some(pick, 0, 3)
    if width == 1 and N == 1 and all(n == 1 for n in image):
        N = 2  # torch refuses a batch with one value per group
    return arguments, (N, num_groups * width, *image)
