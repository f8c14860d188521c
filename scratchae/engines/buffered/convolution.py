"""Convolutions in fixed buffers: the formulas of scratchae.layers.convolution as matrix products.

The kernel is used row by row. Wᵢ (kW·C, O) is row i of the kernel. Xᵢ is a matrix of the pixels of
x that this row sees, called patches (patches.py). Yᵢ, dXᵢ and dYᵢ are the patches of y, dx and dy.
If C = 1, there is only one i, which stands for the whole kernel.

    Conv2d             y = Σᵢ Xᵢ Wᵢ + b         dWᵢ = Xᵢᵀ dy     dXᵢ = dy Wᵢᵀ, added to dx
    ConvTranspose2d    Yᵢ = x Wᵢᵀ, added to b    dWᵢ = dYᵢᵀ x     dx = Σᵢ dYᵢ Wᵢ
"""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node, NoFormError
from scratchae.engines.buffered.patches import Patches, patch_numbers
from scratchae.engines.buffered.place import Place
from scratchae.engines.buffered.sums import RowSum
from scratchae.layers import Conv2d, ConvTranspose2d
from scratchae.layers.conv2d import conv2d_geometry
from scratchae.layers.conv_transpose2d import conv_transpose2d_size
from scratchae.layers.convolution import Geometry


class Convolution(Node):
    """Base of both convolutions: the rows of the kernel, and their products with patches."""

    layer: Conv2d | ConvTranspose2d
    x: Place
    sum_dy: RowSum

    def prepare(self, g: Geometry, positions: tuple[int, ...], buffers: Buffers) -> None:
        """Choose the memory of the kernel and its gradient, both in the order (kH, kW, C, O).

        positions: how many positions the kernel has on the larger images, down and along (P, Q).
        """
        if g.groups > 1:
            raise NoFormError(f"the groups of {self.layer!r}")
        self.geometry, self.positions, self.buffers = g, positions, buffers
        O, C, kH, kW = self.layer.weight.shape
        self.kernel, self.dkernel = buffers.own(kH, kW, C, O), buffers.own(kH, kW, C, O)
        count = 1 if C == 1 else kH  # the number of matrices of patches
        self.kernel_rows = self.kernel.view(count, -1, O)
        self.dkernel_rows = self.dkernel.view(count, -1, O)

    def patches(self, images: Place, kept: bool = False) -> list[Patches]:
        """Return the patches of every block of images.

        kept: False puts all of them into the same scratch memory, True gives each its own memory.
        """
        most = max(block.shape[1] for block in images.blocks)
        count = patch_numbers(images.shape[0], self.positions, self.geometry)
        memory = [self.buffers.scratch(most * count)] * len(images.blocks)
        if kept:
            memory = self.buffers.own(self.buffers.most * count).split(most * count)
        return [
            Patches(block, self.positions, self.geometry, part)
            for block, part in zip(images.blocks, memory, strict=False)
        ]

    def contract(self, patches: Patches, bias: Tensor | None, out: Tensor) -> None:
        """Fill out (m, O) with Σᵢ Xᵢ Wᵢ + b."""
        for i, (matrix, row) in enumerate(zip(patches.matrices, self.kernel_rows, strict=True)):
            if i:
                out.addmm_(matrix, row)
            elif bias is None:
                torch.mm(matrix, row, out=out)
            else:
                torch.addmm(bias, matrix, row, out=out)

    def correlate(self, patches: Patches, y: Tensor, first: bool) -> None:
        """Add Xᵢᵀ y to dWᵢ for every i. For the first block, overwrite dWᵢ with Xᵢᵀ y."""
        for matrix, drow in zip(patches.matrices, self.dkernel_rows, strict=True):
            drow.addmm_(matrix.T, y, beta=0 if first else 1)

    def take_kernel(self) -> None:
        """Copy the layer's weight (O, C, kH, kW) to the kernel (kH, kW, C, O)."""
        self.kernel.copy_(self.layer.weight.permute(2, 3, 1, 0))

    def give_gradients(self) -> None:
        """Copy the gradients to the `.grad` of the layer's weight and bias."""
        weight, bias = self.layer.weight, self.layer.bias
        assert weight.grad is not None
        weight.grad.copy_(self.dkernel.permute(3, 2, 0, 1))
        if bias is not None and bias.grad is not None:
            self.sum_dy.into(bias.grad)


class BufferedConv2d(Convolution):
    """Conv2d: x (n, C, H, W) -> y (n, O, P, Q)."""

    def __init__(self, layer: Conv2d, x: Place, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        geometry, positions = conv2d_geometry_of(layer, x)
        self.prepare(geometry, positions, buffers)
        self.y = buffers.place(layer.out_channels, *positions)
        self.kept = not buffers.frugal
        self.x_patches, self.y_rows = self.patches(x, self.kept), rows_of_blocks(self.y)

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place | None:
        self.dy_rows, self.dx = rows_of_blocks(dy), None
        self.sum_dy = RowSum(dy.rows, buffers)
        self.dx_patches: list[Patches] = []
        if wanted:
            self.dx = buffers.gradient(self.x, other_than=dy)
            self.dx_patches = self.patches(self.dx)
        return self.dx

    def forward(self) -> None:
        self.take_kernel()
        for patches, y in zip(self.x_patches, self.y_rows, strict=True):
            patches.gather()
            self.contract(patches, self.layer.bias, out=y)

    def backward(self) -> None:
        # dWᵢ = Xᵢᵀ dy, a sum over the blocks
        for i, (patches, dy) in enumerate(zip(self.x_patches, self.dy_rows, strict=True)):
            if not self.kept:
                patches.gather()
            self.correlate(patches, dy, first=i == 0)
        # dXᵢ = dy Wᵢᵀ, added to dx
        if self.dx is not None:
            self.dx.flat.zero_()
        for patches, dy in zip(self.dx_patches, self.dy_rows, strict=bool(self.dx_patches)):
            patches.expand(dy, self.kernel_rows)
            patches.spread()
        self.give_gradients()


class BufferedConvTranspose2d(Convolution):
    """ConvTranspose2d: x (n, O, P, Q) -> y (n, C, H, W)."""

    def __init__(self, layer: ConvTranspose2d, x: Place, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        geometry, size = conv_transpose2d_geometry_of(layer, x)
        self.prepare(geometry, x.shape[1:], buffers)
        self.y = buffers.place(layer.out_channels, *size)
        self.y_patches, self.x_rows = self.patches(self.y), rows_of_blocks(x)

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place | None:
        self.dy_patches, self.sum_dy = self.patches(dy), RowSum(dy.rows, buffers)
        self.dx = buffers.gradient(self.x, other_than=dy) if wanted else None
        self.dx_rows: list[Tensor | None] = [None] * len(self.x_rows)
        if self.dx is not None:
            self.dx_rows = list(rows_of_blocks(self.dx))
        return self.dx

    def forward(self) -> None:
        self.take_kernel()
        # y starts as the bias; then x Wᵢᵀ is added for every i
        if self.layer.bias is None:
            self.y.flat.zero_()
        else:
            self.y.rows.copy_(self.layer.bias)
        for patches, x in zip(self.y_patches, self.x_rows, strict=True):
            patches.expand(x, self.kernel_rows)
            patches.spread()

    def backward(self) -> None:
        blocks = zip(self.dy_patches, self.x_rows, self.dx_rows, strict=True)
        for i, (patches, x, dx) in enumerate(blocks):
            patches.gather()
            self.correlate(patches, x, first=i == 0)  # dWᵢ = dYᵢᵀ x
            if dx is not None:
                self.contract(patches, None, out=dx)  # dx = Σᵢ dYᵢ Wᵢ
        self.give_gradients()


def conv2d_geometry_of(layer: Conv2d, x: Place) -> tuple[Geometry, tuple[int, int]]:
    """Return the geometry of the convolution, and the size (P, Q) of y."""
    return conv2d_geometry(
        (x.n, *x.shape),
        layer.weight.shape,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )


def conv_transpose2d_geometry_of(
    layer: ConvTranspose2d, x: Place
) -> tuple[Geometry, tuple[int, int]]:
    """Return the geometry of the convolution, and the size (H, W) of y."""
    geometry = Geometry(
        layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups
    )
    return geometry, conv_transpose2d_size(x.shape[1:], geometry, layer.output_padding)


def rows_of_blocks(images: Place) -> list[Tensor]:
    """Return every block as a matrix (H·n·W, C)."""
    return [block.flatten(0, 2) for block in images.blocks]
