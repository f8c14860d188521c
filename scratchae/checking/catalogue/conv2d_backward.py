"""Mistakes of Conv2d, backward: dx. Those of dweight and dbias are in conv2d_parameters.py."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from scratchae.checking.mistake import mistake
from scratchae.layers.conv2d import conv2d_backward, conv2d_geometry
from scratchae.layers.conv_transpose2d import conv_transpose2d_size
from scratchae.layers.convolution import image_to_rows, kernel_matrix, partial_x, windows
from scratchae.layers.geometry import counts, padding_of

wrong_backward = partial(mistake, "conv2d_backward", chapter=9)


def overwritten(w, y, size, geometry, window_by_window=True):
    """partial_x with = in place of +=: where windows overlap, the last one written stays."""
    (N, _, *positions), (top, left), G = y.shape, geometry.padding, geometry.groups
    dcols = image_to_rows(y, G) @ kernel_matrix(w, G)
    dcols = dcols.view(G, N, *positions, *geometry.kernel_size, w.shape[1])
    framed = y.new_zeros(N, *geometry.padded_size(size, positions), w.shape[1] * G)
    where = windows(framed, positions, geometry)
    kH, kW = geometry.kernel_size
    taps = [(i, j) for i in range(kH) for j in range(kW)]
    for i, j in reversed(taps) if window_by_window else taps:  # a later window: an earlier tap
        where[:, :, :, :, i, j] = dcols[:, :, :, :, i, j]
    return framed[:, top : top + size[0], left : left + size[1]].permute(0, 3, 1, 2)


def right_dx_apart(dy, x, weight, stride, padding, dilation, groups):
    """The geometry, dweight and dbias: what stays right in a mistake of dx."""
    geometry, _ = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    return geometry, *conv2d_backward(dy, x, weight, stride, padding, dilation, groups)[1:]


@wrong_backward(
    "dx uses the kernel turned by 180 degrees: adding dy·w[i, j] to row s·p + d·i − pad needs no "
    "flip; only sliding the kernel over dy needs weight.flip(2, 3)."
)
def dx_kernel_flipped(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    return partial_x(weight.flip(2, 3), dy, x.shape[2:], geometry), dweight, dbias


@wrong_backward(
    "dx is assigned window by window, so where windows overlap only the last one stays: a pixel "
    "collects from every window that held it, dx[...] += ..."
)
def dx_overwritten_by_windows(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    return overwritten(weight, dy, x.shape[2:], geometry), dweight, dbias


@wrong_backward(
    "dx is assigned tap by tap, so a later tap wipes out what an earlier one left at the same "
    "pixel: in the loop over i and j, write += instead of =."
)
def dx_overwritten_by_taps(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    dx = overwritten(weight, dy, x.shape[2:], geometry, window_by_window=False)
    return dx, dweight, dbias


@wrong_backward(
    "The loops over output channels and positions assign dx, so the last channel o (of its group) "
    "in the last window wins: every o and every window adds, dx[...] += dy[n, o, p, q]·w[o]."
)
def dx_overwritten_by_channels(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    last_w, last_dy = weight.unflatten(0, (groups, -1))[:, -1], dy.unflatten(1, (groups, -1))
    return overwritten(last_w, last_dy[:, :, -1], x.shape[2:], geometry), dweight, dbias


@wrong_backward(
    "dx comes from the last tap w[:, :, kH − 1, kW − 1] alone: the sum over i and j has to keep all "
    "of them (is a line outside the loop that belongs inside?)."
)
def dx_last_tap_only(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    last = torch.zeros_like(weight)
    last[:, :, -1, -1] = weight[:, :, -1, -1]
    return partial_x(last, dy, x.shape[2:], geometry), dweight, dbias


@wrong_backward(
    "dx still has its frame, (H + 2·pad, W + 2·pad): the padding is no part of x, so cut dx to "
    "rows pad : pad + H and columns pad : pad + W."
)
def dx_not_cropped(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    before, after = padding_of(padding, weight.shape[2:], counts(dilation))
    size = tuple(n + a + b for n, a, b in zip(x.shape[2:], before, after, strict=True))
    return partial_x(weight, dy, size, replace(geometry, padding=(0, 0))), dweight, dbias


@wrong_backward(
    "dx is cut from the wrong corner of its frame, [:H, :W], so it is shifted by the padding: x "
    "lies at rows pad : pad + H and columns pad : pad + W."
)
def dx_cropped_from_the_corner(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    return partial_x(weight, dy, x.shape[2:], replace(geometry, padding=(0, 0))), dweight, dbias


@wrong_backward(
    "dx is cut with [pad:-pad], which is empty where pad is 0, since −0 is 0: write "
    "[pad : pad + H] and [pad : pad + W]."
)
def dx_cropped_to_nothing(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    (top, left), _ = padding_of(padding, weight.shape[2:], counts(dilation))
    return dx[:, :, : None if top else 0, : None if left else 0], dweight, dbias


@wrong_backward(
    "dx ends where the last window ends: rows and columns of x that the stride leaves over are part "
    "of x too, with gradient 0. Give dx the shape of x, torch.zeros_like(x)."
)
def dx_without_leftover(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    reached = conv_transpose2d_size(dy.shape[2:], geometry, (0, 0))
    return partial_x(weight, dy, reached, geometry), dweight, dbias


@wrong_backward(
    "dx ignores the stride: window (p, q) gives back to the pixels from row s·p − pad and column "
    "s·q − pad on, not from p − pad and q − pad."
)
def dx_stride_ignored(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    return partial_x(weight, dy, x.shape[2:], replace(geometry, stride=(1, 1))), dweight, dbias


@wrong_backward(
    "dx uses the stride pair the wrong way round: stride[0] goes with p and the rows, stride[1] "
    "with q and the columns."
)
def dx_stride_pair_exchanged(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    swapped = replace(geometry, stride=geometry.stride[::-1])
    return partial_x(weight, dy, x.shape[2:], swapped), dweight, dbias


@wrong_backward(
    "dx ignores the dilation: tap (i, j) gives back to row s·p + d·i − pad and column "
    "s·q + d·j − pad, d pixels apart."
)
def dx_dilation_ignored(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    geometry, dweight, dbias = right_dx_apart(dy, x, weight, stride, padding, dilation, groups)
    return partial_x(weight, dy, x.shape[2:], replace(geometry, dilation=(1, 1))), dweight, dbias


@wrong_backward(
    "The groups' parts of dx are shuffled together along axis 1: they come one block of C/G "
    "channels after the other, torch.cat(parts, dim=1)."
)
def dx_groups_interleaved(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return dx.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2), dweight, dbias


@wrong_backward(
    "The numbers are right, but dx is written into x itself, which the caller still needs: begin "
    "with a new tensor, torch.zeros_like(x)."
)
def dx_written_into_x(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    dx, dweight, dbias = conv2d_backward(dy, x, weight, stride, padding, dilation, groups)
    return x.copy_(dx), dweight, dbias
