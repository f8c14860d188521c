"""Patches: the pixels of a block of images that each row of a kernel sees, as matrices.

A row of the kernel has a window of kW pixels at each position. The kW·C numbers of each window are
copied side by side, which makes one row of a matrix. No second copy is made for the next row of the
kernel. The rows of pixels are the first axis of a block, so the next row of the kernel sees the same
matrix, starting a few rows of pixels later. Whole windows would take kH times as much memory.

With a vertical stride s, the rows of pixels are put in another order: first the rows 0, s, 2s, ...
(phase 0), then 1, s + 1, ... (phase 1), and so on. What one row of the kernel sees then stays in
one contiguous piece.

If the images have one channel, whole windows are copied. This takes more time for the copies, but
one product with kH·kW columns is faster than kH products with kW columns, and saves more time.
"""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from scratchae.layers.convolution import Geometry


class Patches:
    """The patches of one block of images.

    matrices: one matrix (P·n·Q, kW·C) for each row of the kernel; all are views of `memory`, and may
    overlap. If C = 1, there is a single matrix (P·n·Q, kH·kW).
    """

    def __init__(
        self, block: Tensor, positions: tuple[int, ...], g: Geometry, memory: Tensor
    ) -> None:
        """Find the views between which `gather` and `spread` copy and add.

        block: (H, n, W, C), the images from which patches are copied, or to which they are added.
        positions: (P, Q), how many positions the kernel has down and along. memory: flat, with at
        least n · patch_numbers(C, positions, g) numbers.
        """
        H, n, W, C = block.shape
        P, Q = positions
        kH, kW = g.kernel_size
        columns = [reach(g.dilation[1] * j - g.padding[1], g.stride[1], W, Q) for j in range(kW)]
        self.matrices: list[Tensor] = [block] * kH
        self.taps: list[tuple[Tensor, Tensor]] = []  # (patches, pixels), of the same shape
        self.outside: list[Tensor] = []  # patches outside of the images
        # for the first matrix of each piece: the rest of the piece, which is not in this matrix
        self.left_out: list[Tensor | None] = [None] * kH
        taken = 0
        for rows, seen in pieces(P, C, g):
            # the memory of this piece, seen as (rows of pixels, n, Q, kW, C)
            flat = memory[taken : taken + rows * n * Q * kW * C]
            taken += len(flat)
            part = flat.view(rows, n, Q, kW, C)
            if C == 1:  # each tap has its own contiguous memory: a copy has longer runs
                part = flat.view(kW, rows, n, Q, C).permute(1, 2, 3, 0, 4)
            # the matrix of each row of the kernel in this piece
            for i, first in seen.items():
                self.matrices[i] = part[first : first + P].view(P * n * Q, kW * C)
            self.left_out[min(seen)] = part[P:]
            # the pixels that are copied to this piece, one column of the kernel at a time
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
        """Fill the matrices from the block. Numbers from outside of the images are 0."""
        for view in self.outside:
            view.zero_()
        for patches, pixels in self.taps:
            patches.copy_(pixels)

    def expand(self, y: Tensor, kernel: Tensor) -> None:
        """Fill the matrices: multiply y (m, O) by each row of the kernel (kW·C, O), transposed.

        If matrices overlap, the products are added.
        """
        for matrix, left_out, row in zip(self.matrices, self.left_out, kernel, strict=True):
            if left_out is None:  # not the first matrix of its piece
                matrix.addmm_(y, row.T)
            else:
                torch.mm(y, row.T, out=matrix)
                left_out.zero_()

    def spread(self) -> None:
        """Add the matrices to the block, one tap at a time. A tap contains no pixel twice."""
        for patches, pixels in self.taps:
            pixels.add_(patches)


def patch_numbers(channels: int, positions: tuple[int, ...], g: Geometry) -> int:
    """Return how many numbers the patches of one image have.

    >>> patch_numbers(16, (7, 7), Geometry((3, 3), stride=(2, 2)))  # (8 + 7) · 7 · 3 · 16
    5040
    """
    P, Q = positions
    return sum(rows for rows, _ in pieces(P, channels, g)) * Q * g.kernel_size[1] * channels


def pieces(positions: int, channels: int, g: Geometry) -> list[tuple[int, dict[int, int]]]:
    """Return the contiguous pieces of the patches: one for each phase that the kernel sees.

    Each is (number of rows of pixels, {row of the kernel: the first row of the piece that it sees}).
    If there is one channel, there is one piece for each row of the kernel instead.

    >>> pieces(14, 16, Geometry((3, 3), stride=(2, 2)))
    [(15, {0: 0, 2: 1}), (14, {1: 0})]
    """
    if channels == 1:
        return [(positions, {i: 0}) for i in range(g.kernel_size[0])]
    phases = [rows for phase in range(g.stride[0]) if (rows := kernel_rows(phase, g))]
    return [(max(rows.values()) + positions, rows) for rows in phases]


def kernel_rows(phase: int, g: Geometry) -> dict[int, int]:
    """Return which rows of the kernel see a phase: {row of the kernel: the first row that it sees}.

    The phase is the rows of pixels phase, phase + s, phase + 2s, ... for the vertical stride s. Its
    rows are counted from the first one that any row of the kernel sees.

    >>> kernel_rows(0, Geometry((3, 3), stride=(2, 2))), kernel_rows(1, Geometry((3, 3), stride=(2, 2)))
    ({0: 0, 2: 1}, {1: 0})
    """
    s, offsets = g.stride[0], [g.dilation[0] * i for i in range(g.kernel_size[0])]
    rows = {i: offset // s for i, offset in enumerate(offsets) if offset % s == phase}
    return {i: row - min(rows.values()) for i, row in rows.items()}


def reach(offset: int, stride: int, size: int, positions: int) -> tuple[slice, slice]:
    """Return slices (pixels, positions) on one axis, such that pixel = stride · position + offset.

    size: the number of pixels. positions: the number of positions. The positions whose pixel is
    outside of the image are not in the slice.

    >>> reach(-1, 2, 5, 4)  # positions 1 and 2 see the pixels 1 and 3
    (slice(1, 5, 2), slice(1, 3, None))
    """
    first = min(positions, max(0, ceil(-offset / stride)))
    count = max(0, min(positions, (size - 1 - offset) // stride + 1) - first)
    start = stride * first + offset
    return slice(start, start + stride * count, stride), slice(first, first + count)
