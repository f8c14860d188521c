"""Mistakes of Conv2d, forward. Those of its backward pass are in conv2d_backward.py."""

from __future__ import annotations

from functools import partial

import torch

from scratchae.checking.mistake import mistake
from scratchae.layers.conv2d import conv2d_forward, conv2d_geometry
from scratchae.layers.geometry import counts

wrong_forward = partial(mistake, "conv2d_forward", chapter=8)


def framed(x, before, after, value=0.0):
    """x with `before` (rows, columns) put above and left of it, and `after` below and right."""
    (N, C, H, W), (top, left), (bottom, right) = x.shape, before, after
    frame = x.new_full((N, C, top + H + bottom, left + W + right), value)
    frame[:, :, top : top + H, left : left + W] = x
    return frame


def with_bias(y, bias):
    return y if bias is None else y + bias.view(-1, 1, 1)


def interleaved(x, groups):
    """Channels dealt to the groups one by one, like cards, instead of in blocks."""
    return x.unflatten(1, (-1, groups)).transpose(1, 2).flatten(1, 2)


@wrong_forward(
    "The kernel is turned by 180 degrees, as in true convolution: layers correlate, so tap "
    "w[o, c, i, j] meets row s·p + d·i − pad. Leave weight.flip(2, 3) away."
)
def kernel_flipped(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight.flip(2, 3), bias, stride, padding, dilation, groups)


@wrong_forward(
    "The taps i and j are exchanged, as if the kernel were transposed: i counts rows (axis 2 of "
    "weight) and goes with H, j counts columns and goes with W."
)
def kernel_transposed(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight.mT, bias, stride, padding, dilation, groups)


@wrong_forward(
    "The stride pair is used the wrong way round: stride[0] moves the window down (rows, H), "
    "stride[1] moves it to the right (columns, W)."
)
def stride_pair_exchanged(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight, bias, counts(stride)[::-1], padding, dilation, groups)


@wrong_forward(
    "The stride is ignored and y has an output at every pixel: the window of output (p, q) starts "
    "at row s·p − pad and column s·q − pad."
)
def stride_ignored(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight, bias, 1, padding, dilation, groups)


@wrong_forward(
    "y has the right size but its windows move by one pixel only: output p looks from row "
    "s·p − pad on, not from p − pad. Multiply p and q by the stride."
)
def windows_one_pixel_apart(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    _, (P, Q) = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    return conv2d_forward(x, weight, bias, 1, padding, dilation, groups)[:, :, :P, :Q]


@wrong_forward(
    "Stride and dilation have changed places: the stride moves the window (s·p), the dilation "
    "spreads its taps (d·i)."
)
def stride_for_dilation(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight, bias, dilation, padding, stride, groups)


@wrong_forward(
    "The dilation is ignored: neighbouring taps of the kernel lie d pixels apart (row s·p + d·i "
    "− pad), and P and Q shrink by (d − 1)(k − 1) before the division by s."
)
def dilation_ignored(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight, bias, stride, padding, 1, groups)


@wrong_forward(
    "The dilation counts in the size of y but not inside the window: tap (i, j) has to read row "
    "s·p + d·i − pad and column s·q + d·j − pad."
)
def dilation_in_size_only(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    _, (P, Q) = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    return conv2d_forward(x, weight, bias, stride, padding, 1, groups)[:, :, :P, :Q]


@wrong_forward(
    "The taps lie d + 1 pixels apart instead of d: dilation 1 means neighbouring pixels, with "
    "nothing left out between them."
)
def dilation_one_too_large(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    wider = tuple(d + 1 for d in counts(dilation))
    return conv2d_forward(x, weight, bias, stride, padding, wider, groups)


@wrong_forward(
    "groups is ignored and every output reads the first C/G channels of x: output o of group g "
    "reads the channels from g·C/G to (g + 1)·C/G − 1."
)
def groups_ignored(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x[:, : weight.shape[1]], weight, bias, stride, padding, dilation)


@wrong_forward(
    "The input channels are dealt to the groups in turn (c mod G): groups are blocks of "
    "neighbouring channels, so group g takes x[:, g·C/G : (g + 1)·C/G]."
)
def groups_interleaved(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(interleaved(x, groups), weight, bias, stride, padding, dilation, groups)


@wrong_forward(
    "The outputs of the groups are shuffled together along axis 1 of y: they come one block after "
    "the other, torch.cat(parts, dim=1), not stacked in turn."
)
def group_outputs_interleaved(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    y = conv2d_forward(x, weight, None, stride, padding, dilation, groups)
    return with_bias(y.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2), bias)


@wrong_forward(
    "The bias is forgotten: add b[o] to every position of output channel o, "
    "y + bias.view(-1, 1, 1)."
)
def bias_forgotten(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv2d_forward(x, weight, None, stride, padding, dilation, groups)


@wrong_forward(
    "The bias is added inside the sum, once for every term w·x, so C/G·kH·kW times: add b[o] once, "
    "after the sum over channels and taps."
)
def bias_in_every_term(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    y = conv2d_forward(x, weight, None, stride, padding, dilation, groups)
    return y if bias is None else with_bias(y, bias * weight[0].numel())


@wrong_forward(
    "The bias is added once for every input channel, so C/G times: sum over the channels first, "
    "then add b[o] once."
)
def bias_in_every_channel(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    y = conv2d_forward(x, weight, None, stride, padding, dilation, groups)
    return y if bias is None else with_bias(y, bias * weight.shape[1])


@wrong_forward(
    "The weighted sum is multiplied by the bias: b[o] is added to it, y + bias.view(-1, 1, 1)."
)
def bias_multiplied(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    y = conv2d_forward(x, weight, None, stride, padding, dilation, groups)
    return y if bias is None else y * bias.view(-1, 1, 1)


@wrong_forward(
    "y is the mean over the window, divided by C/G·kH·kW, where the sum is wanted: a layer learns "
    "the scale of its weights itself."
)
def window_averaged(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    weight = weight / weight[0].numel()
    return conv2d_forward(x, weight, bias, stride, padding, dilation, groups)


@wrong_forward(
    "Only the first input channel (of each group) enters y: the sum runs over c, axis 1 of weight, "
    "as well as over the taps i and j."
)
def first_channel_only(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    first = torch.zeros_like(weight)
    first[:, 0] = weight[:, 0]
    return conv2d_forward(x, first, bias, stride, padding, dilation, groups)
