"""Mistakes of ConvTranspose2d, forward. Its backward pass is in conv_transpose2d_backward.py."""

from __future__ import annotations

from functools import partial

import torch

from scratchae.checking.catalogue.conv2d import framed, interleaved, with_bias
from scratchae.checking.catalogue.conv2d_backward import overwritten
from scratchae.checking.mistake import mistake
from scratchae.layers.conv2d import conv2d_forward
from scratchae.layers.conv_transpose2d import conv_transpose2d_forward, conv_transpose2d_size
from scratchae.layers.convolution import Geometry, partial_x
from scratchae.layers.geometry import counts

wrong_forward = partial(mistake, "conv_transpose2d_forward", chapter=9)


def geometry_and_size(x, weight, stride, padding, output_padding, groups, dilation):
    kernel_size, padding = tuple(weight.shape[2:]), counts(padding, least=0)
    geometry = Geometry(kernel_size, counts(stride), padding, counts(dilation), groups)
    size = conv_transpose2d_size(x.shape[2:], geometry, counts(output_padding, least=0))
    return geometry, size


@wrong_forward(
    "output_padding is ignored: it makes y larger below and to the right, by output_padding[0] rows "
    "and output_padding[1] columns."
)
def output_padding_ignored(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return conv_transpose2d_forward(x, weight, bias, stride, padding, 0, groups, dilation)


@wrong_forward(
    "output_padding is put above and left of y, as zeros, which shifts the image: it makes y "
    "larger below and to the right."
)
def output_padding_before(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    y = conv_transpose2d_forward(x, weight, None, stride, padding, 0, groups, dilation)
    return with_bias(framed(y, counts(output_padding, least=0), (0, 0)), bias)


@wrong_forward(
    "output_padding is appended as zeros to the finished y: it only crops less at the end, so those "
    "rows and columns hold whatever the stamps left there, and the bias."
)
def output_padding_of_zeros(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    y = conv_transpose2d_forward(x, weight, bias, stride, padding, 0, groups, dilation)
    return framed(y, (0, 0), counts(output_padding, least=0))


@wrong_forward(
    "output_padding counts twice, on both sides like padding: H grows by output_padding once, below "
    "the image (and W once, right of it)."
)
def output_padding_on_both_sides(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    y = conv_transpose2d_forward(x, weight, None, stride, padding, 0, groups, dilation)
    extra = counts(output_padding, least=0)
    return with_bias(framed(y, extra, extra), bias)


@wrong_forward(
    "Stamps overwrite each other where they overlap: every input pixel adds its kernel to y, "
    "y[...] += x[n, o, p, q]·w[o]."
)
def stamps_overwritten(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    geometry, size = geometry_and_size(x, weight, stride, padding, output_padding, groups, dilation)
    return with_bias(overwritten(weight, x, size, geometry), bias)


@wrong_forward(
    "The kernel is turned by 180 degrees: tap w[o, c, i, j] is stamped at row s·p + d·i − pad as it "
    "is; a flip belongs only to sliding it over an x spread with zeros."
)
def kernel_flipped(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    flipped = weight.flip(2, 3)
    return conv_transpose2d_forward(
        x, flipped, bias, stride, padding, output_padding, groups, dilation
    )


@wrong_forward(
    "The taps i and j are exchanged: i, axis 2 of weight, goes down the rows of y, and j goes along "
    "its columns."
)
def kernel_transposed(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return conv_transpose2d_forward(
        x, weight.mT, bias, stride, padding, output_padding, groups, dilation
    )


@wrong_forward(
    "weight is read as if its axes were (out, in, kH, kW): a transposed convolution keeps "
    "(in, out / groups, kH, kW), the input channels first."
)
def weight_axes_mixed(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    O, C, kH, kW = weight.shape
    mixed = weight.reshape(groups, C, O // groups, kH, kW).transpose(1, 2).flatten(0, 1)
    return conv_transpose2d_forward(
        x, mixed, bias, stride, padding, output_padding, groups, dilation
    )


@wrong_forward(
    "This is an ordinary convolution, which makes images smaller: here every input pixel stamps its "
    "kernel onto y, at rows s·p + d·i − pad."
)
def convolution_instead(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    w = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
    return conv2d_forward(x, w, bias, stride, padding, dilation, groups)


@wrong_forward(
    "The bias is forgotten: add b[c] to every pixel of output channel c, once, at the end."
)
def bias_forgotten(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return conv_transpose2d_forward(
        x, weight, None, stride, padding, output_padding, groups, dilation
    )


@wrong_forward(
    "The bias comes with every stamp, so pixels under several stamps get it several times and "
    "untouched ones never: add b[c] once, to the finished y."
)
def bias_in_every_stamp(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    geometry, size = geometry_and_size(x, weight, stride, padding, output_padding, groups, dilation)
    one = torch.zeros_like(weight[:groups]).add_(1)  # one input channel a group
    stamps = partial_x(one, torch.ones_like(x[:, :groups]), size, geometry)
    y = partial_x(weight, x, size, geometry)
    return y if bias is None else y + stamps * bias.view(-1, 1, 1)


@wrong_forward(
    "groups is ignored, so all input channels stamp onto the same C/G output channels: group g of x "
    "fills the channels from g·C/G to (g + 1)·C/G − 1."
)
def groups_ignored(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    bias = None if bias is None else bias[: weight.shape[1]]
    return conv_transpose2d_forward(x, weight, bias, stride, padding, output_padding, 1, dilation)


@wrong_forward(
    "The input channels are dealt to the groups in turn (o mod G): groups are blocks of neighbouring "
    "channels, x[:, g·O/G : (g + 1)·O/G]."
)
def groups_interleaved(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    mixed = interleaved(x, groups)
    return conv_transpose2d_forward(
        mixed, weight, bias, stride, padding, output_padding, groups, dilation
    )
