"""Mistakes in ConvTranspose2d, backward. Arrows change the text of the library's function."""

from __future__ import annotations

from dataclasses import replace  # noqa: F401 - for rows

from torch import Tensor

from scratchae.layers.conv_transpose2d import conv_transpose2d_size
from scratchae.layers.convolution import Geometry

CHAPTER = 9


def end_of(dy: Tensor, positions: tuple[int, int], geometry: Geometry) -> Tensor:
    """Return dy without its first output_padding rows and columns."""
    H, W = conv_transpose2d_size(positions, geometry, (0, 0))
    return dy[:, :, dy.shape[2] - H :, dy.shape[3] - W :]


DX = {
    "dx_kernel_flipped": (
        "partial_y(cols, weight, → partial_y(cols, weight.flip(2, 3),",
        "dx uses the kernel rotated by 180 degrees. dx is Conv2d's forward pass over dy, which slides "
        "weight as it is: dx[p, q] = Σ dy[s·p + d·i − pad, ...]·w[i, j].",
    ),
    "dx_stride_ignored": (
        "partial_y(cols, → partial_y(patches(dy, (P, Q), replace(geometry, stride=(1, 1))),",
        "dx ignores the stride. Input pixel (p, q) has stamped at row s·p − pad and column s·q − pad of "
        "y: read dy there.",
    ),
    "dx_padding_ignored": (
        "partial_y(cols, → partial_y(patches(dy, (P, Q), replace(geometry, padding=(0, 0))),",
        "dx ignores the padding. The forward pass has cropped pad rows and columns: put dy into a frame "
        "of zeros, or read it at s·p + d·i − pad.",
    ),
    "dx_dilation_ignored": (
        "partial_y(cols, → partial_y(patches(dy, (P, Q), replace(geometry, dilation=(1, 1))),",
        "dx ignores the dilation. The taps were stamped d pixels apart: tap (i, j) reads dy at row "
        "s·p + d·i − pad and column s·q + d·j − pad.",
    ),
    "dx_output_padding_before": (
        "partial_y(cols, → partial_y(patches(end_of(dy, (P, Q), geometry), (P, Q), geometry),",
        "dx treats the output_padding as the first rows and columns of dy. They are the last ones: "
        "window p starts at row s·p − pad.",
    ),
    "dx_first_channel_only": (
        "first = dy.unflatten(1, (groups, -1))[:, :, 0]\n"
        "...; dx = right(first, x, weight[:, :1], stride, padding, groups, dilation)[0]",
        "dx comes from the first output channel (of each group) alone. Input pixels stamp onto all of "
        "them: sum over c, axis 1 of weight and of dy.",
    ),
    "dx_written_into_x": (
        "...; dx = x.copy_(dx)",
        "The numbers are right, but dx is written into x itself, which the caller still needs. Make a "
        "new tensor for dx.",
    ),
}

DWEIGHT = {
    "dweight_x_and_dy_exchanged": (
        "partial_w(cols, x, → partial_w(patches(x, tuple(dy.shape[2:]), geometry), dy,",
        "x and dy are exchanged in dweight. Here dy is the large image that is cut into windows, and "
        "x[p, q] multiplies them.",
    ),
    "dweight_axes_exchanged": (
        "...; dweight = dweight.transpose(0, 1)",
        "The first two axes of dweight are exchanged. Like weight it is (in, out / groups, kH, kW): the "
        "input channels come first.",
    ),
    "dweight_flipped": (
        "...; dweight = dweight.flip(2, 3)",
        "dweight is rotated by 180 degrees. Tap (i, j) collects "
        "x[p, q]·dy[s·p + d·i − pad, s·q + d·j − pad], with no flip.",
    ),
    "dweight_stride_ignored": (
        "partial_w(cols, → partial_w(patches(dy, (P, Q), replace(geometry, stride=(1, 1))),",
        "dweight ignores the stride. x[p, q] multiplies dy where it has stamped, from row s·p − "
        "pad and column s·q − pad on.",
    ),
    "dweight_padding_ignored": (
        "partial_w(cols, → partial_w(patches(dy, (P, Q), replace(geometry, padding=(0, 0))),",
        "dweight ignores the padding. x[p, q] multiplies dy from row s·p − pad on, with zeros "
        "outside dy: use the framed dy here too.",
    ),
    "dweight_averaged_over_batch": (
        "...; dweight = dweight / len(x)",
        "dweight is averaged over the batch. The same kernel stamps for every image: sum over n, and do "
        "not divide by N.",
    ),
}

DBIAS = {
    "dbias_over_batch_only": (
        "...; dbias = dy.sum(0)",
        "dbias is summed over the batch alone and keeps H and W. b[c] is added at every pixel too: "
        "dy.sum(dim=(0, 2, 3)).",
    ),
    "dbias_over_pixels_only": (
        "...; dbias = dy.sum((2, 3))",
        "dbias is summed over the pixels alone and has one row per image. Sum over the batch, axis 0 of "
        "dy, as well.",
    ),
    "dbias_averaged": (
        "...; dbias = dy.mean((0, 2, 3))",
        "dbias is the mean of dy over batch and pixels. b[c] is added to all N·H·W of them, so its "
        "gradient is the sum.",
    ),
    "dbias_from_x": (
        "...; dbias = x.sum((0, 2, 3))",
        "dbias is summed over x: one number per input channel. The bias is added to y: sum dy over axes "
        "(0, 2, 3).",
    ),
    "dbias_of_columns": (
        "...; dbias = dy.sum((0, 1, 2))",
        "dbias has one sum for every column of dy. The channels are axis 1: sum over the other axes, "
        "dim=(0, 2, 3).",
    ),
}

MISTAKES = {"conv_transpose2d_backward": DX | DWEIGHT | DBIAS}
