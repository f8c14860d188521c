"""Patches: what the rows of a kernel see of a block of images, as matrices.

Along a row of pixels the kernel's windows are copied, kW·C numbers side by side. Down a column
nothing is: the rows of pixels lie outermost, so what the next row of the kernel sees is the same
matrix a few rows of pixels further on. That is kH times less to copy, and to keep, than whole patches.

With a vertical stride s, rows 0, s, 2s ... come first, then 1, s + 1 ...: what one row of the
kernel sees stays in one piece.

Of images with one channel whole windows are copied: one product with kH·kW columns takes less time
than kH products with kW columns, by more than the copies take longer.
"""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from scratchae.layers.convolution import Geometry


class Patches:
    """`matrices`: for every row of the kernel a matrix (P·n·Q, kW·C), views of `memory`.

    Where C = 1 a single one, (P·n·Q, kH·kW).
    """

    def __init__(
        self, block: Tensor, positions: tuple[int, ...], g: Geometry, memory: Tensor
    ) -> None:
        """block: (H, n, W, C), where the patches come from or are added to.

        memory: for n · patch_numbers(C, positions, g).
        """
        H, n, W, C = block.shape
        P, Q = positions
        kH, kW = g.kernel_size
        columns = [reach(g.dilation[1] * j - g.padding[1], g.stride[1], W, Q) for j in range(kW)]
        self.matrices: list[Tensor] = [block] * kH
        self.taps: list[tuple[Tensor, Tensor]] = []  # (patches, pixels) of one size
        self.outside: list[Tensor] = []  # what no pixel is copied to
        self.left_out: list[Tensor | None] = [None] * kH  # by the first matrix of a phase
        taken = 0
        for rows, seen in pieces(P, C, g):
            flat = memory[taken : taken + rows * n * Q * kW * C]
            taken += len(flat)
            part = flat.view(rows, n, Q, kW, C)
            if C == 1:  # tap by tap: single numbers are copied in longer runs
                part = flat.view(kW, rows, n, Q, C).permute(1, 2, 3, 0, 4)
            for i, first in seen.items():
                self.matrices[i] = part[first : first + P].view(P * n * Q, kW * C)
            self.left_out[min(seen)] = part[P:]
            top = g.dilation[0] * min(seen) - g.padding[0]
            to_h, from_p = reach(top, g.stride[0], H, rows)
            self.outside += [part[: from_p.start], part[from_p.stop :]]
            for j, (to_w, from_q) in enumerate(columns):
                self.taps.append((part[from_p, :, from_q, j], block[to_h, :, to_w]))
                self.outside += [part[:, :, : from_q.start, j], part[:, :, from_q.stop :, j]]
        self.outside = [view for view in self.outside if view.numel()]
        if C == 1:
            self.matrices = [memory[:taken].view(kH * kW, -1).T]
            self.left_out = [memory[:0]]

    def gather(self) -> None:
        """Fill the matrices from the block; what lies outside of the images is 0."""
        for view in self.outside:
            view.zero_()
        for patches, pixels in self.taps:
            patches.copy_(pixels)

    def expand(self, y: Tensor, kernel: Tensor) -> None:
        """Fill the matrices with y (m, O) times a row of the kernel (kW·C, O), transposed, each."""
        for matrix, left_out, row in zip(self.matrices, self.left_out, kernel, strict=True):
            if left_out is None:
                matrix.addmm_(y, row.T)
            else:
                torch.mm(y, row.T, out=matrix)
                left_out.zero_()

    def spread(self) -> None:
        """Add the matrices to the block, one tap at a time: within it no pixel comes twice."""
        for patches, pixels in self.taps:
            pixels.add_(patches)


def patch_numbers(channels: int, positions: tuple[int, ...], g: Geometry) -> int:
    """How many numbers the patches of one image have.

    >>> patch_numbers(16, (7, 7), Geometry((3, 3), stride=(2, 2)))  # (8 + 7) · 7 · 3 · 16
    5040
    """
    P, Q = positions
    return sum(rows for rows, _ in pieces(P, channels, g)) * Q * g.kernel_size[1] * channels


def pieces(positions: int, channels: int, g: Geometry) -> list[tuple[int, dict[int, int]]]:
    """Rows of pixels that lie in one piece: how many, and {row of the kernel: the first it sees}.

    >>> pieces(14, 16, Geometry((3, 3), stride=(2, 2)))
    [(15, {0: 0, 2: 1}), (14, {1: 0})]
    """
    if channels == 1:
        return [(positions, {i: 0}) for i in range(g.kernel_size[0])]
    phases = [rows for phase in range(g.stride[0]) if (rows := kernel_rows(phase, g))]
    return [(max(rows.values()) + positions, rows) for rows in phases]


def kernel_rows(phase: int, g: Geometry) -> dict[int, int]:
    """Which rows of the kernel see the rows of pixels phase, phase + s ...: {row: the first it sees}.

    The first is counted from where the topmost of them begins.

    >>> kernel_rows(0, Geometry((3, 3), stride=(2, 2))), kernel_rows(1, Geometry((3, 3), stride=(2, 2)))
    ({0: 0, 2: 1}, {1: 0})
    """
    s, offsets = g.stride[0], [g.dilation[0] * i for i in range(g.kernel_size[0])]
    rows = {i: offset // s for i, offset in enumerate(offsets) if offset % s == phase}
    return {i: row - min(rows.values()) for i, row in rows.items()}


def reach(offset: int, stride: int, size: int, positions: int) -> tuple[slice, slice]:
    """(pixels, positions) that pixel = stride · position + offset links, along one axis.

    >>> reach(-1, 2, 5, 4)  # positions 1 and 2 see the pixels 1 and 3
    (slice(1, 5, 2), slice(1, 3, None))
    """
    first = min(positions, max(0, ceil(-offset / stride)))
    count = max(0, min(positions, (size - 1 - offset) // stride + 1) - first)
    start = stride * first + offset
    return slice(start, start + stride * count, stride), slice(first, first + count)
