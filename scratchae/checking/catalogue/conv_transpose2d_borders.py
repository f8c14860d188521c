"""Mistakes of ConvTranspose2d, forward: padding, stride, dilation and the size of y."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from scratchae.checking.catalogue.conv2d import framed, with_bias
from scratchae.checking.catalogue.conv_transpose2d import geometry_and_size
from scratchae.checking.mistake import mistake
from scratchae.layers.conv_transpose2d import conv_transpose2d_forward
from scratchae.layers.convolution import partial_x
from scratchae.layers.geometry import counts

wrong_forward = partial(mistake, "conv_transpose2d_forward", chapter=9)


@wrong_forward(
    "padding is added around y: here it is the other way round, pad rows and columns are cut off on "
    "every side."
)
def padding_added(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    y = conv_transpose2d_forward(x, weight, None, stride, 0, output_padding, groups, dilation)
    pad = counts(padding, least=0)
    return with_bias(framed(y, pad, pad), bias)


@wrong_forward(
    "padding is ignored: cut pad rows above and below and pad columns left and right off the "
    "stamped image."
)
def padding_ignored(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return conv_transpose2d_forward(x, weight, bias, stride, 0, output_padding, groups, dilation)


@wrong_forward(
    "padding is cut off above and left alone, and y is too large: H loses 2·pad, on both sides, and "
    "W likewise."
)
def padding_cut_before_only(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    y = conv_transpose2d_forward(x, weight, bias, stride, 0, output_padding, groups, dilation)
    top, left = counts(padding, least=0)
    return y[:, :, top:, left:]


@wrong_forward(
    "y has the right size but is cut from the upper left corner of the stamped image, [:H, :W]: "
    "begin at row pad and column pad, [pad : pad + H]."
)
def padding_cut_after_only(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    geometry, size = geometry_and_size(x, weight, stride, padding, output_padding, groups, dilation)
    return with_bias(partial_x(weight, x, size, replace(geometry, padding=(0, 0))), bias)


@wrong_forward(
    "The padding pair is used the wrong way round: padding[0] cuts rows (H), padding[1] cuts "
    "columns (W)."
)
def padding_pair_exchanged(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    swapped = counts(padding, least=0)[::-1]
    return conv_transpose2d_forward(
        x, weight, bias, stride, swapped, output_padding, groups, dilation
    )


@wrong_forward(
    "The stride pair is used the wrong way round: stride[0] sets stamps apart down the rows (H), "
    "stride[1] along the columns (W)."
)
def stride_pair_exchanged(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    swapped = counts(stride)[::-1]
    return conv_transpose2d_forward(
        x, weight, bias, swapped, padding, output_padding, groups, dilation
    )


@wrong_forward(
    "The stride is ignored: neighbouring input pixels stamp s pixels apart, at row s·p and column "
    "s·q, and y has s·(P − 1) + ... rows."
)
def stride_ignored(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return conv_transpose2d_forward(x, weight, bias, 1, padding, output_padding, groups, dilation)


@wrong_forward(
    "y has the right size but all stamps lie one pixel apart: input pixel (p, q) stamps at row s·p "
    "− pad and column s·q − pad."
)
def stamps_one_pixel_apart(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    geometry, size = geometry_and_size(x, weight, stride, padding, output_padding, groups, dilation)
    return with_bias(partial_x(weight, x, size, replace(geometry, stride=(1, 1))), bias)


@wrong_forward(
    "Stamps lie s + 1 pixels apart: between neighbouring input pixels stand s − 1 zeros, not s."
)
def stride_one_too_large(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    wider = tuple(s + 1 for s in counts(stride))
    return conv_transpose2d_forward(
        x, weight, bias, wider, padding, output_padding, groups, dilation
    )


@wrong_forward(
    "s − 1 zeros stand after the last input pixel too, so y has s − 1 rows and columns too many: H "
    "counts s·(P − 1), not s·P − 1."
)
def zeros_after_the_last_pixel(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    more = (o + s - 1 for o, s in zip(counts(output_padding, least=0), counts(stride), strict=True))
    return conv_transpose2d_forward(x, weight, bias, stride, padding, tuple(more), groups, dilation)


@wrong_forward(
    "Input pixels are repeated s times, as in enlarging an image, where s − 1 zeros belong between "
    "them: each pixel stamps once."
)
def pixels_repeated(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    (sH, sW), (P, Q) = counts(stride), x.shape[2:]
    x = x.repeat_interleave(sH, 2).repeat_interleave(sW, 3)
    x = x[:, :, : sH * (P - 1) + 1, : sW * (Q - 1) + 1]
    return conv_transpose2d_forward(x, weight, bias, 1, padding, output_padding, groups, dilation)


@wrong_forward(
    "The dilation is ignored: the taps of a stamp lie d pixels apart, at rows s·p + d·i − pad."
)
def dilation_ignored(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return conv_transpose2d_forward(x, weight, bias, stride, padding, output_padding, groups, 1)


@wrong_forward(
    "Stride and dilation have changed places: the stride sets the stamps apart (s·p), the dilation "
    "the taps within a stamp (d·i)."
)
def stride_for_dilation(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return conv_transpose2d_forward(
        x, weight, bias, dilation, padding, output_padding, groups, stride
    )


@wrong_forward(
    "The last row and the last column are missing: the + 1 in H = s·(P − 1) − 2·pad + d·(kH − 1) + "
    "1 + output_padding is forgotten."
)
def size_one_short(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    y = conv_transpose2d_forward(x, weight, bias, stride, padding, output_padding, groups, dilation)
    return y[:, :, :-1, :-1]
