"""Mistakes in Conv2d, forward: y[p, q] = b + Σ x[s·p + d·i − pad, s·q + d·j − pad] · w[i, j]."""

from __future__ import annotations

from torch import Tensor

from scratchae.layers.geometry import counts, padding_of

CHAPTER = 8
Pair = tuple[int, int]


def framed(x: Tensor, before: Pair, after: Pair, value: float = 0.0) -> Tensor:
    """Return x in a frame: `before` (rows, columns) above and left of it, `after` below and right."""
    (N, C, H, W), (top, left), (bottom, right) = x.shape, before, after
    frame = x.new_full((N, C, top + H + bottom, left + W + right), value)
    frame[:, :, top : top + H, left : left + W] = x
    return frame


def frame_of(weight: Tensor, padding: int | Pair, dilation: int | Pair) -> tuple[Pair, Pair]:
    """Return the padding (rows, columns) above and left of x, and that below and right of it."""
    _, _, kH, kW = weight.shape
    return padding_of(padding, (kH, kW), counts(dilation))


def both(before: Pair, after: Pair) -> Pair:
    return before[0] + after[0], before[1] + after[1]


def with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.view(-1, 1, 1)


def interleaved(x: Tensor, groups: int) -> Tensor:
    """Return x with its channels given to the groups in turn, instead of in blocks."""
    return x.unflatten(1, (-1, groups)).transpose(1, 2).flatten(1, 2)


WINDOWS = {
    "kernel_flipped": (
        "weight = weight.flip(2, 3); ...",
        "The kernel is rotated by 180 degrees, as in a convolution in mathematics. In this layer "
        "tap w[o, c, i, j] multiplies row s·p + d·i − pad. Omit weight.flip(2, 3).",
    ),
    "kernel_transposed": (
        "weight = weight.mT; ...",
        "The taps i and j are exchanged, as if the kernel were transposed. i, axis 2 of weight, counts "
        "rows (H); j counts columns (W).",
    ),
    "stride_pair_exchanged": (
        "stride = counts(stride)[::-1]; ...",
        "The stride pair is used the wrong way round. stride[0] moves the window down (rows, H), "
        "stride[1] to the right (columns, W).",
    ),
    "stride_ignored": (
        "stride = 1; ...",
        "The stride is ignored, and y has an output for every pixel. The window of output (p, q) starts "
        "at row s·p − pad and column s·q − pad.",
    ),
    "windows_one_pixel_apart": (
        "_, (P, Q) = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)\n"
        "stride = 1; ...; y = y[:, :, :P, :Q]",
        "y has the right size, but its windows are one pixel apart. Output p starts at row s·p − pad, "
        "not at p − pad: multiply p and q by the stride.",
    ),
    "stride_for_dilation": (
        "stride, dilation = dilation, stride; ...",
        "Stride and dilation are exchanged. The stride moves the window (s·p), the dilation spreads its "
        "taps (d·i).",
    ),
    "dilation_ignored": (
        "dilation = 1; ...",
        "The dilation is ignored. Neighbouring taps are d pixels apart (row s·p + d·i − pad), and P and "
        "Q shrink by (d − 1)(k − 1) before the division by s.",
    ),
    "dilation_in_size_only": (
        "_, (P, Q) = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)\n"
        "dilation = 1; ...; y = y[:, :, :P, :Q]",
        "The dilation is used for the size of y, but not for the window. Tap (i, j) reads row s·p "
        "+ d·i − pad and column s·q + d·j − pad.",
    ),
    "dilation_one_too_large": (
        "dilation = tuple(d + 1 for d in counts(dilation)); ...",
        "The taps are d + 1 pixels apart instead of d. Dilation 1 means neighbouring pixels, with none "
        "skipped between them.",
    ),
}

CHANNELS = {
    "groups_ignored": (
        "x, groups = x[:, : weight.shape[1]], 1; ...",
        "groups is ignored: every output reads the first C/G channels of x. An output of group g reads "
        "the channels g·C/G to (g + 1)·C/G − 1.",
    ),
    "groups_interleaved": (
        "x = interleaved(x, groups); ...",
        "The input channels are given to the groups in turn (c mod G). Groups are blocks of "
        "neighbouring channels: group g takes x[:, g·C/G : (g + 1)·C/G].",
    ),
    "group_outputs_interleaved": (
        "b, bias = bias, None\n"
        "...; y = with_bias(y.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2), b)",
        "The outputs of the groups alternate along axis 1 of y. Put one block after the other: "
        "torch.cat(parts, dim=1).",
    ),
    "first_channel_only": (
        "first = torch.zeros_like(weight); first[:, 0] = weight[:, 0]; weight = first; ...",
        "y is computed from the first input channel (of each group) alone. Sum over c, axis 1 of "
        "weight, as well as over the taps i and j.",
    ),
}

BIAS = {
    "bias_forgotten": (
        "bias = None; ...",
        "The bias is missing. Add b[o] at every position of output channel o: "
        "y + bias.view(-1, 1, 1).",
    ),
    "bias_in_every_term": (
        "bias = None if bias is None else bias * weight[0].numel(); ...",
        "The bias is added inside the sum, once for every term w·x: C/G·kH·kW times. Add b[o] once, "
        "after the sum over channels and taps.",
    ),
    "bias_in_every_channel": (
        "bias = None if bias is None else bias * weight.shape[1]; ...",
        "The bias is added once for every input channel: C/G times. Sum over the channels first, then "
        "add b[o] once.",
    ),
    "bias_multiplied": (
        "b, bias = bias, None; ...; y = y if b is None else y * b.view(-1, 1, 1)",
        "The weighted sum is multiplied by the bias. Add b[o] to it: y + bias.view(-1, 1, 1).",
    ),
    "window_averaged": (
        "weight = weight / weight[0].numel(); ...",
        "y is the mean over the window, divided by C/G·kH·kW. Compute the sum: the layer learns the "
        "scale of its weights by itself.",
    ),
}

PADDING = {
    "padding_ignored": (
        "padding = 0; ...",
        "The padding is ignored. Put x into a frame of zeros first: pad rows above and below, pad "
        "columns left and right.",
    ),
    "padding_pair_exchanged": (
        "padding = counts(padding, least=0)[::-1]; ...",
        "The padding pair is used the wrong way round. padding[0] goes above and below (rows, H), "
        "padding[1] left and right (columns, W).",
    ),
    "padding_before_only": (
        "before, _ = frame_of(weight, padding, dilation)\n"
        "x, padding = framed(x, before, (0, 0)), 0; ...",
        "The zeros are only above and left of x. Padding goes on all four sides: the frame is "
        "(H + 2·pad, W + 2·pad).",
    ),
    "padding_after_only": (
        "_, after = frame_of(weight, padding, dilation)\n"
        "x, padding = framed(x, (0, 0), after), 0; ...",
        "The zeros are only below and right of x. Padding goes on all four sides: x begins at "
        "[pad, pad] of a frame (H + 2·pad, W + 2·pad).",
    ),
    "image_in_the_corner": (
        "before, after = frame_of(weight, padding, dilation)\n"
        "x, padding = framed(x, (0, 0), both(before, after)), 0; ...",
        "The frame has the right size (H + 2·pad, W + 2·pad), but x is in its upper left corner. Write "
        "x to rows pad : pad + H and columns pad : pad + W.",
    ),
    "padding_of_ones": (
        "x, padding = framed(x, *frame_of(weight, padding, dilation), value=1.0), 0; ...",
        "The frame around x is filled with ones. Padding means zeros: use x.new_zeros.",
    ),
    "padding_repeats_the_edge": (
        """
        (top, left), (bottom, below) = frame_of(weight, padding, dilation)
        rows = torch.arange(-top, x.shape[2] + bottom).clamp(0, x.shape[2] - 1)
        columns = torch.arange(-left, x.shape[3] + below).clamp(0, x.shape[3] - 1)
        x, padding = x[:, :, rows][:, :, :, columns], 0
        ...
        """,
        "The frame repeats the pixels at the edge of x (mode 'edge' or 'replicate'). Padding means "
        "zeros outside the image.",
    ),
    "windows_one_pixel_late": (
        "before, after = frame_of(weight, padding, dilation)\n"
        "x, padding = framed(x, before, both(after, (1, 1)))[:, :, 1:, 1:], 0; ...",
        "Every window starts one row too low and one column too far right. Indices begin at 0: output "
        "(p, q) starts at row s·p − pad and column s·q − pad.",
    ),
}

POSITIONS = {
    "last_position_missing": (
        "...; y = y[:, :, :-1, :-1]",
        "The last row and the last column of y are missing. "
        "P = ⌊(H + 2·pad − d·(kH − 1) − 1) / s⌋ + 1: the + 1 counts the window at row 0.",
    ),
    "positions_rounded_up": (
        """
        geometry, _ = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
        _, every = conv2d_geometry(x.shape, weight.shape, 1, padding, dilation, groups)
        P, Q = (-((1 - n) // s) + 1 for n, s in zip(every, geometry.stride))
        y = with_bias(partial_y(patches(x, (P, Q), geometry), weight, (P, Q)), bias)
        """,
        "The number of positions is rounded up. A window that reaches beyond the padded image is "
        "not used: divide by the stride with //, which rounds down.",
    ),
    "positions_of_unpadded_size": (
        "_, positions = conv2d_geometry(x.shape, weight.shape, stride, 0, dilation, groups)\n"
        "P, Q = (max(n, 0) for n in positions); ...; y = y[:, :, :P, :Q]",
        "x is padded, but P and Q are computed from the size without padding, so the last rows and "
        "columns of y are missing. Use H + 2·pad in the formula.",
    ),
}

RESHAPING = {
    "weight_reshaped_not_transposed": (
        "weight = weight.reshape(-1, len(weight)).T.reshape(weight.shape); ...",
        "weight.reshape(-1, O) is used instead of weight.reshape(O, -1).T. Reshaping does not "
        "transpose: the numbers end up in the wrong places.",
    ),
    "columns_in_another_order": (
        "O, C, kH, kW = weight.shape\n"
        "weight = weight.reshape(O, kH, kW, C).permute(0, 3, 1, 2); ...",
        "The columns of the patches run as (i, j, c), those of the weight matrix as (c, i, j). "
        "Permute one of them before weight.reshape(O, -1), so that the two orders agree.",
    ),
    "rows_reshaped_to_image": (
        "...; y = y.permute(0, 2, 3, 1).reshape(y.shape)",
        "The rows (N·P·Q, O) of the product are reshaped directly to (N, O, P, Q), which mixes the "
        "channels. Reshape to (N, P, Q, O), then permute(0, 3, 1, 2).",
    ),
}

MISTAKES = {"conv2d_forward": WINDOWS | CHANNELS | BIAS | PADDING | POSITIONS | RESHAPING}
