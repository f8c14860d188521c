"""Cases of Conv2d and ConvTranspose2d: sizes that the stride divides, and sizes that leave a remainder."""

from __future__ import annotations

from random import Random
from typing import Any

from torch import Tensor

from scratchae.checking.exercises import FLOAT32, STRIDED, Draw, exercise
from scratchae.checking.layer_cases import FEW, both, flip, layer_case, pair_or_number
from scratchae.layers import (
    conv2d_backward,
    conv2d_forward,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
)

GRADIENTS = ("dx", "dweight", "dbias")
SETTINGS = ("stride", "padding", "dilation", "groups")
CORNERS = ("random sizes", "one sample", *SETTINGS, STRIDED, FLOAT32)
TRANSPOSED = (*CORNERS, "output_padding")


@exercise(conv2d_forward, "y", corners=CORNERS)
def conv2d_forward_inputs(draw: Draw) -> dict:
    settings, x, weight, _, bias = conv2d_inputs(draw)
    return {"x": x, "weight": weight, "bias": bias, **settings}


@exercise(conv2d_backward, *GRADIENTS, corners=CORNERS)
def conv2d_backward_inputs(draw: Draw) -> dict:
    settings, x, weight, dy, _ = conv2d_inputs(draw)
    return {"dy": dy, "x": x, "weight": weight, **settings}


@exercise(conv_transpose2d_forward, "y", corners=TRANSPOSED)
def conv_transpose2d_forward_inputs(draw: Draw) -> dict:
    settings, x, weight, _, bias = conv_transpose2d_inputs(draw)
    order = ("stride", "padding", "output_padding", "groups", "dilation")
    return {"x": x, "weight": weight, "bias": bias, **{name: settings[name] for name in order}}


@exercise(conv_transpose2d_backward, *GRADIENTS, corners=TRANSPOSED)
def conv_transpose2d_backward_inputs(draw: Draw) -> dict:
    settings, x, weight, dy, _ = conv_transpose2d_inputs(draw)
    order = ("stride", "padding", "groups", "dilation")
    return {"dy": dy, "x": x, "weight": weight, **{name: settings[name] for name in order}}


def conv2d_inputs(draw: Draw) -> tuple[dict[str, Any], Tensor, Tensor, Tensor, Tensor]:
    """Draw the settings, x (N, C, H, W), weight (O, C/G, kH, kW), dy (N, O, P, Q) and bias (O,)."""
    settings, kernel, positions = geometry(draw)
    groups = settings["groups"]
    C, O = channels(draw, groups)
    image = []
    for axis in (0, 1):
        s, p, d = along(axis, settings, "stride", "padding", "dilation")
        rest = draw.pick.randrange(s) if draw.corner == "stride" else 0
        image.append(max(1, s * (positions[axis] - 1) + d * (kernel[axis] - 1) + 1 - 2 * p) + rest)
    N = draw.batch()
    x, weight = draw.normal(N, C, *image), draw.normal(O, C // groups, *kernel)
    P = []
    for axis in (0, 1):
        s, p, d = along(axis, settings, "stride", "padding", "dilation")
        P.append((image[axis] + 2 * p - d * (kernel[axis] - 1) - 1) // s + 1)
    return settings, x, weight, draw.normal(N, O, *P), draw.normal(O)


def conv_transpose2d_inputs(draw: Draw) -> tuple[dict[str, Any], Tensor, Tensor, Tensor, Tensor]:
    """Draw the settings, x (N, O, P, Q), weight (O, C/G, kH, kW), dy (N, C, H, W) and bias (C,)."""
    settings, kernel, positions = geometry(draw)
    groups = settings["groups"]
    C, O = channels(draw, groups)
    if draw.corner == "output_padding":
        settings |= {"stride": (2, 3), "output_padding": (1, draw.pick.choice([1, 2]))}
    else:
        settings |= {"output_padding": 0}
    size = []
    for axis in (0, 1):
        s, p, d, extra = along(axis, settings, "stride", "padding", "dilation", "output_padding")
        size.append(s * (positions[axis] - 1) - 2 * p + d * (kernel[axis] - 1) + 1 + extra)
    N = draw.batch()
    x, weight = draw.normal(N, O, *positions), draw.normal(O, C // groups, *kernel)
    return settings, x, weight, draw.normal(N, C, *size), draw.normal(C)


def geometry(draw: Draw) -> tuple[dict[str, Any], tuple[int, int], tuple[int, int]]:
    """Draw (stride, padding, dilation and groups), the size of the kernel, and the number of positions."""
    kernel = draw.pick.choice([(3, 2), (2, 3), (3, 3)])
    settings: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    if draw.corner == "stride":
        settings |= {"stride": draw.pick.choice([2, (2, 1), (1, 2), (3, 2)])}
    elif draw.corner == "padding":
        settings |= {"padding": draw.pick.choice([1, (2, 1), (1, 0)])}
    elif draw.corner == "dilation":
        settings |= {"dilation": draw.pick.choice([2, (2, 1), (1, 3)])}
    elif draw.corner == "groups":
        settings |= {"groups": 2}
    elif draw.corner != "one sample":
        settings |= {"stride": pair(draw, 1, 2), "padding": pair(draw, 0, 1)}
    return settings, kernel, (draw.pick.choice([3, 4]), draw.pick.choice([2, 5]))


def channels(draw: Draw, groups: int) -> tuple[int, int]:
    """Draw (C, O), which differ. Each group has at least two channels, so that a wrong order shows."""
    C, O = draw.pick.sample([1, 2, 3] if groups == 1 else [2, 3], 2)
    return groups * C, groups * O


def pair(draw: Draw, *choices: int) -> tuple[int, int]:
    return draw.pick.choice(choices), draw.pick.choice(choices)


def along(axis: int, settings: dict[str, Any], *names: str) -> list[int]:
    """Return the settings of that axis."""
    return [both(settings[name])[axis] for name in names]


def drawn_arguments(pick: Random) -> dict[str, Any]:
    """Draw the arguments that both layers have in common."""
    groups = pick.randint(1, 3)
    return {
        "in_channels": groups * pick.randint(1, 3),
        "out_channels": groups * pick.randint(1, 3),
        "kernel_size": pair_or_number(pick, 1, 4),
        "stride": pair_or_number(pick, 1, 4),
        "dilation": pair_or_number(pick, 1, 3),
        "groups": groups,
        "bias": flip(pick),
    }


@layer_case("Conv2d")
def conv2d(pick: Random, name: str) -> tuple[dict, tuple]:
    arguments = drawn_arguments(pick)
    padding: Any = pick.choice(("number", "number", "same", "valid"))
    if padding == "number":
        padding = pair_or_number(pick, 0, 3)
    if padding == "same":
        arguments["stride"] = 1
    image = []
    for axis in (0, 1):
        k, d = along(axis, arguments, "kernel_size", "dilation")
        reach = d * (k - 1) + 1
        pads = {"valid": 0, "same": reach // 2}
        pad = pads[padding] if padding in pads else both(padding)[axis]
        image.append(max(1, reach - 2 * pad) + pick.randint(0, 5))
    shape = (pick.choice(FEW), arguments["in_channels"], *image)
    return {**arguments, "padding": padding}, shape


@layer_case("ConvTranspose2d")
def conv_transpose2d(pick: Random, name: str) -> tuple[dict, tuple]:
    arguments = drawn_arguments(pick)
    image, paddings, extras = [], [], []
    for axis in (0, 1):
        k, s, d = along(axis, arguments, "kernel_size", "stride", "dilation")
        extras.append(pick.randint(0, max(s, d) - 1))
        paddings.append(pick.randint(0, 5))  # also beyond the kernel's reach
        lost = 2 * paddings[-1] - d * (k - 1) - extras[-1]  # the part that one pixel does not fill
        image.append(1 + max(0, -(-lost // s)) + pick.randint(0, 3))
    shape = (pick.choice(FEW), arguments["in_channels"], *image)
    return {**arguments, "padding": tuple(paddings), "output_padding": tuple(extras)}, shape
