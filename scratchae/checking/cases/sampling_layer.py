"""Cases of GaussianSampling, with fixed noise."""

from __future__ import annotations

from random import Random

from scratchae.checking.layer_cases import FEW, layer_case


@layer_case("GaussianSampling")
def gaussian_sampling(pick: Random, name: str) -> tuple[dict, dict]:
    shape = pick.choice(FEW), 2 * pick.choice(FEW)
    return {"beta": pick.choice((0.0, 0.25, 1.0, 4.0))}, {"shapes": [shape]}
