"""Mistakes in MaxPool2d, AvgPool2d and Upsample."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.layers.convolution import Geometry, windows

CHAPTER = 0


def last_window_wins(dwindows: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    """Return add_windows with = instead of +=: where windows overlap, only the last one stays."""
    (_, N, P, Q, kH, kW, C), (H, W), (top, left) = dwindows.shape, size, geometry.padding
    image = dwindows.new_zeros(N, *geometry.padded_size(size, (P, Q)), C)
    pixels = windows(image, (P, Q), geometry)
    for i in reversed(range(kH)):  # a later window: an earlier tap
        for j in reversed(range(kW)):
            pixels[:, :, :, :, i, j] = dwindows[:, :, :, :, i, j]
    return image[:, top : top + H, left : left + W].permute(0, 3, 1, 2)


def last_of_equals(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest values along axis 3 and, of equal values, the place of the last."""
    y, place = values.flip(3).max(dim=3)
    return y, values.shape[3] - 1 - place


def in_image(index: Tensor, W: int, geometry: Geometry) -> Tensor:
    """Return the numbers of the pixels in an image of width W, for the numbers of the taps."""
    (kW, s, d, pad), (P, Q) = (
        (geometry.kernel_size[1], geometry.stride, geometry.dilation, geometry.padding),
        index.shape[2:],
    )
    rows = s[0] * torch.arange(P).view(-1, 1) + d[0] * (index // kW) - pad[0]
    columns = s[1] * torch.arange(Q) + d[1] * (index % kW) - pad[1]
    return W * rows + columns


MAX_FORWARD = {
    "zero_padding": (
        "-math.inf → 0.0",
        "The padding is 0, so a window whose values are all negative has the maximum 0. Pad with −∞.",
    ),
    "mean_for_maximum": (
        "...; y = avg_pool2d_forward(x, kernel_size, stride, padding, ceil_mode)",
        "y is the mean of each window. Take the largest value.",
    ),
    "minimum_for_maximum": (
        """
        x.permute(0, 2, 3, 1) → -x.permute(0, 2, 3, 1)
        y.permute( → -y.permute(
        """,
        "y is the smallest value of each window. Take the largest.",
    ),
    "largest_absolute_value": (
        "padded(x.permute → padded(x.abs().permute",
        "The absolute values are compared. Take the largest value, with its sign.",
    ),
    "stride_one": (
        "stride = 1; ...",
        "The windows are one pixel apart. Their distance is stride, which is kernel_size if it is None.",
    ),
    "dilation_ignored": (
        "dilation = 1; ...",
        "dilation is ignored. Neighbouring values of a window are dilation pixels apart.",
    ),
    "ceil_mode_ignored": (
        "ceil_mode = False; ...",
        "ceil_mode is ignored: the windows that end outside the image are missing.",
    ),
    "last_of_equal_values": (
        "values.flatten(3, 4).max(dim=3) → last_of_equals(values.flatten(3, 4))",
        "If several values are the largest, index is that of the last. Take the first, row by row.",
    ),
    "index_in_the_image": (
        """
        ...
        geometry, _ = pool_geometry(x.shape[2:], kernel_size, stride, padding, dilation)
        index = in_image(index, x.shape[3], geometry)
        """,
        "index counts the pixels of the image. Here it counts the values of the window: kW · i + j.",
    ),
    "index_by_columns": (
        """
        ...
        kH, kW = counts(kernel_size)
        index = index % kW * kH + index // kW
        """,
        "index counts the window column by column. Count row by row: kW · i + j.",
    ),
}

MAX_BACKWARD = {
    "overwritten_by_maxima": (
        "add_windows( → last_window_wins(",
        "dx is assigned, so where windows overlap only the last one stays. A pixel can be the largest of "
        "several windows: add up their dy.",
    ),
    "spread_over_window": (
        "torch.where(index == taps, dy, 0.0) → dy.expand(-1, -1, -1, kH * kW, -1)",
        "Every pixel of a window gets dy. Only the largest one reaches the loss: the others get 0.",
    ),
    "divided_by_window": (
        "torch.where(index == taps, dy, 0.0) → torch.where(index == taps, dy / (kH * kW), 0.0)",
        "dy is divided by the number of pixels of the window, as in a mean. The largest gets all of dy.",
    ),
    "first_tap": (
        "index == taps → taps == 0",
        "dy always goes to the first pixel of the window. It goes to the largest, whose place is index.",
    ),
    "index_transposed": (
        "index == taps → index % kW * kH + index // kW == taps",
        "index is read column by column. It counts row by row: i = index // kW and j = index % kW.",
    ),
    "sign_changed": (
        "index == taps, dy, 0.0 → index == taps, -dy, 0.0",
        "The sign of dx is wrong. If the largest value grows by 1, y grows by 1: it gets dy itself.",
    ),
    "padding_forgotten": (
        "padding = 0; ...",
        "The padding is ignored, so dx is shifted. Window (p, q) starts at row s·p − pad.",
    ),
    "max_dy_forgotten": (
        "dy = torch.ones_like(dy); ...",
        "dx counts how often a pixel is the largest. Give it the dy of these windows.",
    ),
}

AVG_FORWARD = {
    "sum_for_mean": (
        " / m → ",
        "y is the sum of the window. Divide it by m, the number of its pixels.",
    ),
    "maximum_for_mean": (
        "y = max_pool2d_forward(x, kernel_size, stride, padding, 1, ceil_mode)[0]",
        "y is the largest value of each window. Take the mean.",
    ),
    "divided_by_rows": (
        "...; y = y * counts(kernel_size)[1]",
        "The sum is divided by kH alone. A window has kH · kW pixels.",
    ),
    "always_kernel_size": (
        "kH, kW = counts(kernel_size); y = right(x, kernel_size, stride, padding, ceil_mode, True, "
        "divisor_override or kH * kW)",
        "The sum is always divided by kH · kW. With count_include_pad=False, and at windows that end beyond "
        "the padding, m is smaller.",
    ),
    "count_include_pad_ignored": (
        "y = right(x, kernel_size, stride, padding, ceil_mode, True, divisor_override)",
        "count_include_pad=False is ignored: pixels in the padding must not count in m.",
    ),
    "never_padding": (
        "y = right(x, kernel_size, stride, padding, ceil_mode, False, divisor_override)",
        "Pixels in the padding do not count in m. With count_include_pad=True they do.",
    ),
    "divisor_ignored": (
        "divisor_override = None; ...",
        "divisor_override is ignored. If it is given, divide the sum by it.",
    ),
    "divisor_beside_mean": (
        "y = right(x, kernel_size, stride, padding, ceil_mode, count_include_pad) / (divisor_override or 1)",
        "The mean is divided by divisor_override too. It takes the place of m: divide the sum by it.",
    ),
    "ceil_mode_ignored": (
        "ceil_mode = False; ...",
        "ceil_mode is ignored: the windows that end outside the image are missing.",
    ),
    "stride_one": (
        "stride = 1; ...",
        "The windows are one pixel apart. Their distance is stride, which is kernel_size if it is None.",
    ),
}

AVG_BACKWARD = {
    "not_divided": (
        "dy / m → dy",
        "Every pixel of a window gets dy. It gets dy / m, since y is the sum divided by m.",
    ),
    "overwritten_by_means": (
        "add_windows( → last_window_wins(",
        "dx is assigned, so where windows overlap only the last one stays. A pixel gets the sum over all "
        "windows that contain it.",
    ),
    "largest_gets_all": (
        """
        kH, kW = counts(kernel_size)
        first = torch.zeros_like(dy, dtype=torch.long)
        dx = max_pool2d_backward(dy, first, size, kernel_size, stride, padding)
        """,
        "Only one pixel of each window gets a gradient, as in max pooling. In a mean all of them get dy / m.",
    ),
    "divided_by_rows": (
        "...; dx = dx * counts(kernel_size)[1]",
        "dy is divided by kH alone. A window has kH · kW pixels.",
    ),
    "always_kernel_size": (
        "kH, kW = counts(kernel_size); dx = right(dy, size, kernel_size, stride, padding, True, "
        "divisor_override or kH * kW)",
        "dy is always divided by kH · kW. With count_include_pad=False, and at windows that end beyond "
        "the padding, m is smaller.",
    ),
    "count_include_pad_ignored": (
        "dx = right(dy, size, kernel_size, stride, padding, True, divisor_override)",
        "count_include_pad=False is ignored: divide by the same m as in the forward pass.",
    ),
    "divisor_ignored": (
        "divisor_override = None; ...",
        "divisor_override is ignored. If it is given, divide dy by it.",
    ),
    "padding_forgotten": (
        "padding = 0; ...",
        "The padding is ignored, so dx is shifted. Window (p, q) starts at row s·p − pad.",
    ),
}

UPSAMPLE_FORWARD = {
    "image_repeated": (
        "y = x.repeat(1, 1, size[0] // x.shape[2] + 1, size[1] // x.shape[3] + 1)"
        "[:, :, : size[0], : size[1]].clone()",
        "The whole image is repeated, like tiles. Repeat every pixel: its copies are neighbours.",
    ),
    "zeros_between": (
        """
        ...
        vertical, horizontal = sources(x.shape[2:], size, scale_factor, x.device)
        y[:, :, 1:][:, :, vertical[1:] == vertical[:-1]] = 0
        y[:, :, :, 1:][:, :, :, horizontal[1:] == horizontal[:-1]] = 0
        """,
        "There are zeros between the pixels. Repeat every pixel instead.",
    ),
    "rounded_to_nearest": (
        """
        x.index_select(2, vertical) → x[:, :, rounded(x.shape[2], size[0], scale_factor)]
        .index_select(3, horizontal) → [..., rounded(x.shape[3], size[1], scale_factor)]
        """,
        "The number of the pixel is rounded to the nearest integer. Round down: i(o) = ⌊o · n / m⌋.",
    ),
    "ratio_of_sizes": (
        "y = right(x, size)",
        "scale_factor is ignored. If it is given, i(o) = ⌊o / scale_factor⌋.",
    ),
    "one_axis_only": (
        "y = right(x, size, scale_factor)[:, :, :, : x.shape[3]].clone()",
        "Only the rows are repeated. Repeat the columns too.",
    ),
    "divided_by_copies": (
        "...; y = y * (x.shape[2] * x.shape[3] / (size[0] * size[1]))",
        "The values are divided by the number of copies. Every copy has the value of its pixel.",
    ),
}

UPSAMPLE_BACKWARD = {
    "mean_of_copies": (
        "...; dx = dx * (size[0] * size[1] / (dy.shape[2] * dy.shape[3]))",
        "dx is the mean of dy over the copies. Every copy reaches the loss: add them up.",
    ),
    "first_copy": (
        """
        vertical, horizontal = sources(size, dy.shape[2:], scale_factor, dy.device)
        rows = [int((vertical == i).nonzero()[0]) for i in range(size[0])]
        columns = [int((horizontal == i).nonzero()[0]) for i in range(size[1])]
        dx = dy[:, :, rows][..., columns]
        """,
        "Each pixel gets the dy of its first copy only. Add up dy over all its copies.",
    ),
    "last_copy": (
        """
        vertical, horizontal = sources(size, dy.shape[2:], scale_factor, dy.device)
        rows = [int((vertical == i).nonzero()[-1]) for i in range(size[0])]
        columns = [int((horizontal == i).nonzero()[-1]) for i in range(size[1])]
        dx = dy[:, :, rows][..., columns]
        """,
        "Each pixel gets the dy of its last copy only. Use += where dx is assigned.",
    ),
    "largest_copy": (
        """
        vertical, horizontal = sources(size, dy.shape[2:], scale_factor, dy.device)
        rows = [dy[:, :, vertical == i].amax(2) for i in range(size[0])]
        dx = torch.stack(rows, 2)
        dx = torch.stack([dx[..., horizontal == i].amax(3) for i in range(size[1])], 3)
        """,
        "Each pixel gets the largest dy of its copies. Add them up.",
    ),
    "backward_with_ratio_of_sizes": (
        "dx = right(dy, size)",
        "scale_factor is ignored. Use the same i(o) as in the forward pass, ⌊o / scale_factor⌋.",
    ),
    "tiles_added": (
        """
        dx = dy.new_zeros(*dy.shape[:2], *size)
        for p in range(dy.shape[2]):
            for q in range(dy.shape[3]):
                dx[:, :, p % size[0], q % size[1]] += dy[:, :, p, q]
        """,
        "Output o is taken as a copy of pixel o mod n, as if the whole image were repeated. It is a copy "
        "of ⌊o · n / m⌋.",
    ),
    "upsample_dy_forgotten": (
        "dy = torch.ones_like(dy); ...",
        "dx counts the copies of each pixel. Add up their dy.",
    ),
}


def rounded(n: int, m: int, scale_factor: float | None) -> Tensor:
    """Return the input pixel of each output pixel, with rounding to the nearest instead of down."""
    ratio = n / m if scale_factor is None else 1 / scale_factor
    return (torch.arange(m) * ratio).round().long().clamp(max=n - 1)


MISTAKES = {
    "max_pool2d_forward": MAX_FORWARD,
    "max_pool2d_backward": MAX_BACKWARD,
    "avg_pool2d_forward": AVG_FORWARD,
    "avg_pool2d_backward": AVG_BACKWARD,
    "upsample_forward": UPSAMPLE_FORWARD,
    "upsample_backward": UPSAMPLE_BACKWARD,
}
