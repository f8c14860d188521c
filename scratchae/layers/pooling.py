"""MaxPool2d and AvgPool2d: each output is the largest value, or the mean, of a window of its channel.

The window at position (p, q) contains the pixels x[n, c, s·p + d·i − pad, s·q + d·j − pad] with
0 <= i < kH and 0 <= j < kW. The pairs (i, j) are called taps. s is the stride, and d is the dilation, which
is 1 in AvgPool2d.

    MaxPool2d    y[n, c, p, q] = the largest value of the window
    AvgPool2d    y[n, c, p, q] = (the sum of the window) / m

The padding is −∞ in MaxPool2d, so that it is never the largest, and 0 in AvgPool2d. m is the number of
pixels of the window, with those in the padding or without them.

Backward. First the gradient of each value w[i, j] of a window. In a maximum, only the largest value
reaches the loss. In a mean, all do:

    MaxPool2d    dw[i, j] = dy if (i, j) is the place of the largest value, else 0
    AvgPool2d    dw[i, j] = dy / m

Then every dw is added to the pixel from which w was copied: a pixel in several windows gets the sum.
This is the same step as in the convolution (`add_windows`).

If several values of a window are the largest, the maximum has no derivative. Then the first of them, row
by row, gets dy, as in torch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, check_tensor
from scratchae.layers.convolution import Geometry, add_windows, padded, windows
from scratchae.layers.geometry import Pair, as_batch, counts, like_input, plain


def max_pool2d_forward(
    x: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """Return (y, index) for x (N, C, H, W): the largest value of each window and its place, (N, C, P, Q).

    index: the number of the tap, kW · i + j. stride: None means kernel_size. ceil_mode: a last window
    that is only partly in the image counts too.

    >>> y, index = max_pool2d_forward(torch.tensor([[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 2.0]]]]), 2)
    >>> y.tolist(), index.tolist()
    ([[[[5.0, 2.0]]]], [[[[1, 0]]]])
    """
    geometry, positions = pool_geometry(
        x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode
    )
    pixels = padded(x.permute(0, 2, 3, 1), positions, geometry, -math.inf)  # (N, H, W, C)
    values = windows(pixels, positions, geometry).squeeze(0)  # (N, P, Q, kH, kW, C)
    y, index = values.flatten(3, 4).max(dim=3)  # (N, P, Q, C); of equal values the first
    return y.permute(0, 3, 1, 2), index.permute(0, 3, 1, 2)


def max_pool2d_backward(
    dy: Tensor,
    index: Tensor,
    size: tuple[int, int],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
) -> Tensor:
    """Return dx (N, C, H, W) for dy and index (N, C, P, Q). size: (H, W) of x.

    >>> dy, index = torch.tensor([[[[10.0, 20.0]]]]), torch.tensor([[[[1, 0]]]])
    >>> max_pool2d_backward(dy, index, (2, 4), 2).tolist()
    [[[[0.0, 10.0, 20.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]
    """
    geometry, _ = pool_geometry(size, kernel_size, stride, padding, dilation)
    (kH, kW) = geometry.kernel_size
    dy, index = (t.permute(0, 2, 3, 1).unsqueeze(3) for t in (dy, index))  # (N, P, Q, 1, C)
    taps = torch.arange(kH * kW, device=dy.device).view(-1, 1)
    dwindows = torch.where(index == taps, dy, 0.0)  # (N, P, Q, kH·kW, C)
    return add_windows(dwindows.unflatten(3, (kH, kW)).unsqueeze(0), size, geometry)


def avg_pool2d_forward(
    x: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return y (N, C, P, Q), the mean of each window of x (N, C, H, W).

    stride: None means kernel_size. ceil_mode: a last window that is only partly in the image counts too.
    count_include_pad: whether pixels in the padding count in m. divisor_override: used instead of m.

    >>> avg_pool2d_forward(torch.tensor([[[[1.0, 5.0, 2.0, 2.0], [3.0, 3.0, 0.0, 2.0]]]]), 2).tolist()
    [[[[3.0, 1.5]]]]
    """
    geometry, positions = pool_geometry(x.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    m = divisor_override or window_sizes(
        x.shape[2:], positions, geometry, count_include_pad, x.device
    )
    pixels = padded(x.permute(0, 2, 3, 1), positions, geometry)  # (N, H, W, C)
    sums = windows(pixels, positions, geometry).squeeze(0).sum((3, 4))  # (N, P, Q, C)
    return sums.permute(0, 3, 1, 2) / m


def avg_pool2d_backward(
    dy: Tensor,
    size: tuple[int, int],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return dx (N, C, H, W) for dy (N, C, P, Q). size: (H, W) of x.

    >>> avg_pool2d_backward(torch.tensor([[[[8.0, 4.0]]]]), (2, 4), 2).tolist()
    [[[[2.0, 2.0, 1.0, 1.0], [2.0, 2.0, 1.0, 1.0]]]]
    """
    geometry, _ = pool_geometry(size, kernel_size, stride, padding)
    m = divisor_override or window_sizes(size, dy.shape[2:], geometry, count_include_pad, dy.device)
    dsums = (dy / m).permute(0, 2, 3, 1)  # (N, P, Q, C)
    dwindows = dsums[:, :, :, None, None].expand(-1, -1, -1, *geometry.kernel_size, -1)
    return add_windows(dwindows.unsqueeze(0), size, geometry)


def pool_geometry(
    size: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> tuple[Geometry, tuple[int, int]]:
    """Return the windows on an image of this size, and their number (P, Q).

    With ceil_mode, the last window may end outside the padded image, but it starts inside the image or
    in the padding above it or to the left.

    >>> pool_geometry((5, 5), 2)[1], pool_geometry((5, 5), 2, ceil_mode=True)[1]
    ((2, 2), (3, 3))
    """
    kernel = counts(kernel_size)
    geometry = Geometry(
        kernel,
        kernel if stride is None else counts(stride),
        counts(padding, least=0),
        counts(dilation),
    )
    positions = []
    for n, k, s, pad, d in zip(
        size, kernel, geometry.stride, geometry.padding, geometry.dilation, strict=True
    ):
        left = n + 2 * pad - d * (k - 1) - 1  # pixels to move along
        count = left // s + 1
        if ceil_mode and left % s and count * s < n + pad:
            count += 1
        positions.append(count)
    return geometry, (positions[0], positions[1])


def window_sizes(
    size: tuple[int, ...],
    positions: tuple[int, ...],
    geometry: Geometry,
    count_include_pad: bool,
    device: torch.device,
) -> Tensor:
    """Return m (P, Q): the number of pixels of each window, with those in the padding or without them.

    Pixels beyond the padding never count. A window has them only with ceil_mode.

    >>> window_sizes((2, 2), (2, 2), Geometry((2, 2), (2, 2), (1, 1)), False, torch.device("cpu")).tolist()
    [[1, 1], [1, 1]]
    """
    sides = []
    for n, count, k, s, pad in zip(
        size, positions, geometry.kernel_size, geometry.stride, geometry.padding, strict=True
    ):
        border = pad if count_include_pad else 0
        start = s * torch.arange(count, device=device) - pad
        end = (start + k).clamp(max=n + border)
        sides.append(end - start.clamp(min=-border))
    return sides[0].view(-1, 1) * sides[1]


class Pool2d(Layer):
    """The base class of MaxPool2d and AvgPool2d.

    Input (N, C, H, W), output (N, C, P, Q), or both without N for a single image.

    >>> MaxPool2d(2)(torch.zeros(64, 16, 28, 28)).shape, AvgPool2d(2)(torch.zeros(16, 28, 28)).shape
    (torch.Size([64, 16, 14, 14]), torch.Size([16, 14, 14]))
    """

    def __init__(
        self, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair, ceil_mode: bool
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = counts(kernel_size, name, "kernel_size")
        self.stride = self.kernel_size if stride is None else counts(stride, name, "stride")
        self.padding = counts(padding, name, "padding", least=0)
        self.dilation = counts(dilation, name, "dilation")
        self.ceil_mode = ceil_mode
        if any(pad > k // 2 for pad, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ScratchaeError(
                f"{name} expects padding to be at most half of kernel_size, got padding={padding} and "
                f"kernel_size={kernel_size}: use less padding"
            )

    def check_images(self, x: Tensor) -> None:
        """Raise ScratchaeError if x is not (N, C, H, W) or (C, H, W), or is smaller than the window."""
        check_tensor(self, x, None, None)
        if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
            raise ScratchaeError(
                f"{self!r} expects (N, C, H, W) or (C, H, W) but got {tuple(x.shape)}: "
                "put an Unflatten(1, (C, H, W)) before it if the images are flat"
            )
        arguments = (self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
        if min(pool_geometry(x.shape[-2:], *arguments)[1]) < 1:
            raise ScratchaeError(
                f"{self!r} got images of {x.shape[-2]} x {x.shape[-1]} pixels, which even with the "
                "padding are smaller than its window: use larger images or a smaller window"
            )

    def arguments(self) -> dict[str, object]:
        return {name: plain(value) for name, value in super().arguments().items()}


class MaxPool2d(Pool2d):
    """The largest value of each window, with the arguments of torch.nn.MaxPool2d.

    stride: None means kernel_size. The padding is with −∞. ceil_mode: a last window that is only partly
    in the image counts too. return_indices=True is not supported.

    >>> layer = MaxPool2d(2)
    >>> layer(torch.tensor([[[1.0, 5.0], [3.0, 4.0]]])).tolist()
    [[[5.0]]]
    >>> layer.backward(torch.tensor([[[7.0]]])).tolist()
    [[[0.0, 7.0], [0.0, 0.0]]]
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        dilation: Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)
        if return_indices:
            raise ScratchaeError(
                "MaxPool2d returns one tensor, as all layers do: omit return_indices=True, and call "
                "max_pool2d_forward for the places of the maxima"
            )
        self.return_indices = return_indices

    def forward(self, x: Tensor) -> Tensor:
        self.check_images(x)
        windows = (self.kernel_size, self.stride, self.padding, self.dilation)
        y, index = max_pool2d_forward(as_batch(x), *windows, self.ceil_mode)
        return self.remember(like_input(y, x), index, x.shape[-2:], *windows)

    def backward(self, dy: Tensor) -> Tensor:
        index, size, *windows = self.recall(dy)
        return like_input(max_pool2d_backward(as_batch(dy), index, size, *windows), dy)


class AvgPool2d(Pool2d):
    """The mean of each window, with the arguments of torch.nn.AvgPool2d.

    stride: None means kernel_size. The padding is with zeros. ceil_mode: a last window that is only partly
    in the image counts too. count_include_pad: whether pixels in the padding count in the mean.
    divisor_override: used instead of the number of pixels.

    >>> layer = AvgPool2d(2)
    >>> layer(torch.tensor([[[1.0, 5.0], [3.0, 3.0]]])).tolist()
    [[[3.0]]]
    >>> layer.backward(torch.tensor([[[8.0]]])).tolist()
    [[[2.0, 2.0], [2.0, 2.0]]]
    """

    def __init__(
        self,
        kernel_size: Pair,
        stride: Pair | None = None,
        padding: Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        whole = isinstance(divisor_override, int) and not isinstance(divisor_override, bool)
        if divisor_override is not None and not (whole and divisor_override):
            raise ScratchaeError(
                "AvgPool2d expects divisor_override to be a whole number other than 0, or None for "
                f"the number of pixels, got {divisor_override!r}"
            )
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        self.check_images(x)
        windows = (self.kernel_size, self.stride, self.padding)
        divisor = (self.count_include_pad, self.divisor_override)
        y = avg_pool2d_forward(as_batch(x), *windows, self.ceil_mode, *divisor)
        return self.remember(like_input(y, x), x.shape[-2:], *windows, *divisor)

    def backward(self, dy: Tensor) -> Tensor:
        size, *rest = self.recall(dy)
        return like_input(avg_pool2d_backward(as_batch(dy), size, *rest), dy)
