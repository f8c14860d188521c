"""Convolution is one trilinear form. Everything that both convolutions need follows from it.

A kernel w (O, C, kH, kW) slides over an image x (N, C, H, W) and links it to y (N, O, P, Q):

    T(x, w, y) = Σ  x[n, c, s·p + d·i − pad, s·q + d·j − pad] · w[o, c, i, j] · y[n, o, p, q]

summed over n, o, c, the positions (p, q) of the kernel and its taps (i, j); s is the stride, d
the dilation, and x is zero outside its border. T is linear in each of the three, so each
partial derivative is a product of the other two:

    ∂T/∂y (x, w)    for every output, the sum over its window           partial_y
    ∂T/∂w (x, y)    for every tap, the sum over all positions           partial_w
    ∂T/∂x (w, y)    for every pixel, the sum over windows that hold it  partial_x

                       forward        dx             dw
    Conv2d             ∂T/∂y (x, w)   ∂T/∂x (w, dy)  ∂T/∂w (x, dy)
    ConvTranspose2d    ∂T/∂x (w, x)   ∂T/∂y (dy, w)  ∂T/∂w (dy, x)

The second row is the first with the parts of image and output exchanged, and that is all
there is to a transposed convolution.

x enters T through its patches alone: the matrix `cols` with one row a position (n, p, q) and one
column a value (i, j, c) of the window there. With w as a matrix of the same columns,

    T = ⟨cols Wᵀ, Y⟩    so    Y = cols Wᵀ     dW = Yᵀ cols     dcols = Y W

and dx adds every entry of dcols to the pixel it was copied from. With groups, the channels are
cut into G parts that do not meet: G such matrices, one above the other.

Inside, channels come last, so that one copy moves a whole pixel; outside all is (N, C, H, W).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """Where the windows lie. Pairs are (vertical, horizontal), in pixels; `padding` is what
    stands before the first row and column (what comes after follows from the sizes).

    >>> Geometry(kernel_size=(3, 3), padding=(1, 1)).padded_size((28, 28), positions=(28, 28))
    (30, 30)
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def padded_size(self, size: tuple[int, int], positions: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of an image with its padding, so that every window lies inside."""
        return tuple(
            max(pad + n, (count - 1) * stride + dilation * (k - 1) + 1)
            for pad, n, count, stride, dilation, k in zip(
                self.padding,
                size,
                positions,
                self.stride,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        )


def windows(x: Tensor, positions: tuple[int, int], geometry: Geometry) -> Tensor:
    """Every window of the padded x (N, H, W, C) as a view (G, N, P, Q, kH, kW, C/G): no copy.

    >>> import torch
    >>> pixels = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1)
    >>> windows(pixels, (1, 2), Geometry((1, 2))).squeeze().tolist()
    [[1.0, 2.0], [2.0, 3.0]]
    """
    (sN, sH, sW, sC), g = x.stride(), geometry
    per_group = x.shape[3] // g.groups
    return x.as_strided(
        (g.groups, x.shape[0], *positions, *g.kernel_size, per_group),
        (
            *(per_group * sC, sN, g.stride[0] * sH, g.stride[1] * sW),
            *(g.dilation[0] * sH, g.dilation[1] * sW, sC),
        ),
    )


def patches(x: Tensor, positions: tuple[int, int], geometry: Geometry) -> Tensor:
    """The windows of x (N, C, H, W) as rows: (G, N·P·Q, kH·kW·C/G).

    >>> import torch
    >>> x = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    >>> patches(x, (1, 4), Geometry((1, 2), padding=(0, 1))).tolist()
    [[[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 0.0]]]
    """
    (N, C, H, W), (top, left) = x.shape, geometry.padding
    padded = geometry.padded_size((H, W), positions)
    pixels = x.permute(0, 2, 3, 1)  # (N, H, W, C)
    if padded != (H, W):
        framed = x.new_zeros(N, *padded, C)
        framed[:, top : top + H, left : left + W] = pixels
        pixels = framed
    view = windows(pixels, positions, geometry)  # (G, N, P, Q, kH, kW, C/G)
    if geometry.groups == C:  # single channels: copied by taps, in longer runs, four times faster
        return view.permute(0, 4, 5, 6, 1, 2, 3).flatten(4).flatten(1, 3).mT
    return view.flatten(4).flatten(1, 3)  # the one copy


def partial_y(cols: Tensor, w: Tensor, positions: tuple[int, int]) -> Tensor:
    """∂T/∂y: (N, O, P, Q) from the patches of x and w (O, C/G, kH, kW).

    >>> import torch
    >>> cols, w = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]]), torch.tensor([[[[1.0, 10.0]]]])
    >>> partial_y(cols, w, (1, 2)).tolist()
    [[[[21.0, 32.0]]]]
    """
    rows = cols @ kernel_matrix(w, len(cols)).mT  # (G, N·P·Q, O/G)
    return rows_to_image(rows, positions)


def partial_w(cols: Tensor, y: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """∂T/∂w: (O, C/G, kH, kW) from the patches of x and y (N, O, P, Q).

    >>> import torch
    >>> cols, y = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]]), torch.tensor([[[[1.0, 10.0]]]])
    >>> partial_w(cols, y, (1, 2)).tolist()
    [[[[21.0, 32.0]]]]
    """
    matrix = image_to_rows(y, len(cols)).mT @ cols  # (G, O/G, kH·kW·C/G)
    return matrix.reshape(y.shape[1], *kernel_size, -1).permute(0, 3, 1, 2)


def partial_x(w: Tensor, y: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    """∂T/∂x: (N, C, H, W) of that size (H, W), from w (O, C/G, kH, kW) and y (N, O, P, Q).

    >>> import torch
    >>> w, y = torch.tensor([[[[1.0, 10.0]]]]), torch.tensor([[[[1.0, 2.0]]]])
    >>> partial_x(w, y, (1, 3), Geometry((1, 2))).tolist()
    [[[[1.0, 12.0, 20.0]]]]
    """
    (N, _, *positions), (top, left), G = y.shape, geometry.padding, geometry.groups
    dcols = image_to_rows(y, G) @ kernel_matrix(w, G)  # (G, N·P·Q, kH·kW·C/G)
    dcols = dcols.view(G, N, *positions, *geometry.kernel_size, w.shape[1])
    framed = y.new_zeros(N, *geometry.padded_size(size, positions), w.shape[1] * G)
    where = windows(framed, positions, geometry)
    kH, kW = geometry.kernel_size
    for i in range(kH):
        for j in range(kW):  # one tap at a time: within it no pixel comes twice
            where[:, :, :, :, i, j].add_(dcols[:, :, :, :, i, j])
    return framed[:, top : top + size[0], left : left + size[1]].permute(0, 3, 1, 2)


def kernel_matrix(w: Tensor, groups: int) -> Tensor:
    """w (O, C/G, kH, kW) as matrices (G, O/G, kH·kW·C/G), columns in the order of `patches`.

    >>> import torch
    >>> kernel_matrix(torch.zeros(32, 16, 3, 3), groups=1).shape
    torch.Size([1, 32, 144])
    """
    return w.permute(0, 2, 3, 1).reshape(groups, w.shape[0] // groups, -1)


def image_to_rows(y: Tensor, groups: int) -> Tensor:
    """y (N, O, P, Q) as matrices (G, N·P·Q, O/G): one row a position.

    >>> import torch
    >>> image_to_rows(torch.zeros(64, 16, 14, 14), groups=1).shape  # 64 · 14 · 14 rows
    torch.Size([1, 12544, 16])
    """
    pixels = y.permute(0, 2, 3, 1).unflatten(3, (groups, -1))  # (N, P, Q, G, O/G)
    return pixels.movedim(3, 0).flatten(1, 3)


def rows_to_image(rows: Tensor, positions: tuple[int, int]) -> Tensor:
    """The inverse of `image_to_rows`.

    >>> import torch
    >>> rows_to_image(torch.zeros(1, 12544, 16), (14, 14)).shape
    torch.Size([64, 16, 14, 14])
    """
    pixels = rows.unflatten(1, (-1, *positions))  # (G, N, P, Q, O/G)
    return pixels.permute(1, 0, 4, 2, 3).flatten(1, 2)  # (N, O, P, Q)
