"""Mistakes in ConvTranspose2d, forward: input pixel (p, q) stamps its kernel at (s·p − pad, s·q − pad)."""

from __future__ import annotations

from dataclasses import replace  # noqa: F401 - for rows

import torch
from torch import Tensor

from scratchae.checking.catalogue.conv2d import framed, interleaved, with_bias  # noqa: F401 - for rows
from scratchae.checking.catalogue.conv2d_backward import overwritten  # noqa: F401 - for rows
from scratchae.layers.conv2d import conv2d_forward  # noqa: F401 - for rows
from scratchae.layers.convolution import Geometry, partial_x

CHAPTER = 9


def stamps(x: Tensor, weight: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    """Return how many stamps cover each pixel of the output."""
    one = torch.ones_like(weight[: geometry.groups])  # one input channel per group
    return partial_x(one, torch.ones_like(x[:, : geometry.groups]), size, geometry)


STAMPS = {
    "stamps_overwritten": (
        "partial_x( → overwritten(",
        "Stamps overwrite each other where they overlap. Every input pixel adds its kernel to y: "
        "y[...] += x[n, o, p, q]·w[o].",
    ),
    "kernel_flipped": (
        "weight = weight.flip(2, 3); ...",
        "The kernel is rotated by 180 degrees. Tap w[o, c, i, j] is stamped at row s·p + d·i − pad as it "
        "is: only sliding it over an x spread with zeros needs a flip.",
    ),
    "kernel_transposed": (
        "weight = weight.mT; ...",
        "The taps i and j are exchanged. i, axis 2 of weight, goes down the rows of y; j goes along its "
        "columns.",
    ),
    "convolution_instead": (
        "w = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)\n"
        "y = conv2d_forward(x, w, bias, stride, padding, dilation, groups)",
        "This is an ordinary convolution, which makes images smaller. Here every input pixel stamps its "
        "kernel onto y, at rows s·p + d·i − pad.",
    ),
    "stride_pair_exchanged": (
        "stride = counts(stride)[::-1]; ...",
        "The stride pair is used the wrong way round. stride[0] is the distance between stamps in "
        "rows (H), stride[1] in columns (W).",
    ),
    "stride_ignored": (
        "stride = 1; ...",
        "The stride is ignored. Neighbouring input pixels stamp s pixels apart, at row s·p and column "
        "s·q, and y has s·(P − 1) + ... rows.",
    ),
    "stamps_one_pixel_apart": (
        "x, size, geometry) → x, size, replace(geometry, stride=(1, 1)))",
        "y has the right size, but all stamps are one pixel apart. Input pixel (p, q) stamps at row "
        "s·p − pad and column s·q − pad.",
    ),
    "stride_one_too_large": (
        "stride = tuple(s + 1 for s in counts(stride)); ...",
        "Stamps are s + 1 pixels apart. Between neighbouring input pixels there are s − 1 zeros, not s.",
    ),
    "zeros_after_the_last_pixel": (
        "extra = zip(counts(output_padding, least=0), counts(stride))\n"
        "output_padding = tuple(o + s - 1 for o, s in extra); ...",
        "There are s − 1 zeros after the last input pixel too, so y has s − 1 rows and columns too many. "
        "H contains s·(P − 1), not s·P − 1.",
    ),
    "pixels_repeated": (
        """
        (sH, sW), (P, Q) = counts(stride), x.shape[2:]
        x = x.repeat_interleave(sH, 2).repeat_interleave(sW, 3)
        x = x[:, :, : sH * (P - 1) + 1, : sW * (Q - 1) + 1]
        stride = 1
        ...
        """,
        "Input pixels are repeated s times, as if an image were enlarged. Put s − 1 zeros between them: "
        "each pixel stamps once.",
    ),
    "dilation_ignored": (
        "dilation = 1; ...",
        "The dilation is ignored. The taps of a stamp are d pixels apart, at rows s·p + d·i − pad.",
    ),
    "stride_for_dilation": (
        "stride, dilation = dilation, stride; ...",
        "Stride and dilation are exchanged. The stride is the distance between stamps (s·p), the "
        "dilation the distance between the taps of one stamp (d·i).",
    ),
}

SIZE = {
    "output_padding_ignored": (
        "output_padding = 0; ...",
        "output_padding is ignored. It makes y larger below and to the right, by output_padding[0] rows "
        "and output_padding[1] columns.",
    ),
    "output_padding_before": (
        "extra, b = counts(output_padding, least=0), bias\n"
        "output_padding, bias = 0, None; ...; y = with_bias(framed(y, extra, (0, 0)), b)",
        "output_padding is put above and left of y, as zeros, which shifts the image. It makes y larger "
        "below and to the right.",
    ),
    "output_padding_of_zeros": (
        "extra, output_padding = counts(output_padding, least=0), 0\n"
        "...; y = framed(y, (0, 0), extra)",
        "output_padding is appended to y as zeros. It means only that less is cropped at the end: "
        "those rows and columns keep the sum of the stamps, and the bias.",
    ),
    "output_padding_on_both_sides": (
        "extra, b = counts(output_padding, least=0), bias\n"
        "output_padding, bias = 0, None; ...; y = with_bias(framed(y, extra, extra), b)",
        "output_padding is added on both sides, like padding. H grows by output_padding once, below the "
        "image, and W once, right of it.",
    ),
    "padding_added": (
        "pad, b = counts(padding, least=0), bias\n"
        "padding, bias = 0, None; ...; y = with_bias(framed(y, pad, pad), b)",
        "padding is added around y. Here it is the other way round: crop pad rows and columns on every "
        "side.",
    ),
    "padding_ignored": (
        "padding = 0; ...",
        "padding is ignored. Crop pad rows above and below, and pad columns left and right, from the "
        "stamped image.",
    ),
    "padding_cut_before_only": (
        "(top, left), padding = counts(padding, least=0), 0; ...; y = y[:, :, top:, left:]",
        "padding is cropped above and left only, so y is too large. Crop pad rows and columns on "
        "the other two sides too.",
    ),
    "padding_cut_after_only": (
        "x, size, geometry) → x, size, replace(geometry, padding=(0, 0)))",
        "y has the right size, but it is cropped from the upper left corner of the stamped image, "
        "[:H, :W]. Begin at row pad and column pad: [pad : pad + H].",
    ),
    "padding_pair_exchanged": (
        "padding = counts(padding, least=0)[::-1]; ...",
        "The padding pair is used the wrong way round. padding[0] crops rows (H), padding[1] crops "
        "columns (W).",
    ),
    "size_one_short": (
        "...; y = y[:, :, :-1, :-1]",
        "The last row and the last column are missing. The + 1 is missing in H = s·(P − 1) − 2·pad "
        "+ d·(kH − 1) + 1 + output_padding.",
    ),
}

CHANNELS = {
    "weight_axes_mixed": (
        "O, C, kH, kW = weight.shape\n"
        "weight = weight.reshape(groups, C, O // groups, kH, kW).transpose(1, 2).flatten(0, 1); ...",
        "weight is read as if its axes were (out, in, kH, kW). A transposed convolution has "
        "(in, out / groups, kH, kW): the input channels come first.",
    ),
    "bias_forgotten": (
        "bias = None; ...",
        "The bias is missing. Add b[c] to every pixel of output channel c, once, at the end.",
    ),
    "bias_in_every_stamp": (
        "bias.view(-1, 1, 1) → bias.view(-1, 1, 1) * stamps(x, weight, size, geometry)",
        "The bias is added with every stamp: pixels under several stamps get it several times, "
        "others never. Add b[c] once, to the finished y.",
    ),
    "groups_ignored": (
        "bias = None if bias is None else bias[: weight.shape[1]]; groups = 1; ...",
        "groups is ignored: all input channels stamp onto the same C/G output channels. Group g of x "
        "fills the channels g·C/G to (g + 1)·C/G − 1.",
    ),
    "groups_interleaved": (
        "x = interleaved(x, groups); ...",
        "The input channels are given to the groups in turn (o mod G). Groups are blocks of "
        "neighbouring channels: x[:, g·O/G : (g + 1)·O/G].",
    ),
}

MISTAKES = {"conv_transpose2d_forward": STAMPS | SIZE | CHANNELS}
