"""Winograd's convolution of small images: a product of matrices for each point, not for each tap.

The method of toom_cook.py is used twice, down and along the images, each with its matrices A, G and
B. x̂, ŵ and ŷ are the values of x, w and y at the points. ∘ is a product of matrices at each point,
(n, C) times (C, O) in the forward pass:

    ŵ = G w Gᵀ    x̂ = B x Bᵀ      ŷ = x̂ ∘ ŵ      y = A ŷ Aᵀ
                 dŷ = Aᵀ dy A    dx̂ = dŷ ∘ ŵᵀ    dx = Bᵀ dx̂ B
                                 dŵ = x̂ᵀ ∘ dŷ    dw = Gᵀ dŵ G

This is Conv2d. For ConvTranspose2d, A and Bᵀ change places. A kernel of 3 × 3 taps on 7 × 7 pixels
takes 49 products for each pair of channels instead of 225. In float32 the results are accurate to
2e-6 instead of 2e-7. (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.)
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.convolution import (
    BufferedConv2d,
    BufferedConvTranspose2d,
    Convolution,
    conv2d_geometry_of,
    conv_transpose2d_geometry_of,
)
from scratchae.engines.buffered.node import Node
from scratchae.engines.buffered.place import Place
from scratchae.engines.buffered.sums import RowSum
from scratchae.engines.buffered.toom_cook import MOST_POINTS, Transform, toom_cook
from scratchae.layers import Conv2d, ConvTranspose2d
from scratchae.layers.convolution import Geometry


def conv2d_form(layer: Conv2d, x: Place, buffers: Buffers, free: bool) -> Node:
    """Return the faster node for a Conv2d; if the buffers are frugal, the one with less memory."""
    points = not buffers.frugal and pays(layer, *conv2d_geometry_of(layer, x))
    return (WinogradConv2d if points else BufferedConv2d)(layer, x, buffers, free)


def conv_transpose2d_form(layer: ConvTranspose2d, x: Place, buffers: Buffers, free: bool) -> Node:
    """Return the faster node for a ConvTranspose2d; if the buffers are frugal, the smaller one."""
    geometry, _ = conv_transpose2d_geometry_of(layer, x)
    points = not buffers.frugal and pays(layer, geometry, x.shape[1:])
    form = WinogradConvTranspose2d if points else BufferedConvTranspose2d
    return form(layer, x, buffers, free)


def pays(layer: Conv2d | ConvTranspose2d, g: Geometry, positions: tuple[int, ...]) -> bool:
    """Return whether Winograd's method takes less than half of the direct method's multiplications.

    positions: how many positions the kernel has on the larger images, down and along.
    """
    points = [p + k - 1 for p, k in zip(positions, g.kernel_size, strict=True)]
    pairs = layer.in_channels * layer.out_channels
    transforms = prod(points) * sum(points) * (layer.in_channels + layer.out_channels)
    direct = prod(positions) * prod(g.kernel_size) * pairs
    return possible(g, positions) and 2 * (prod(points) * pairs + transforms) < direct


def possible(g: Geometry, positions: tuple[int, ...]) -> bool:
    """Return whether the method supports the geometry: no stride, dilation or groups, small images.

    The images are small enough if they have at most 7 × 7 points.
    """
    points = [p + k - 1 for p, k in zip(positions, g.kernel_size, strict=True)]
    dense = g.stride == g.dilation == (1, 1) and g.groups == 1
    return dense and max(points) <= MOST_POINTS


class Winograd(Convolution):
    """Base of both convolutions. I, J: the channels of x and y. K = S · T: the number of points."""

    def lay_out(self, large: tuple[int, ...], x_is_large: bool, buffers: Buffers) -> None:
        """Choose the matrices and the memory, after x and y have their places.

        large: (H, W), the size of the larger images. x_is_large: True if they are x, False if y.
        """
        # the matrices for x, y and the kernel
        kH, kW, C, O = self.kernel.shape
        sides = [toom_cook(*size) for size in zip(self.positions, (kH, kW), strict=True)]
        A, G, B = [
            [matrix.to(self.kernel) for matrix in matrices] for matrices in zip(*sides, strict=True)
        ]
        small_to_points = [matrix.T for matrix in A]
        large_to_points = [  # without the columns for the padding, which is 0
            matrix[:, first : first + size]
            for matrix, first, size in zip(B, self.geometry.padding, large, strict=True)
        ]
        self.x_is_large = x_is_large
        self.M, self.N = small_to_points, large_to_points  # the matrices for x and for y
        if x_is_large:
            self.M, self.N = self.N, self.M
        self.G = torch.kron(*G)  # (K, kH·kW)
        self.G_transposed = self.G.T
        self.flat_kernel = self.kernel.view(kH * kW, C * O)
        self.flat_dkernel = self.dkernel.view(kH * kW, C * O)

        # memory for the values at the points: kept for x and the kernel, scratch for all others
        K, n, I, J = len(self.G), len(self.x.blocks[0][0]), self.x.shape[0], self.y.shape[0]
        turning = n * max(
            len(self.M[0]) * self.x.shape[2] * I, len(self.N[0]) * self.y.shape[2] * J
        )
        sizes = [turning, K * n * I, K * n * J, K * C * O]
        pieces = buffers.scratch(sum(sizes)).split(sizes)
        self.turning, self.dx_points, self.y_points, dweight = pieces
        self.flat_weight, self.flat_dweight = buffers.own(K, C * O), dweight.view(K, C * O)
        self.weight, self.dweight = self.flat_weight.view(K, C, O), dweight.view(K, C, O)
        if not x_is_large:
            self.weight = self.weight.mT  # (K, I, J)
        kept = buffers.own(buffers.most * K * I).split(K * n * I)  # one part for each block of x

        # the transforms of every block
        blocks = zip(self.x.blocks, kept, strict=False)
        first, second = self.M
        self.x_sides = [Transform(first, second, *both, self.turning) for both in blocks]
        self.y_sides = self.sides(self.N, self.y, self.y_points)

    def sides(self, M: list[Tensor], images: Place, points: Tensor) -> list[Transform]:
        """Return a transform for every block of images. All use the same memory for the values."""
        first, second = M
        return [Transform(first, second, block, points, self.turning) for block in images.blocks]

    def link(self, dy: Place, buffers: Buffers, wanted: bool) -> Place | None:
        self.sum_dy, self.dx = RowSum(dy.rows, buffers), None
        self.dy_sides = self.sides(self.N, dy, self.y_points)
        self.dx_sides: list[Transform | None] = [None] * len(dy.blocks)
        if wanted:
            self.dx = buffers.gradient(self.x, other_than=dy)
            self.dx_sides = list(self.sides(self.M, self.dx, self.dx_points))
        return self.dx

    def forward(self) -> None:
        self.take_kernel()
        torch.mm(self.G, self.flat_kernel, out=self.flat_weight)
        for x, y in zip(self.x_sides, self.y_sides, strict=True):
            x.to_points()
            torch.bmm(x.values, self.weight, out=y.values)
            y.to_images()
        if self.layer.bias is not None:
            self.y.rows.add_(self.layer.bias)

    def backward(self) -> None:
        sides = zip(self.x_sides, self.dy_sides, self.dx_sides, strict=True)
        for i, (x, dy, dx) in enumerate(sides):
            dy.to_points()
            # dŵ = x̂ᵀ ∘ dŷ, a sum over the blocks
            large, small = (x, dy) if self.x_is_large else (dy, x)
            self.dweight.baddbmm_(large.values.mT, small.values, beta=0 if i == 0 else 1)
            if dx is not None:  # dx̂ = dŷ ∘ ŵᵀ
                torch.bmm(dy.values, self.weight.mT, out=dx.values)
                dx.to_images()
        torch.mm(self.G_transposed, self.flat_dweight, out=self.flat_dkernel)
        self.give_gradients()


class WinogradConv2d(Winograd):
    """Conv2d: x (n, C, H, W) -> y (n, O, P, Q)."""

    def __init__(self, layer: Conv2d, x: Place, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        geometry, positions = conv2d_geometry_of(layer, x)
        self.prepare(geometry, positions, buffers)
        self.y = buffers.place(layer.out_channels, *positions)
        self.lay_out(x.shape[1:], True, buffers)


class WinogradConvTranspose2d(Winograd):
    """ConvTranspose2d: x (n, O, P, Q) -> y (n, C, H, W)."""

    def __init__(self, layer: ConvTranspose2d, x: Place, buffers: Buffers, free: bool) -> None:
        self.layer, self.x = layer, x
        geometry, size = conv_transpose2d_geometry_of(layer, x)
        self.prepare(geometry, x.shape[1:], buffers)
        self.y = buffers.place(layer.out_channels, *size)
        self.lay_out(size, False, buffers)
