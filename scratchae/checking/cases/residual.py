"""Cases of Residual: a Linear with a bend inside, with and without a shortcut."""

from __future__ import annotations

from random import Random

from scratchae.checking.layer_cases import flip, layer_case, some
from scratchae.layers import Linear, Residual, Sequential, Tanh


@layer_case("Residual")
def residual(pick: Random, name: str) -> tuple[dict, dict]:
    inside, outside = pick.choice((1, 2, 3, 5)), pick.choice((1, 2, 3, 5))
    shortcut = None if inside == outside and flip(pick) else Linear(inside, outside, flip(pick))
    body = Sequential(Linear(inside, outside), Tanh())
    if flip(pick):
        body = Sequential(Residual(Tanh()), body)
    return {"body": body, "shortcut": shortcut}, {"shapes": [(*some(pick, 1, 3), inside)]}
