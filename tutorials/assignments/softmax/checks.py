"""The test cases, and the named mistakes. This file is not released."""

import softmax

from scratchae.checking import Exercise, mistake
from scratchae.course.custom_exercises import add_exercise

CORNERS = ("random sizes", "one sample", "strided inputs", "float32", "large numbers")


def forward_inputs(draw):
    x = draw.normal(draw.batch(), draw.size())
    return {"x": 1000 * x if draw.corner == "large numbers" else x}


def backward_inputs(draw):
    y = softmax.softmax_forward(forward_inputs(draw)["x"])
    return {"dy": draw.normal(*y.shape), "y": y}


add_exercise(Exercise("softmax_forward", softmax.softmax_forward, ("y",), CORNERS), forward_inputs)
add_exercise(
    Exercise("softmax_backward", softmax.softmax_backward, ("dx",), CORNERS[:4]), backward_inputs
)


@mistake(
    "softmax_forward",
    "The shares are those of a column. Sum over axis 1, the row of a sample.",
    chapter=0,
)
def summed_over_the_batch(x):
    powers = (x - x.amax()).exp()
    return powers / powers.sum(dim=0)


@mistake(
    "softmax_backward",
    "Only y[i] depends on x[i] here. All other outputs of the row do, too.",
    chapter=0,
)
def diagonal_only(dy, y):
    return dy * y * (1 - y)
