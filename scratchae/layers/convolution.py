"""The trilinear form of convolution. Conv2d and ConvTranspose2d are computed from its derivatives.

A kernel w (O, C, kH, kW) slides over an image x (N, C, H, W). Its positions (p, q) are the pixels of
y (N, O, P, Q). The form multiplies all three and adds up the products:

    T(x, w, y) = Σ  x[n, c, s·p + d·i − pad, s·q + d·j − pad] · w[o, c, i, j] · y[n, o, p, q]

The sum is over n, o, c, the positions (p, q) and the kernel's entries (i, j), called taps. s is the
stride, d the dilation, and x is zero outside its border. T is trilinear: it is linear in x, in w and
in y. So each partial derivative is a sum of products of the other two:

    ∂T/∂y (x, w)    for every output, the sum over its window                   partial_y
    ∂T/∂w (x, y)    for every tap, the sum over all positions                   partial_w
    ∂T/∂x (w, y)    for every pixel, the sum over the windows that contain it   partial_x

                       forward        dx             dw
    Conv2d             ∂T/∂y (x, w)   ∂T/∂x (w, dy)  ∂T/∂w (x, dy)
    ConvTranspose2d    ∂T/∂x (w, x)   ∂T/∂y (dy, w)  ∂T/∂w (dy, x)

The second row is the first row with the image x and the output y exchanged. Nothing else is different
in a transposed convolution.

T depends on x only through its patches, the matrix `cols`. It has a row for each position (n, p, q)
and a column for each value (i, j, c) of the window at this position. Let W be w as a matrix with the
same columns, and Y be y as a matrix with a row for each position. T is the sum of the products of the
entries of cols Wᵀ and Y. So its partial derivatives are

    ∂T/∂Y = cols Wᵀ     ∂T/∂W = Yᵀ cols     ∂T/∂cols = Y W

For ∂T/∂x, every entry of ∂T/∂cols is added to the pixel from which the entry of cols was copied. With
groups, the channels are divided into G groups that are computed independently, and there are G such
matrices, one for each group.

The first four functions below take and return images as (N, C, H, W). Between them and in the helper
functions, the channels are the last axis, so that one copy moves all channels of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """The size and the places of the windows. Pairs are (vertical, horizontal), in pixels.

    padding: the rows above the first row and the columns to the left of the first column. The padding
    below and to the right follows from the sizes.

    >>> Geometry(kernel_size=(3, 3), padding=(1, 1)).padded_size((28, 28), positions=(28, 28))
    (30, 30)
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def padded_size(self, size: tuple[int, int], positions: tuple[int, int]) -> tuple[int, int]:
        """Return the (rows, columns) of an image with padding, so that it contains every window.

        size: (H, W) of the image. positions: (P, Q).
        """
        rows, columns = (
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
        return rows, columns


def patches(x: Tensor, positions: tuple[int, int], geometry: Geometry) -> Tensor:
    """Return the windows of x (N, C, H, W) as the rows of cols (G, N·P·Q, kH·kW·C/G).

    >>> import torch
    >>> x = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 1, 3)
    >>> patches(x, (1, 4), Geometry((1, 2), padding=(0, 1))).tolist()
    [[[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 0.0]]]
    """
    pixels = padded(x.permute(0, 2, 3, 1), positions, geometry)  # (N, H, W, C)
    return copied_in_long_runs(windows(pixels, positions, geometry))


def partial_y(cols: Tensor, w: Tensor, positions: tuple[int, int]) -> Tensor:
    """Return ∂T/∂y (N, O, P, Q), given cols, the patches of x, and w (O, C/G, kH, kW).

    >>> import torch
    >>> cols, w = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]]), torch.tensor([[[[1.0, 10.0]]]])
    >>> partial_y(cols, w, (1, 2)).tolist()
    [[[[21.0, 32.0]]]]
    """
    W = kernel_matrix(w, len(cols))  # (G, O/G, kH·kW·C/G)
    Y = cols @ W.mT  # (G, N·P·Q, O/G)
    return rows_to_image(Y, positions)


def partial_w(cols: Tensor, y: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """Return ∂T/∂w (O, C/G, kH, kW), given cols, the patches of x, and y (N, O, P, Q).

    >>> import torch
    >>> cols, y = torch.tensor([[[1.0, 2.0], [2.0, 3.0]]]), torch.tensor([[[[1.0, 10.0]]]])
    >>> partial_w(cols, y, (1, 2)).tolist()
    [[[[21.0, 32.0]]]]
    """
    Y = image_to_rows(y, len(cols))  # (G, N·P·Q, O/G)
    dW = Y.mT @ cols  # (G, O/G, kH·kW·C/G)
    return dW.reshape(y.shape[1], *kernel_size, -1).permute(0, 3, 1, 2)


def partial_x(w: Tensor, y: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    """Return ∂T/∂x (N, C, H, W), given w (O, C/G, kH, kW), y (N, O, P, Q) and size = (H, W).

    >>> import torch
    >>> w, y = torch.tensor([[[[1.0, 10.0]]]]), torch.tensor([[[[1.0, 2.0]]]])
    >>> partial_x(w, y, (1, 3), Geometry((1, 2))).tolist()
    [[[[1.0, 12.0, 20.0]]]]
    """
    (N, _, P, Q), G = y.shape, geometry.groups
    Y, W = image_to_rows(y, G), kernel_matrix(w, G)
    dcols = Y @ W  # (G, N·P·Q, kH·kW·C/G)
    dwindows = dcols.view(G, N, P, Q, *geometry.kernel_size, w.shape[1])
    return add_windows(dwindows, size, geometry)


def windows(x: Tensor, positions: tuple[int, int], geometry: Geometry) -> Tensor:
    """Return all windows of the padded x (N, H, W, C) as a view (G, N, P, Q, kH, kW, C/G).

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


def add_windows(dwindows: Tensor, size: tuple[int, int], geometry: Geometry) -> Tensor:
    """Add every entry of dwindows (G, N, P, Q, kH, kW, C/G) to its pixel; return the image (N, C, H, W).

    size: (H, W). Entries in the padding are dropped. It is the gradient of `padded` and `windows`.

    >>> import torch
    >>> dwindows = torch.tensor([[1.0, 2.0], [30.0, 40.0]]).view(1, 1, 1, 2, 1, 2, 1)
    >>> add_windows(dwindows, (1, 3), Geometry((1, 2))).tolist()
    [[[[1.0, 32.0, 40.0]]]]
    """
    (G, N, P, Q, kH, kW, per_group), (H, W), (top, left) = dwindows.shape, size, geometry.padding
    image = dwindows.new_zeros(N, *geometry.padded_size(size, (P, Q)), per_group * G)
    pixels = windows(image, (P, Q), geometry)  # a view (G, N, P, Q, kH, kW, C/G)
    for i in range(kH):  # one tap (i, j) at a time: within one tap no pixel occurs twice
        for j in range(kW):
            pixels[:, :, :, :, i, j].add_(dwindows[:, :, :, :, i, j])
    return image[:, top : top + H, left : left + W].permute(0, 3, 1, 2)


def padded(x: Tensor, positions: tuple[int, int], geometry: Geometry, value: float = 0.0) -> Tensor:
    """Return x (N, H, W, C) with this value around it; return x itself if it needs no padding.

    >>> import torch
    >>> pixels = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1)
    >>> padded(pixels, (1, 4), Geometry((1, 2), padding=(0, 1))).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0, 0.0]
    """
    (N, H, W, C), (top, left) = x.shape, geometry.padding
    size = geometry.padded_size((H, W), positions)
    if size == (H, W):
        return x
    image = x.new_full((N, *size, C), value)
    image[:, top : top + H, left : left + W] = x
    return image


def kernel_matrix(w: Tensor, groups: int) -> Tensor:
    """Return W: w (O, C/G, kH, kW) as matrices (G, O/G, kH·kW·C/G), with the columns of `patches`.

    >>> import torch
    >>> kernel_matrix(torch.zeros(32, 16, 3, 3), groups=1).shape
    torch.Size([1, 32, 144])
    """
    return w.permute(0, 2, 3, 1).reshape(groups, w.shape[0] // groups, -1)


def image_to_rows(y: Tensor, groups: int) -> Tensor:
    """Return Y: y (N, O, P, Q) as matrices (G, N·P·Q, O/G), with one row for each position.

    >>> import torch
    >>> image_to_rows(torch.zeros(64, 16, 14, 14), groups=1).shape  # 64 · 14 · 14 rows
    torch.Size([1, 12544, 16])
    """
    pixels = y.permute(0, 2, 3, 1).unflatten(3, (groups, -1))  # (N, P, Q, G, O/G)
    return pixels.movedim(3, 0).flatten(1, 3)


def rows_to_image(rows: Tensor, positions: tuple[int, int]) -> Tensor:
    """Return matrices (G, N·P·Q, O/G) as an image (N, O, P, Q): the inverse of `image_to_rows`.

    >>> import torch
    >>> rows_to_image(torch.zeros(1, 12544, 16), (14, 14)).shape
    torch.Size([64, 16, 14, 14])
    """
    pixels = rows.unflatten(1, (-1, *positions))  # (G, N, P, Q, O/G)
    pixels = pixels.permute(1, 2, 3, 0, 4).flatten(3)  # (N, P, Q, O)
    return pixels.permute(0, 3, 1, 2)  # (N, O, P, Q)


def copied_in_long_runs(view: Tensor) -> Tensor:
    """Copy a view of windows (G, N, P, Q, kH, kW, C/G) to rows (G, N·P·Q, kH·kW·C/G).

    The last line alone gives the same result. But if a group has only one channel, the copy goes tap by
    tap: then longer runs of memory are copied at once, which takes a quarter of the time.

    >>> import torch
    >>> copied_in_long_runs(torch.zeros(1, 64, 14, 14, 3, 3, 16)).shape
    torch.Size([1, 12544, 144])
    """
    if view.shape[6] == 1:
        by_taps = view.permute(0, 4, 5, 6, 1, 2, 3)  # (G, kH, kW, 1, N, P, Q)
        return by_taps.flatten(4).flatten(1, 3).mT
    return view.flatten(4).flatten(1, 3)
