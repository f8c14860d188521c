"""Mistakes of Conv2d, backward: dweight and dbias."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from scratchae.checking.mistake import mistake
from scratchae.layers.conv2d import conv2d_backward, conv2d_geometry
from scratchae.layers.convolution import partial_w, patches

wrong_backward = partial(mistake, "conv2d_backward", chapter=9)


def with_dweight(dy, x, weight, stride, padding, dilation, groups, changed):
    """The right gradients, but dweight with this changed in the geometry."""
    geometry, positions = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    dx, _, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    cols = patches(x, positions, replace(geometry, **changed))
    return dx, partial_w(cols, dy, weight.shape[2:]), dbias


@wrong_backward(
    "dweight is averaged over the batch: sum over n, since the same kernel is used by every image. "
    "The loss has averaged already if it wants to."
)
def dweight_averaged_over_batch(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight / len(x), dbias


@wrong_backward(
    "dweight is averaged over the positions, divided by P·Q: every window uses the same kernel, so "
    "sum over p and q."
)
def dweight_averaged_over_positions(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight / dy[0, 0].numel(), dbias


@wrong_backward(
    "dweight is turned by 180 degrees: tap (i, j) collects dy[p, q]·x[s·p + d·i − pad, "
    "s·q + d·j − pad], with no flip."
)
def dweight_flipped(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight.flip(2, 3), dbias


@wrong_backward(
    "dweight holds the last image of the batch alone: in the loop over n, add to it (+=) instead "
    "of assigning."
)
def dweight_of_last_image(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, _, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    last = conv2d_backward(dy[-1:], x[-1:], weight, stride, padding, dilation, groups)
    return dx, last[1], dbias


@wrong_backward(
    "dweight holds the last window of the last image alone: in the loops over n, p and q, "
    "dweight[o] += dy[n, o, p, q]·window, not =."
)
def dweight_of_last_window(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, _, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    last = torch.zeros_like(dy)
    last[-1, :, -1, -1] = dy[-1, :, -1, -1]
    return dx, conv2d_backward(last, x, weight, stride, padding, dilation, groups)[1], dbias


@wrong_backward(
    "dweight ignores the stride: dy[p, q] meets the window that starts at row s·p − pad and column "
    "s·q − pad, as in the forward pass."
)
def dweight_stride_ignored(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    return with_dweight(dy, x, weight, stride, padding, dilation, groups, {"stride": (1, 1)})


@wrong_backward(
    "dweight is taken from x without its padding: window (p, q) starts at row s·p − pad, so use the "
    "framed x of the forward pass here too."
)
def dweight_padding_ignored(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    return with_dweight(dy, x, weight, stride, padding, dilation, groups, {"padding": (0, 0)})


@wrong_backward(
    "dweight ignores the dilation: tap (i, j) reads x at row s·p + d·i − pad and column "
    "s·q + d·j − pad."
)
def dweight_dilation_ignored(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    return with_dweight(dy, x, weight, stride, padding, dilation, groups, {"dilation": (1, 1)})


@wrong_backward(
    "dweight of every group is taken from the first C/G channels of x: group g has used "
    "x[:, g·C/G : (g + 1)·C/G]."
)
def dweight_groups_ignored(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, _, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    first = x[:, : weight.shape[1]].repeat(1, groups, 1, 1)
    return dx, conv2d_backward(dy, first, weight, stride, padding, dilation, groups)[1], dbias


@wrong_backward(
    "The matrix of dweight, (C/G·kH·kW, O), is reshaped to (O, C/G, kH, kW) without being "
    "transposed: take .T first, or compute dyᵀ cols."
)
def dweight_reshaped_not_transposed(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight.reshape(len(weight), -1).T.reshape(weight.shape), dbias


@wrong_backward(
    "dbias is summed over the batch alone and keeps P and Q: b[o] is added at every position too, "
    "so dy.sum(dim=(0, 2, 3))."
)
def dbias_over_batch_only(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, _ = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight, dy.sum(0)


@wrong_backward(
    "dbias is summed over the positions alone and has one row for every image: sum over the batch, "
    "axis 0 of dy, as well."
)
def dbias_over_positions_only(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, _ = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight, dy.sum((2, 3))


@wrong_backward(
    "dbias is the mean of dy over batch and positions: b[o] is added N·P·Q times, so its gradient "
    "is the sum."
)
def dbias_averaged(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, _ = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight, dy.mean((0, 2, 3))


@wrong_backward(
    "dbias is averaged over the batch, divided by N: sum dy over n, p and q, and divide by nothing."
)
def dbias_averaged_over_batch(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight, dbias / len(dy)


@wrong_backward(
    "dbias is one sum for every column q of dy: the channels are axis 1, so sum over the other "
    "axes, dim=(0, 2, 3)."
)
def dbias_of_columns(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, _ = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight, dy.sum((0, 1, 2))


@wrong_backward(
    "dbias is a single number, the sum of all of dy: every output channel has its own b[o], so keep "
    "axis 1, dy.sum(dim=(0, 2, 3))."
)
def dbias_one_number(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, _ = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx, dweight, dy.sum()
