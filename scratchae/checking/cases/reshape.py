"""Cases of Flatten and Unflatten."""

from __future__ import annotations

from math import prod
from random import Random

from scratchae.checking.layer_cases import flip, layer_case, some


@layer_case("Flatten")
def flatten(pick: Random, name: str) -> tuple[dict, tuple]:
    shape = some(pick, 1, 4)
    start = pick.randint(0, len(shape) - 1)
    end = pick.randint(start, len(shape) - 1)
    start, end = (axis - len(shape) * flip(pick) for axis in (start, end))
    return {"start_dim": start, "end_dim": end}, tuple(shape)


@layer_case("Unflatten")
def unflatten(pick: Random, name: str) -> tuple[dict, tuple]:
    shape, parts = some(pick, 1, 3), tuple(some(pick, 1, 3))
    axis = pick.randint(0, len(shape) - 1)
    shape[axis] = prod(parts)
    dim = axis - len(shape) * flip(pick)
    return {"dim": dim, "unflattened_size": parts}, tuple(shape)
