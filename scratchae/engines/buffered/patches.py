"""Patches of a few images at a time: gathered into a matrix that stays in the cache, or added back."""

from __future__ import annotations

from math import ceil

from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers
from scratchae.layers.convolution import Geometry, windows

SCRATCH = 2**18  # numbers in a patch matrix: 1 MB, half of a core's second cache


def pieces(n: int, most: int) -> list[slice]:
    """n images in parts as equal as can be, none larger than `most`."""
    size = ceil(n / ceil(n / most))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


class Patches:
    """The matrix `cols` (n·P·Q, kH·kW·C) of n images, in memory that all patches share."""

    def __init__(
        self,
        n: int,
        channels: int,
        positions: tuple[int, int],
        geometry: Geometry,
        buffers: Buffers,
    ) -> None:
        self.positions, self.geometry = positions, geometry
        (kH, kW), (P, Q) = geometry.kernel_size, positions
        if channels == 1:  # tap by tap: single numbers are copied in longer runs
            taps_first = buffers.scratch(kH, kW, n, P, Q, 1)
            self.cols = taps_first.view(kH * kW, n * P * Q).T
            self.windows = taps_first.permute(2, 3, 4, 0, 1, 5)
        else:
            self.windows = buffers.scratch(n, P, Q, kH, kW, channels)
            self.cols = self.windows.view(n * P * Q, -1)

    def gather_from(self, image: Tensor, frame: Tensor | None) -> None:
        """Plan `gather`: image (n, C, H, W) is where the patches come from.

        frame: memory (n or more, H and padding, W and padding, C) whose border is zero, or None.
        """
        self.source, self.inside = image.permute(0, 2, 3, 1), None  # (n, H, W, C)
        framed = self.source
        if frame is not None:
            (top, left), (H, W) = self.geometry.padding, image.shape[2:]
            framed = frame[: len(image)]
            self.inside = framed[:, top : top + H, left : left + W]
        self.view = windows(framed, self.positions, self.geometry)[0]

    def gather(self) -> None:
        """Fill cols."""
        if self.inside is not None:
            self.inside.copy_(self.source)
        self.windows.copy_(self.view)

    def spread_to(self, image: Tensor) -> None:
        """Plan `spread`: image (n, C, H, W) is where every number of cols is added."""
        pixels, g = image.permute(0, 2, 3, 1), self.geometry
        self.taps = []
        for i in range(g.kernel_size[0]):
            for j in range(g.kernel_size[1]):
                to_h, from_p = reach(i, 0, pixels.shape[1], self.positions[0], g)
                to_w, from_q = reach(j, 1, pixels.shape[2], self.positions[1], g)
                tap = self.windows[:, from_p, from_q, i, j]
                self.taps.append((pixels[:, to_h, to_w], tap))

    def spread(self) -> None:
        """Add cols to the image, one tap at a time: within it no pixel comes twice."""
        for pixels, tap in self.taps:
            pixels.add_(tap)


def reach(tap: int, axis: int, size: int, positions: int, g: Geometry) -> tuple[slice, slice]:
    """(pixels, positions) that a tap links along an axis: pixel = stride · position + offset."""
    stride, offset = g.stride[axis], g.dilation[axis] * tap - g.padding[axis]
    first = max(0, ceil(-offset / stride))
    count = max(0, min(positions, (size - 1 - offset) // stride + 1) - first)
    start = stride * first + offset
    return slice(start, start + stride * count, stride), slice(first, first + count)
