"""Inputs of Conv2d and ConvTranspose2d: sizes that fit the stride, and sizes that leave a rest."""

from __future__ import annotations

from torch import Tensor

from scratchae.checking.cases.draw import Draw


def conv2d_forward(draw: Draw) -> dict:
    settings, x, weight, _, bias = conv(draw)
    return {"x": x, "weight": weight, "bias": bias, **settings}


def conv2d_backward(draw: Draw) -> dict:
    settings, x, weight, dy, _ = conv(draw)
    return {"dy": dy, "x": x, "weight": weight, **settings}


def conv_transpose2d_forward(draw: Draw) -> dict:
    settings, x, weight, _, bias = conv_transpose2d(draw)
    order = ("stride", "padding", "output_padding", "groups", "dilation")
    return {"x": x, "weight": weight, "bias": bias, **{name: settings[name] for name in order}}


def conv_transpose2d_backward(draw: Draw) -> dict:
    settings, x, weight, dy, _ = conv_transpose2d(draw)
    order = ("stride", "padding", "groups", "dilation")
    return {"dy": dy, "x": x, "weight": weight, **{name: settings[name] for name in order}}


def conv(draw: Draw) -> tuple[dict, Tensor, Tensor, Tensor, Tensor]:
    """settings, image x (N, C, H, W), weight (O, C/G, kH, kW), y-sized dy, bias."""
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


def conv_transpose2d(draw: Draw) -> tuple[dict, Tensor, Tensor, Tensor, Tensor]:
    """settings, x (N, O, P, Q), weight (O, C/G, kH, kW), dy (N, C, H, W), bias (C,)."""
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


def geometry(draw: Draw) -> tuple[dict, tuple[int, int], tuple[int, int]]:
    """Stride, padding, dilation, groups; the kernel's size; the number of positions."""
    kernel = draw.pick.choice([(3, 2), (2, 3), (3, 3)])
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
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
    """(C, O), differing; with groups at least two channels in each, so that their order shows."""
    return tuple(groups * per for per in draw.pick.sample([1, 2, 3] if groups == 1 else [2, 3], 2))


def pair(draw: Draw, *choices: int) -> tuple[int, int]:
    return draw.pick.choice(choices), draw.pick.choice(choices)


def along(axis: int, settings: dict, *names: str) -> tuple[int, ...]:
    """The settings of that axis: a number stands for both."""
    values = (settings[name] for name in names)
    return tuple(v[axis] if isinstance(v, tuple) else v for v in values)
