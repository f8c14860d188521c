"""Mistakes in Conv2d, backward. The rows with an arrow change the text of the library's function."""

from __future__ import annotations

from dataclasses import replace  # noqa: F401 - for rows
from functools import partial

import torch
from torch import Tensor

from scratchae.layers.convolution import Geometry, image_to_rows, kernel_matrix, windows
from scratchae.layers.geometry import counts, padding_of

CHAPTER = 9
Pair = tuple[int, int]


def overwritten(
    w: Tensor, y: Tensor, size: Pair, geometry: Geometry, window_by_window: bool = True
) -> Tensor:
    """Return partial_x with = instead of +=: where windows overlap, only the last one stays."""
    (N, _, P, Q), (top, left), G = y.shape, geometry.padding, geometry.groups
    dcols = image_to_rows(y, G) @ kernel_matrix(w, G)
    dcols = dcols.view(G, N, P, Q, *geometry.kernel_size, w.shape[1])
    framed = y.new_zeros(N, *geometry.padded_size(size, (P, Q)), w.shape[1] * G)
    where = windows(framed, (P, Q), geometry)
    kH, kW = geometry.kernel_size
    taps = [(i, j) for i in range(kH) for j in range(kW)]
    for i, j in reversed(taps) if window_by_window else taps:  # a later window: an earlier tap
        where[:, :, :, :, i, j] = dcols[:, :, :, :, i, j]
    return framed[:, top : top + size[0], left : left + size[1]].permute(0, 3, 1, 2)


overwritten_by_taps = partial(overwritten, window_by_window=False)


def overwritten_by_channels(w: Tensor, y: Tensor, size: Pair, geometry: Geometry) -> Tensor:
    """Return dx from the last output channel of each group, in the last window."""
    last_w = w.unflatten(0, (geometry.groups, -1))[:, -1]
    last_y = y.unflatten(1, (geometry.groups, -1))[:, :, -1]
    return overwritten(last_w, last_y, size, geometry)


def last_tap(weight: Tensor) -> Tensor:
    last = torch.zeros_like(weight)
    last[:, :, -1, -1] = weight[:, :, -1, -1]
    return last


def last_window(dy: Tensor) -> Tensor:
    last = torch.zeros_like(dy)
    last[-1, :, -1, -1] = dy[-1, :, -1, -1]
    return last


def framed_size(x: Tensor, weight: Tensor, padding: int | Pair, dilation: int | Pair) -> Pair:
    _, _, kH, kW = weight.shape
    before, after = padding_of(padding, (kH, kW), counts(dilation))
    return x.shape[2] + before[0] + after[0], x.shape[3] + before[1] + after[1]


def reached(dy: Tensor, geometry: Geometry) -> Pair:
    """Return the size of the part of x that the windows reach."""
    s, d, k, pad = geometry.stride, geometry.dilation, geometry.kernel_size, geometry.padding
    P, Q = dy.shape[2:]
    H = s[0] * (P - 1) + d[0] * (k[0] - 1) + 1 - 2 * pad[0]
    return H, s[1] * (Q - 1) + d[1] * (k[1] - 1) + 1 - 2 * pad[1]


DX = {
    "dx_kernel_flipped": (
        "partial_x(weight, → partial_x(weight.flip(2, 3),",
        "dx uses the kernel rotated by 180 degrees. Adding dy·w[i, j] to row s·p + d·i − pad needs no "
        "flip: only sliding the kernel over dy needs weight.flip(2, 3).",
    ),
    "dx_overwritten_by_windows": (
        "partial_x( → overwritten(",
        "dx is assigned window by window, so where windows overlap only the last one stays. A "
        "pixel gets a sum over all windows that contain it: dx[...] += ...",
    ),
    "dx_overwritten_by_taps": (
        "partial_x( → overwritten_by_taps(",
        "dx is assigned tap by tap, so a later tap overwrites what an earlier one left at the same "
        "pixel. In the loop over i and j, write += instead of =.",
    ),
    "dx_overwritten_by_channels": (
        "partial_x( → overwritten_by_channels(",
        "The loops over channels and positions assign dx, so only the last channel o (of its group) in "
        "the last window stays. Add instead: dx[...] += dy[n, o, p, q]·w[o].",
    ),
    "dx_last_tap_only": (
        "partial_x(weight, → partial_x(last_tap(weight),",
        "dx comes from the last tap w[:, :, kH − 1, kW − 1] alone. Sum over all i and j: put the "
        "line that adds to dx inside the loop.",
    ),
    "dx_not_cropped": (
        "(H, W), geometry) → framed_size(x, weight, padding, dilation), "
        "replace(geometry, padding=(0, 0)))",
        "dx still has its frame, (H + 2·pad, W + 2·pad). The padding is not part of x: crop dx to rows "
        "pad : pad + H and columns pad : pad + W.",
    ),
    "dx_cropped_from_the_corner": (
        "(H, W), geometry) → (H, W), replace(geometry, padding=(0, 0)))",
        "dx is cropped from the corner of its frame, [:H, :W], so it is shifted by the padding. x is at "
        "rows pad : pad + H and columns pad : pad + W.",
    ),
    "dx_cropped_to_nothing": (
        "(top, left), _ = padding_of(padding, weight.shape[2:], counts(dilation))\n"
        "...; dx = dx[:, :, : None if top else 0, : None if left else 0]",
        "dx is cropped with [pad:-pad], which is empty if pad is 0, since −0 is 0. Write "
        "[pad : pad + H] and [pad : pad + W].",
    ),
    "dx_without_leftover": (
        "(H, W), geometry) → reached(dy, geometry), geometry)",
        "dx ends where the last window ends. The rows and columns that the stride skips belong to x too, "
        "with gradient 0: begin with torch.zeros_like(x).",
    ),
    "dx_stride_ignored": (
        "(H, W), geometry) → (H, W), replace(geometry, stride=(1, 1)))",
        "dx ignores the stride. Window (p, q) adds to pixels that start at row s·p − pad and "
        "column s·q − pad, not at p − pad and q − pad.",
    ),
    "dx_stride_pair_exchanged": (
        "(H, W), geometry) → (H, W), replace(geometry, stride=geometry.stride[::-1]))",
        "dx uses the stride pair the wrong way round. stride[0] goes with p and the rows, stride[1] with "
        "q and the columns.",
    ),
    "dx_dilation_ignored": (
        "(H, W), geometry) → (H, W), replace(geometry, dilation=(1, 1)))",
        "dx ignores the dilation. Tap (i, j) adds to row s·p + d·i − pad and column s·q + d·j − pad: "
        "taps are d pixels apart.",
    ),
    "dx_groups_interleaved": (
        "...; dx = dx.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)",
        "The groups' parts of dx alternate along axis 1. Put one block of C/G channels after the other: "
        "torch.cat(parts, dim=1).",
    ),
    "dx_written_into_x": (
        "...; dx = x.copy_(dx)",
        "The numbers are right, but dx is written into x itself, which the caller still needs. Use "
        "a new tensor: torch.zeros_like(x).",
    ),
}

DWEIGHT = {
    "dweight_averaged_over_batch": (
        "...; dweight = dweight / len(x)",
        "dweight is averaged over the batch. Every image uses the same kernel: sum over n. dy "
        "already contains the division of the mean loss.",
    ),
    "dweight_averaged_over_positions": (
        "...; dweight = dweight / dy[0, 0].numel()",
        "dweight is averaged over the positions, divided by P·Q. Every window uses the same kernel: sum "
        "over p and q.",
    ),
    "dweight_flipped": (
        "...; dweight = dweight.flip(2, 3)",
        "dweight is rotated by 180 degrees. Tap (i, j) collects "
        "dy[p, q]·x[s·p + d·i − pad, s·q + d·j − pad], with no flip.",
    ),
    "dweight_of_last_image": (
        "...; dweight = right(dy[-1:], x[-1:], weight, stride, padding, dilation, groups)[1]",
        "dweight comes from the last image of the batch alone. In the loop over n, add to it (+=) "
        "instead of assigning.",
    ),
    "dweight_of_last_window": (
        "...; dweight = right(last_window(dy), x, weight, stride, padding, dilation, groups)[1]",
        "dweight comes from the last window of the last image alone. In the loops over n, p and q add: "
        "dweight[o] += dy[n, o, p, q]·window.",
    ),
    "dweight_stride_ignored": (
        "positions, geometry) → positions, replace(geometry, stride=(1, 1)))",
        "dweight ignores the stride. dy[p, q] multiplies the window that starts at row s·p − pad "
        "and column s·q − pad, as in the forward pass.",
    ),
    "dweight_padding_ignored": (
        "positions, geometry) → positions, replace(geometry, padding=(0, 0)))",
        "dweight is computed from x without its padding. Window (p, q) starts at row s·p − pad: use the "
        "framed x of the forward pass here too.",
    ),
    "dweight_dilation_ignored": (
        "positions, geometry) → positions, replace(geometry, dilation=(1, 1)))",
        "dweight ignores the dilation. Tap (i, j) reads x at row s·p + d·i − pad and column "
        "s·q + d·j − pad.",
    ),
    "dweight_groups_ignored": (
        "first = x[:, : weight.shape[1]].repeat(1, groups, 1, 1)\n"
        "...; dweight = right(dy, first, weight, stride, padding, dilation, groups)[1]",
        "Every group computes dweight from the first C/G channels of x. Group g has used "
        "x[:, g·C/G : (g + 1)·C/G].",
    ),
    "dweight_reshaped_not_transposed": (
        "...; dweight = dweight.reshape(len(weight), -1).T.reshape(weight.shape)",
        "The matrix of dweight, (C/G·kH·kW, O), is reshaped to (O, C/G, kH, kW) without being "
        "transposed. Transpose it first with .T, or compute dyᵀ cols.",
    ),
}

DBIAS = {
    "dbias_over_batch_only": (
        "...; dbias = dy.sum(0)",
        "dbias is summed over the batch alone and keeps P and Q. b[o] is added at every position too: "
        "dy.sum(dim=(0, 2, 3)).",
    ),
    "dbias_over_positions_only": (
        "...; dbias = dy.sum((2, 3))",
        "dbias is summed over the positions alone and has one row per image. Sum over the batch, axis 0 "
        "of dy, as well.",
    ),
    "dbias_averaged": (
        "...; dbias = dy.mean((0, 2, 3))",
        "dbias is the mean of dy over batch and positions. b[o] is added N·P·Q times, so its gradient is "
        "the sum.",
    ),
    "dbias_averaged_over_batch": (
        "...; dbias = dbias / len(dy)",
        "dbias is averaged over the batch, divided by N. Sum dy over n, p and q, and do not divide.",
    ),
    "dbias_of_columns": (
        "...; dbias = dy.sum((0, 1, 2))",
        "dbias has one sum for every column q of dy. The channels are axis 1: sum over the other axes, "
        "dim=(0, 2, 3).",
    ),
    "dbias_one_number": (
        "...; dbias = dy.sum()",
        "dbias is a single number, the sum of all of dy. Every output channel has its own b[o]: keep "
        "axis 1, dy.sum(dim=(0, 2, 3)).",
    ),
}

MISTAKES = {"conv2d_backward": DX | DWEIGHT | DBIAS}
