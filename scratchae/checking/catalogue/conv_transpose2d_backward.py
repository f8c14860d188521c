"""Mistakes of ConvTranspose2d, backward."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from scratchae.checking.catalogue.conv_transpose2d import geometry_and_size
from scratchae.checking.mistake import mistake
from scratchae.layers.conv_transpose2d import conv_transpose2d_backward
from scratchae.layers.convolution import partial_w, partial_y, patches

wrong_backward = partial(mistake, "conv_transpose2d_backward", chapter=9)


def with_geometry(wrong, dy, x, weight, stride, padding, groups, dilation, changed):
    """The right gradients, but dx or dweight (`wrong` says which) with this changed in the geometry."""
    dx, dweight, dbias = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    geometry, _ = geometry_and_size(x, weight, stride, padding, 0, groups, dilation)
    positions = tuple(x.shape[2:])
    cols = patches(dy, positions, replace(geometry, **changed))
    if wrong == "dx":
        return partial_y(cols, weight, positions), dweight, dbias
    return dx, partial_w(cols, x, weight.shape[2:]), dbias


@wrong_backward(
    "dx uses the kernel turned by 180 degrees: dx is Conv2d's forward pass over dy, which slides "
    "weight as it is, dx[p, q] = Σ dy[s·p + d·i − pad, ...]·w[i, j]."
)
def dx_kernel_flipped(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    geometry = stride, padding, groups, dilation
    _, dweight, dbias = conv_transpose2d_backward(dy, x, weight, *geometry)
    return conv_transpose2d_backward(dy, x, weight.flip(2, 3), *geometry)[0], dweight, dbias


@wrong_backward(
    "dx ignores the stride: input pixel (p, q) has stamped at row s·p − pad and column s·q − pad of "
    "y, so read dy there."
)
def dx_stride_ignored(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    return with_geometry("dx", dy, x, weight, stride, padding, groups, dilation, {"stride": (1, 1)})


@wrong_backward(
    "dx ignores the padding: the forward pass has cut pad rows and columns off, so put dy into a "
    "frame of zeros, or read it at s·p + d·i − pad."
)
def dx_padding_ignored(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    return with_geometry(
        "dx", dy, x, weight, stride, padding, groups, dilation, {"padding": (0, 0)}
    )


@wrong_backward(
    "dx ignores the dilation: tap (i, j) has stamped d pixels apart, so it reads dy at row "
    "s·p + d·i − pad and column s·q + d·j − pad."
)
def dx_dilation_ignored(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    return with_geometry(
        "dx", dy, x, weight, stride, padding, groups, dilation, {"dilation": (1, 1)}
    )


@wrong_backward(
    "dx takes the output_padding for rows and columns at the beginning of dy: they are its last "
    "ones, so windows are counted from the first row, s·p − pad."
)
def dx_output_padding_before(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    geometry = stride, padding, groups, dilation
    _, dweight, dbias = conv_transpose2d_backward(dy, x, weight, *geometry)
    _, (H, W) = geometry_and_size(x, weight, stride, padding, 0, groups, dilation)
    shifted = dy[:, :, dy.shape[2] - H :, dy.shape[3] - W :]
    return conv_transpose2d_backward(shifted, x, weight, *geometry)[0], dweight, dbias


@wrong_backward(
    "dx holds the first output channel (of each group) alone: input pixels stamp onto all of them, "
    "so sum over c, axis 1 of weight and of dy."
)
def dx_first_channel_only(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    geometry = stride, padding, groups, dilation
    _, dweight, dbias = conv_transpose2d_backward(dy, x, weight, *geometry)
    first = dy.unflatten(1, (groups, -1))[:, :, 0]  # (N, G, H, W)
    return conv_transpose2d_backward(first, x, weight[:, :1], *geometry)[0], dweight, dbias


@wrong_backward(
    "The numbers are right, but dx is written into x itself, which the caller still needs: give dx "
    "a tensor of its own."
)
def dx_written_into_x(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, dbias = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return x.copy_(dx), dweight, dbias


@wrong_backward(
    "x and dy have changed places in dweight: here dy is the large image that is cut into windows, "
    "and x[p, q] is what multiplies them."
)
def dweight_x_and_dy_exchanged(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, _, dbias = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    geometry, _ = geometry_and_size(x, weight, stride, padding, 0, groups, dilation)
    cols = patches(x, tuple(dy.shape[2:]), geometry)
    return dx, partial_w(cols, dy, weight.shape[2:]), dbias


@wrong_backward(
    "The first two axes of dweight have changed places: like weight it is (in, out / groups, kH, "
    "kW), the input channels first."
)
def dweight_axes_exchanged(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, dbias = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return dx, dweight.transpose(0, 1), dbias


@wrong_backward(
    "dweight is turned by 180 degrees: tap (i, j) collects x[p, q]·dy[s·p + d·i − pad, "
    "s·q + d·j − pad], with no flip."
)
def dweight_flipped(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, dbias = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return dx, dweight.flip(2, 3), dbias


@wrong_backward(
    "dweight ignores the stride: x[p, q] meets dy from row s·p − pad and column s·q − pad on, where "
    "it has stamped."
)
def dweight_stride_ignored(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    return with_geometry(
        "dweight", dy, x, weight, stride, padding, groups, dilation, {"stride": (1, 1)}
    )


@wrong_backward(
    "dweight ignores the padding: x[p, q] meets dy from row s·p − pad on, and what lies outside dy "
    "is zero. Use the framed dy here too."
)
def dweight_padding_ignored(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    return with_geometry(
        "dweight", dy, x, weight, stride, padding, groups, dilation, {"padding": (0, 0)}
    )


@wrong_backward(
    "dweight is averaged over the batch: the same kernel stamps for every image, so sum over n and "
    "do not divide by N."
)
def dweight_averaged_over_batch(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, dbias = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return dx, dweight / len(x), dbias


@wrong_backward(
    "dbias is summed over the batch alone and keeps H and W: b[c] is added at every pixel too, so "
    "dy.sum(dim=(0, 2, 3))."
)
def dbias_over_batch_only(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, _ = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return dx, dweight, dy.sum(0)


@wrong_backward(
    "dbias is summed over the pixels alone and has one row for every image: sum over the batch, "
    "axis 0 of dy, as well."
)
def dbias_over_pixels_only(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, _ = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return dx, dweight, dy.sum((2, 3))


@wrong_backward(
    "dbias is the mean of dy over batch and pixels: b[c] is added to all N·H·W of them, so its "
    "gradient is the sum."
)
def dbias_averaged(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, _ = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return dx, dweight, dy.mean((0, 2, 3))


@wrong_backward(
    "dbias is summed over x, one number for every input channel: the bias is added to y, so sum dy "
    "over axes (0, 2, 3)."
)
def dbias_from_x(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, _ = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return dx, dweight, x.sum((0, 2, 3))


@wrong_backward(
    "dbias is one sum for every column of dy: the channels are axis 1, so sum over the other axes, "
    "dim=(0, 2, 3)."
)
def dbias_of_columns(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    dx, dweight, _ = conv_transpose2d_backward(dy, x, weight, stride, padding, groups, dilation)
    return dx, dweight, dy.sum((0, 1, 2))
