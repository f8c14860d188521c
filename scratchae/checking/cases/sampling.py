"""Cases of drawing a code: the reparameterisation z = μ + σ ε with σ = exp(logvar / 2)."""

from __future__ import annotations

from torch import Tensor

from scratchae.checking.exercises import FLOAT32, PLAIN, Draw, exercise
from scratchae.layers.sampling import sampling_backward, sampling_forward

FAR = "far log-variances"
HUGE = f"{FLOAT32}, a variance that overflows"
LARGEST = 100.0  # its exponential overflows in float32, that of its half does not


@exercise(sampling_forward, "z", corners=(*PLAIN, FAR, HUGE))
def forward_inputs(draw: Draw) -> dict:
    shape = draw.batch(), draw.size()
    return {"mu": draw.normal(*shape), "logvar": logvar(draw, *shape), "eps": draw.normal(*shape)}


@exercise(sampling_backward, "dmu", "dlogvar", corners=(*PLAIN, FAR, HUGE))
def backward_inputs(draw: Draw) -> dict:
    shape = draw.batch(), draw.size()
    return {"dz": draw.normal(*shape), "logvar": logvar(draw, *shape), "eps": draw.normal(*shape)}


def logvar(draw: Draw, *shape: int) -> Tensor:
    """Return log-variances of both signs, in the corner "far log-variances" from about -40 to 40."""
    drawn = draw.normal(*shape) * (15 if draw.corner == FAR else 1.5)
    if draw.corner == HUGE:
        drawn[0, 0] = LARGEST
    return drawn
