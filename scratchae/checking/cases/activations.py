"""Cases of the activations."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from torch import Tensor

from scratchae import layers
from scratchae.checking.exercises import PLAIN, Draw, exercise
from scratchae.checking.layer_cases import layer_case, some

CORNERS = (*PLAIN, "exact zeros")


def forward_inputs(draw: Draw) -> dict:
    return {"x": with_zeros(draw, draw.normal(draw.batch(), draw.size(), draw.size()))}


def backward_inputs(forward: Callable[[Tensor], Tensor]) -> Callable[[Draw], dict]:
    """Return a function that draws the inputs of a backward computed from y = forward(x)."""

    def inputs(draw: Draw) -> dict:
        shape = draw.batch(), draw.size(), draw.size()
        return {"dy": draw.normal(*shape), "y": forward(with_zeros(draw, draw.normal(*shape)))}

    return inputs


def with_zeros(draw: Draw, x: Tensor) -> Tensor:
    if draw.corner == "exact zeros":
        x.view(-1)[::3] = 0
    return x


for forward, backward in (
    (layers.relu_forward, layers.relu_backward),
    (layers.tanh_forward, layers.tanh_backward),
    (layers.sigmoid_forward, layers.sigmoid_backward),
):
    exercise(forward, "y", corners=CORNERS)(forward_inputs)
    exercise(backward, "dx", corners=CORNERS)(backward_inputs(forward))


@layer_case("ReLU", "LeakyReLU", "Tanh", "Sigmoid")
def activation(pick: Random, name: str) -> tuple[dict, dict]:
    slopes = (0.01, 0.2, 1, 0, -0.5, 3.0)
    arguments = {"negative_slope": pick.choice(slopes)} if name == "LeakyReLU" else {}
    return arguments, {"shapes": [tuple(some(pick, 0, 4))], "extremes": True}
