"""Cases of the initial weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.checking.exercises import Draw, exercise
from scratchae.layers.init import kaiming_uniform


def call(function: Callable, arguments: dict) -> tuple:
    """Return what can be compared of random numbers: shape, range, spread, and whether the seed decides them.

    Range and spread are in units of the right bound.
    """
    seed = arguments["generator"].initial_seed()

    def again(seed: int) -> Tensor:
        return function(**{**arguments, "generator": torch.Generator().manual_seed(seed)})

    first, second, other = again(seed), again(seed), again(seed + 1)
    gain = (2 / (1 + arguments["a"] ** 2)) ** 0.5
    units = first.double() / (3**0.5 * gain / arguments["fan_in"] ** 0.5)
    same, differ = torch.equal(first, second), not torch.equal(first, other)
    quartiles = torch.quantile(units, torch.tensor([0.25, 0.75]).double())
    return (
        torch.tensor([float(n) for n in first.shape]).double(),
        torch.stack([units.min(), units.max()]),
        torch.cat([units.std().reshape(1), quartiles]),
        torch.tensor([float(same), float(differ)]).double(),
    )


@exercise(
    kaiming_uniform,
    *("shape", "range", "spread", "same seed, same numbers"),
    corners=("no slope", "a slope a"),
    tolerance=0.06,  # large, because the numbers are random: about 40,000 are drawn
    call=call,
)
def inputs(draw: Draw) -> dict:
    shape = draw.pick.choice([(170, 230), (60, 20, 5, 7)])
    fan_in = shape[1] * (35 if len(shape) == 4 else 1)
    a = 5**0.5 if draw.corner == "a slope a" else 0.0
    return {"shape": shape, "fan_in": fan_in, "a": a, "generator": draw.generator}
