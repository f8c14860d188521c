"""Cases of MaxPool2d, AvgPool2d and Upsample."""

from __future__ import annotations

from random import Random
from typing import Any

from scratchae.checking.exercises import PLAIN, Draw, exercise
from scratchae.checking.layer_cases import both, flip, layer_case, pair_or_number, some
from scratchae.layers import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
    upsample_backward,
    upsample_forward,
)

OVERLAP, PADDING, CEIL = "overlapping windows", "padding", "ceil_mode"
CORNERS = (*PLAIN, OVERLAP, PADDING, CEIL)
DILATION, TIES = "dilation", "equal values"
DIVISOR = "divisor_override"
SCALE = "other scale factor"


@exercise(max_pool2d_forward, "y", "index", corners=(*CORNERS, DILATION, TIES))
def max_pool2d_forward_inputs(draw: Draw) -> dict:
    windows, x = max_pool_inputs(draw)
    return {"x": x, **windows, "ceil_mode": draw.corner == CEIL}


@exercise(max_pool2d_backward, "dx", corners=(*CORNERS, DILATION, TIES))
def max_pool2d_backward_inputs(draw: Draw) -> dict:
    windows, x = max_pool_inputs(draw)
    y, index = max_pool2d_forward(x, **windows, ceil_mode=draw.corner == CEIL)
    return {"dy": draw.normal(*y.shape), "index": index, "size": tuple(x.shape[2:]), **windows}


def max_pool_inputs(draw: Draw) -> tuple[dict[str, Any], Any]:
    """Draw the arguments of the windows, and x."""
    windows, x = inputs(draw)
    return {**windows, "dilation": 2 if draw.corner == DILATION else 1}, x


@exercise(avg_pool2d_forward, "y", corners=(*CORNERS, DIVISOR))
def avg_pool2d_forward_inputs(draw: Draw) -> dict:
    windows, x = inputs(draw)
    return {"x": x, **windows, "ceil_mode": draw.corner == CEIL, **divisor(draw)}


@exercise(avg_pool2d_backward, "dx", corners=(*CORNERS, DIVISOR))
def avg_pool2d_backward_inputs(draw: Draw) -> dict:
    windows, x = inputs(draw)
    y = avg_pool2d_forward(x, **windows, ceil_mode=draw.corner == CEIL)
    return {"dy": draw.normal(*y.shape), "size": tuple(x.shape[2:]), **windows, **divisor(draw)}


def inputs(draw: Draw) -> tuple[dict[str, Any], Any]:
    """Draw (kernel_size, stride and padding), and x (N, C, H, W)."""
    kernel = draw.pick.choice([(3, 2), (2, 3)])
    windows: dict[str, Any] = {"kernel_size": kernel, "stride": kernel, "padding": 0}
    size = [k * draw.pick.choice([2, 3]) + draw.pick.choice([0, 1]) for k in kernel]
    if draw.corner == OVERLAP:
        windows["stride"] = draw.pick.choice([(2, 1), (1, 2)])
    elif draw.corner == PADDING:
        windows["padding"] = 1
    elif draw.corner == CEIL:  # the last windows of one axis end a pixel beyond the padding
        windows |= {"stride": tuple(k - 1 for k in kernel), "padding": 1}
        size = [
            draw.pick.choice([6, 8]) if k == 3 else n for k, n in zip(kernel, size, strict=True)
        ]
    x = draw.normal(draw.batch(), draw.pick.choice([2, 3]), *size)
    return windows, (2 * x).round() / 2 if draw.corner == TIES else x


def divisor(draw: Draw) -> dict[str, Any]:
    override = 5 if draw.corner == DIVISOR else None
    return {"count_include_pad": draw.corner != PADDING, "divisor_override": override}


@exercise(upsample_forward, "y", corners=(*PLAIN, SCALE))
def upsample_forward_inputs(draw: Draw) -> dict:
    n, m, factor = sizes(draw)
    return {"x": draw.normal(draw.batch(), 2, *n), "size": m, "scale_factor": factor}


@exercise(upsample_backward, "dx", corners=(*PLAIN, SCALE))
def upsample_backward_inputs(draw: Draw) -> dict:
    n, m, factor = sizes(draw)
    return {"dy": draw.normal(draw.batch(), 2, *m), "size": n, "scale_factor": factor}


def sizes(draw: Draw) -> tuple[tuple[int, ...], tuple[int, ...], float | None]:
    """Draw the sizes of x and y, and a scale factor that does not divide them, or None."""
    n = draw.pick.choice([(3, 4), (5, 3)])
    if draw.corner == SCALE:
        factor = draw.pick.choice([1.6, 2.7])
        return n, (int(n[0] * factor), int(n[1] * factor)), factor
    times = draw.pick.choice([(2, 3), (3, 2), (2, 2)])
    return n, (n[0] * times[0], n[1] * times[1] + draw.pick.choice([0, 1])), None


@layer_case("MaxPool2d", "AvgPool2d")
def pooling(pick: Random, name: str) -> tuple[dict, tuple[int, ...]]:
    arguments: dict[str, Any] = {
        "kernel_size": pair_or_number(pick, 1, 4),
        "stride": pick.choice((None, pair_or_number(pick, 1, 4))),
        "ceil_mode": flip(pick),
    }
    if name == "MaxPool2d":
        arguments["dilation"] = pair_or_number(pick, 1, 3)
    else:
        arguments["count_include_pad"] = flip(pick)
        arguments["divisor_override"] = pick.choice((None, None, 1, 5, -2))
    padding, size = [], []
    for axis in (0, 1):
        k, d = both(arguments["kernel_size"])[axis], both(arguments.get("dilation", 1))[axis]
        padding.append(pick.randint(0, k // 2))
        size.append(d * (k - 1) + 1 - padding[axis] + pick.randint(0, 5))  # a pixel in each window
    return {**arguments, "padding": tuple(padding)}, (*some(pick, 1, 2), *size)


@layer_case("Upsample")
def upsample(pick: Random, name: str) -> tuple[dict, tuple[int, ...]]:
    shape = tuple(some(pick, 4, 4))
    if flip(pick):
        return {"size": pair_or_number(pick, 1, 9)}, shape
    choices = (1, 1.0, 1.3, 2, 2.0, 2.2, 3, 3.7)
    pair = pick.choice(choices), pick.choice(choices)
    return {
        "scale_factor": pick.choice((pair, pair[0])),
        "recompute_scale_factor": pick.choice((None, False, True)),
    }, shape
