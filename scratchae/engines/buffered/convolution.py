"""Convolutions on kept buffers: the trilinear form of scratchae.layers.convolution, piece by piece.

    Conv2d             y = cols(x) Wᵀ + b      dW = dyᵀ cols(x)     dx = spread(dy W)
    ConvTranspose2d    y = spread(x W) + b     dW = xᵀ cols(dy)     dx = cols(dy) Wᵀ

A handful of images at a time, through one patch matrix that all layers share: the patches of a
whole batch would leave the cache. So the backward pass gathers them again.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.node import Node, NoFormError, rows
from scratchae.engines.buffered.patches import SCRATCH, Patches, pieces
from scratchae.layers import Conv2d, ConvTranspose2d
from scratchae.layers.conv2d import conv2d_geometry
from scratchae.layers.conv_transpose2d import conv_transpose2d_size
from scratchae.layers.convolution import Geometry


class Convolution(Node):
    """What both share: the kernel as a matrix (O, kH·kW·C), and the work cut into pieces."""

    def prepare(
        self, size: tuple[int, int], positions: tuple[int, int], g: Geometry, buffers: Buffers
    ) -> None:
        """size: (H, W) of the images with the patches; positions: (P, Q)."""
        if g.groups > 1:
            raise NoFormError(f"of {self.layer!r}: its groups")
        O, C, kH, kW = self.layer.weight.shape
        self.kernel, self.dkernel = buffers.own(O, kH, kW, C), buffers.own(O, kH, kW, C)
        self.matrix, self.dmatrix = self.kernel.view(O, -1), self.dkernel.view(O, -1)
        most = max(1, SCRATCH // (prod(positions) * kH * kW * C))
        padded, self.frame = g.padded_size(size, positions), None
        if padded != size:
            self.frame = buffers.own(min(most, buffers.most), *padded, C)
        self.pieces = pieces(buffers.n, most)
        buffers.scratch(min(most, buffers.most), prod(positions) * kH * kW * C)  # for any batch
        self.patches = [
            Patches(piece.stop - piece.start, C, positions, g, buffers) for piece in self.pieces
        ]

    def take_kernel(self) -> None:
        self.kernel.copy_(self.layer.weight.permute(0, 2, 3, 1))

    def give_gradients(self) -> None:
        self.layer.weight.grad.copy_(self.dkernel.permute(0, 3, 1, 2))
        if self.layer.bias is not None:
            torch.sum(rows(self.dy), 0, out=self.layer.bias.grad)


class BufferedConv2d(Convolution):
    """x (n, C, H, W) -> y (n, O, P, Q)."""

    def __init__(self, layer: Conv2d, x: Tensor, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        geometry, positions = conv2d_geometry(
            x.shape, layer.weight.shape, layer.stride, layer.padding, layer.dilation, layer.groups
        )
        self.y = buffers.image(layer.out_channels, *positions)
        self.prepare(tuple(x.shape[2:]), positions, geometry, buffers)
        for patches, piece in zip(self.patches, self.pieces, strict=True):
            patches.gather_from(x[piece], self.frame)
        self.y_rows = [rows(self.y[piece]) for piece in self.pieces]

    def link(self, dy: Tensor, buffers: Buffers, wanted: bool) -> Tensor | None:
        self.dy = dy
        self.dy_rows = [rows(dy[piece]) for piece in self.pieces]
        self.dx = buffers.gradient(self.x, other_than=dy) if wanted else None
        if wanted:
            for patches, piece in zip(self.patches, self.pieces, strict=True):
                patches.spread_to(self.dx[piece])
        return self.dx

    def forward(self) -> None:
        self.take_kernel()
        for patches, y in zip(self.patches, self.y_rows, strict=True):
            patches.gather()
            if self.layer.bias is None:
                torch.mm(patches.cols, self.matrix.T, out=y)
            else:
                torch.addmm(self.layer.bias, patches.cols, self.matrix.T, out=y)

    def backward(self) -> None:
        self.dkernel.zero_()
        if self.dx is not None:
            self.dx.zero_()
        for patches, dy in zip(self.patches, self.dy_rows, strict=True):
            patches.gather()
            self.dmatrix.addmm_(dy.T, patches.cols)
            if self.dx is not None:
                torch.mm(dy, self.matrix, out=patches.cols)
                patches.spread()
        self.give_gradients()


class BufferedConvTranspose2d(Convolution):
    """x (n, O, P, Q) -> y (n, C, H, W)."""

    def __init__(self, layer: ConvTranspose2d, x: Tensor, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        geometry = Geometry(
            layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups
        )
        positions = tuple(x.shape[2:])
        size = conv_transpose2d_size(positions, geometry, layer.output_padding)
        self.y = buffers.image(layer.out_channels, *size)
        self.prepare(size, positions, geometry, buffers)
        for patches, piece in zip(self.patches, self.pieces, strict=True):
            patches.spread_to(self.y[piece])
        self.x_rows = [rows(x[piece]) for piece in self.pieces]

    def link(self, dy: Tensor, buffers: Buffers, wanted: bool) -> Tensor | None:
        self.dy = dy
        self.dx = buffers.gradient(self.x, other_than=dy) if wanted else None
        for patches, piece in zip(self.patches, self.pieces, strict=True):
            patches.gather_from(dy[piece], self.frame)
        self.dx_rows = [rows(self.dx[piece]) for piece in self.pieces] if wanted else None
        return self.dx

    def forward(self) -> None:
        self.take_kernel()
        if self.layer.bias is None:
            self.y.zero_()
        else:
            rows(self.y).copy_(self.layer.bias)
        for patches, x in zip(self.patches, self.x_rows, strict=True):
            torch.mm(x, self.matrix, out=patches.cols)
            patches.spread()

    def backward(self) -> None:
        self.dkernel.zero_()
        for i, (patches, x) in enumerate(zip(self.patches, self.x_rows, strict=True)):
            patches.gather()
            self.dmatrix.addmm_(x.T, patches.cols)
            if self.dx is not None:
                torch.mm(patches.cols, self.matrix.T, out=self.dx_rows[i])
        self.give_gradients()
