"""Conv2d and ConvTranspose2d for M models: the trilinear form of layers/convolution.py, M times.

    T[m](x[m], w[m], y[m])     x (M, N, C, H, W)   w (M, O, C/G, kH, kW)   y (M, N, O, P, Q)

There the patches of x and the kernel are matrices, and the three partial derivatives their products:

    Y = cols Wᵀ     dW = Yᵀ cols     dcols = Y W

With groups they are G matrices already, one above the other, that do not meet; with M models they are
M·G. Taking patches does not look at the kernel, so for that M batches of N images are one of M·N.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from scratchae.layers import Conv2d, ConvTranspose2d, accumulate
from scratchae.layers.conv2d import conv2d_geometry
from scratchae.layers.conv_transpose2d import conv_transpose2d_size
from scratchae.layers.convolution import Geometry, kernel_matrix, patches, windows
from scratchae.sweep.batched_layers import Stacked


def stacked_patches(x: Tensor, positions: tuple[int, int], geometry: Geometry) -> Tensor:
    """The windows of x (M, N, C, H, W) as rows: (M·G, N·P·Q, kH·kW·C/G).

    >>> import torch
    >>> stacked_patches(torch.zeros(5, 64, 1, 28, 28), (26, 26), Geometry((3, 3))).shape
    torch.Size([5, 43264, 9])
    """
    cols = patches(x.flatten(0, 1), positions, geometry)  # (G, M·N·P·Q, kH·kW·C/G)
    return cols.unflatten(1, (len(x), -1)).transpose(0, 1).flatten(0, 1)


def stacked_partial_y(cols: Tensor, w: Tensor, positions: tuple[int, int]) -> Tensor:
    """∂T/∂y: (M, N, O, P, Q) from the patches of x and w (M, O, C/G, kH, kW).

    >>> import torch
    >>> cols = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]])
    >>> stacked_partial_y(cols, torch.tensor([[[[[1.0, 10.0]]]]]), (1, 2)).tolist()
    [[[[[21.0, 32.0]]]]]
    """
    rows = cols @ kernel_matrix(w.flatten(0, 1), len(cols)).mT  # (M·G, N·P·Q, O/G)
    pixels = rows.unflatten(1, (-1, *positions)).unflatten(0, (len(w), -1))  # (M, G, N, P, Q, O/G)
    return pixels.permute(0, 2, 1, 5, 3, 4).flatten(2, 3)


def stacked_partial_w(cols: Tensor, y: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """∂T/∂w: (M, O, C/G, kH, kW) from the patches of x and y (M, N, O, P, Q).

    >>> import torch
    >>> cols, y = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]]), torch.tensor([[[[[1.0, 10.0]]]]])
    >>> stacked_partial_w(cols, y, (1, 2)).tolist()
    [[[[[21.0, 32.0]]]]]
    """
    matrix = stacked_rows(y, len(cols) // len(y)).mT @ cols  # (M·G, O/G, kH·kW·C/G)
    return matrix.reshape(len(y), y.shape[2], *kernel_size, -1).permute(0, 1, 4, 2, 3)


def stacked_partial_x(w: Tensor, y: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    """∂T/∂x: (M, N, C, H, W) of that size (H, W), from w (M, O, C/G, kH, kW) and y (M, N, O, P, Q).

    >>> import torch
    >>> w, y = torch.tensor([[[[[1.0, 10.0]]]]]), torch.tensor([[[[[1.0, 2.0]]]]])
    >>> stacked_partial_x(w, y, (1, 3), Geometry((1, 2))).tolist()
    [[[[[1.0, 12.0, 20.0]]]]]
    """
    (M, N, _, *positions), (top, left), G = y.shape, geometry.padding, geometry.groups
    dcols = stacked_rows(y, G) @ kernel_matrix(w.flatten(0, 1), M * G)  # (M·G, N·P·Q, kH·kW·C/G)
    dcols = dcols.view(M, G, N, *positions, *geometry.kernel_size, w.shape[2])
    dcols = dcols.transpose(0, 1).flatten(1, 2)  # (G, M·N, P, Q, kH, kW, C/G)
    framed = y.new_zeros(M * N, *geometry.padded_size(size, positions), w.shape[2] * G)
    where = windows(framed, positions, geometry)
    kH, kW = geometry.kernel_size
    for i in range(kH):
        for j in range(kW):  # one tap at a time: within it no pixel comes twice
            where[:, :, :, :, i, j].add_(dcols[:, :, :, :, i, j])
    pixels = framed[:, top : top + size[0], left : left + size[1]]  # (M·N, H, W, C)
    return pixels.permute(0, 3, 1, 2).unflatten(0, (M, N))


def stacked_rows(y: Tensor, groups: int) -> Tensor:
    """y (M, N, O, P, Q) as matrices (M·G, N·P·Q, O/G): one row a position.

    >>> import torch
    >>> stacked_rows(torch.zeros(5, 64, 16, 14, 14), groups=1).shape  # 64 · 14 · 14 rows
    torch.Size([5, 12544, 16])
    """
    pixels = y.permute(0, 1, 3, 4, 2).unflatten(4, (groups, -1))  # (M, N, P, Q, G, O/G)
    return pixels.movedim(4, 1).flatten(0, 1).flatten(1, 3)


class StackedConv2d(Stacked):
    """M Conv2d layers of one size.

    >>> import torch
    >>> layers = [Conv2d(1, 4, 3), Conv2d(1, 4, 3)]
    >>> y = StackedConv2d(layers)(torch.ones(2, 5, 1, 8, 8))
    >>> torch.allclose(y[1], layers[1](torch.ones(5, 1, 8, 8)), atol=1e-6)
    True
    """

    def __init__(self, layers: Sequence[Conv2d]) -> None:
        super().__init__(layers)
        one = layers[0]
        self.arguments = (one.stride, one.padding, one.dilation, one.groups)

    def forward_all(self, x: Tensor) -> Tensor:
        geometry, positions = conv2d_geometry(x.shape[1:], self.weight.shape[1:], *self.arguments)
        y = stacked_partial_y(stacked_patches(x, positions, geometry), self.weight, positions)
        return self.remember(with_bias(y, self.bias), x, geometry, positions)

    def backward(self, dy: Tensor) -> Tensor:
        x, geometry, positions = self.recall(dy)
        cols = stacked_patches(x, positions, geometry)
        accumulate(self.weight, stacked_partial_w(cols, dy, geometry.kernel_size))
        accumulate_bias(self.bias, dy)
        return stacked_partial_x(self.weight, dy, x.shape[3:], geometry)


class StackedConvTranspose2d(Stacked):
    """M ConvTranspose2d layers of one size: StackedConv2d in the mirror.

    >>> import torch
    >>> layers = [ConvTranspose2d(4, 1, 3), ConvTranspose2d(4, 1, 3)]
    >>> y = StackedConvTranspose2d(layers)(torch.ones(2, 5, 4, 6, 6))
    >>> torch.allclose(y[1], layers[1](torch.ones(5, 4, 6, 6)), atol=1e-6)
    True
    """

    def __init__(self, layers: Sequence[ConvTranspose2d]) -> None:
        super().__init__(layers)
        one = layers[0]
        self.geometry = Geometry(one.kernel_size, one.stride, one.padding, one.dilation, one.groups)
        self.output_padding = one.output_padding

    def forward_all(self, x: Tensor) -> Tensor:
        size = conv_transpose2d_size(tuple(x.shape[3:]), self.geometry, self.output_padding)
        y = stacked_partial_x(self.weight, x, size, self.geometry)
        return self.remember(with_bias(y, self.bias), x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        positions = tuple(x.shape[3:])
        cols = stacked_patches(dy, positions, self.geometry)
        accumulate(self.weight, stacked_partial_w(cols, x, self.geometry.kernel_size))
        accumulate_bias(self.bias, dy)
        return stacked_partial_y(cols, self.weight, positions)


def with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    """y (M, N, C, H, W) + bias (M, C), or y where there is none."""
    return y if bias is None else y + bias[:, None, :, None, None]


def accumulate_bias(bias: Tensor | None, dy: Tensor) -> None:
    """db[m, c] = Σ dy[m, n, c, h, w], where there is a bias."""
    if bias is not None:
        accumulate(bias, dy.sum(dim=(1, 3, 4)))
