"""Mistakes of Conv2d, forward: the padding, the number of positions, and the matrix of patches."""

from __future__ import annotations

from functools import partial

import torch

from scratchae.checking.catalogue.conv2d import framed, with_bias
from scratchae.checking.mistake import mistake
from scratchae.layers.conv2d import conv2d_forward, conv2d_geometry
from scratchae.layers.convolution import partial_y, patches
from scratchae.layers.geometry import counts, padding_of

wrong_forward = partial(mistake, "conv2d_forward", chapter=8)


@wrong_forward(
    "The padding is ignored: put x into a frame of zeros, pad rows above and below and pad columns "
    "left and right, before the window slides."
)
def padding_ignored(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight, bias, stride, 0, dilation, groups)


@wrong_forward(
    "The padding pair is used the wrong way round: padding[0] goes above and below (rows, H), "
    "padding[1] goes left and right (columns, W)."
)
def padding_pair_exchanged(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    swapped = counts(padding, least=0)[::-1]
    return conv2d_forward(x, weight, bias, stride, swapped, dilation, groups)


@wrong_forward(
    "The zeros stand above and left of x alone: padding goes on all four sides, so the frame is "
    "(H + 2·pad, W + 2·pad)."
)
def padding_before_only(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    before, _ = padding_of(padding, weight.shape[2:], counts(dilation))
    return conv2d_forward(framed(x, before, (0, 0)), weight, bias, stride, 0, dilation, groups)


@wrong_forward(
    "The zeros stand below and right of x alone: padding goes on all four sides, and x begins at "
    "[pad, pad] of a frame (H + 2·pad, W + 2·pad)."
)
def padding_after_only(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    _, after = padding_of(padding, weight.shape[2:], counts(dilation))
    return conv2d_forward(framed(x, (0, 0), after), weight, bias, stride, 0, dilation, groups)


@wrong_forward(
    "The frame has the right size (H + 2·pad, W + 2·pad) but x lies in its upper left corner: "
    "write x to rows pad : pad + H and columns pad : pad + W."
)
def image_in_the_corner(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    before, after = padding_of(padding, weight.shape[2:], counts(dilation))
    after = tuple(a + b for a, b in zip(before, after, strict=True))
    return conv2d_forward(framed(x, (0, 0), after), weight, bias, stride, 0, dilation, groups)


@wrong_forward(
    "The frame around x is filled with ones: padding means zeros, so make it with x.new_zeros."
)
def padding_of_ones(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    before, after = padding_of(padding, weight.shape[2:], counts(dilation))
    x = framed(x, before, after, value=1.0)
    return conv2d_forward(x, weight, bias, stride, 0, dilation, groups)


@wrong_forward(
    "The frame repeats the pixels at the edge of x (mode 'edge' or 'replicate'): padding means "
    "zeros outside the image."
)
def padding_repeats_the_edge(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    (top, left), (bottom, right) = padding_of(padding, weight.shape[2:], counts(dilation))
    rows = torch.arange(-top, x.shape[2] + bottom).clamp(0, x.shape[2] - 1)
    columns = torch.arange(-left, x.shape[3] + right).clamp(0, x.shape[3] - 1)
    x = x[:, :, rows][:, :, :, columns]
    return conv2d_forward(x, weight, bias, stride, 0, dilation, groups)


@wrong_forward(
    "The last row and the last column of y are missing: the + 1 in P = ⌊(H + 2·pad − d·(kH − 1) − "
    "1) / s⌋ + 1 counts the window at row 0."
)
def last_position_missing(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight, bias, stride, padding, dilation, groups)[:, :, :-1, :-1]


@wrong_forward(
    "The number of positions is rounded up: a window that would reach beyond the padded image does "
    "not count, so divide by the stride with // (round down)."
)
def positions_rounded_up(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    geometry, _ = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    _, every = conv2d_geometry(x.shape, weight.shape, 1, padding, dilation, groups)
    positions = tuple(-((1 - n) // s) + 1 for n, s in zip(every, geometry.stride, strict=True))
    return with_bias(partial_y(patches(x, positions, geometry), weight, positions), bias)


@wrong_forward(
    "x is padded, but P and Q are counted from the size without padding, so the last rows and "
    "columns of y are missing: H + 2·pad stands in the formula."
)
def positions_of_unpadded_size(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    _, positions = conv2d_geometry(x.shape, weight.shape, stride, 0, dilation, groups)
    P, Q = (max(n, 0) for n in positions)
    return conv2d_forward(x, weight, bias, stride, padding, dilation, groups)[:, :, :P, :Q]


@wrong_forward(
    "Every window starts one row too low and one column too far right: indices begin at 0, so "
    "output (p, q) looks from row s·p − pad and column s·q − pad on."
)
def windows_one_pixel_late(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    (top, left), (bottom, right) = padding_of(padding, weight.shape[2:], counts(dilation))
    x = framed(x, (top, left), (bottom + 1, right + 1))[:, :, 1:, 1:]
    return conv2d_forward(x, weight, bias, stride, 0, dilation, groups)


@wrong_forward(
    "weight.reshape(-1, O) stands where weight.reshape(O, -1).T is meant: reshaping does not "
    "transpose, it deals the numbers out in another order."
)
def weight_reshaped_not_transposed(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    mixed = weight.reshape(-1, len(weight)).T.reshape(weight.shape)
    return conv2d_forward(x, mixed, bias, stride, padding, dilation, groups)


@wrong_forward(
    "The columns of the patches run as (i, j, c), those of the weight matrix as (c, i, j): permute "
    "one of them before weight.reshape(O, -1), so that equal taps meet."
)
def columns_in_another_order(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    O, C, kH, kW = weight.shape
    mixed = weight.reshape(O, kH, kW, C).permute(0, 3, 1, 2)
    return conv2d_forward(x, mixed, bias, stride, padding, dilation, groups)


@wrong_forward(
    "The rows (N·P·Q, O) of the product are reshaped to (N, O, P, Q) at once, which scatters the "
    "channels: reshape to (N, P, Q, O), then permute(0, 3, 1, 2)."
)
def rows_reshaped_to_image(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    y = conv2d_forward(x, weight, bias, stride, padding, dilation, groups)
    return y.permute(0, 2, 3, 1).reshape(y.shape)
