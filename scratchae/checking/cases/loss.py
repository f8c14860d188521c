"""Cases of the mean squared error."""

from __future__ import annotations

from scratchae.checking.exercises import Draw, exercise
from scratchae.losses import mse_backward, mse_forward


@exercise(mse_forward, "loss")
@exercise(mse_backward, "dprediction")
def inputs(draw: Draw) -> dict:
    shape = draw.batch(), draw.size(), draw.size()
    return {"prediction": draw.normal(*shape), "target": draw.normal(*shape)}
