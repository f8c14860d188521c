"""Conv2d: every output is a weighted sum of a window of the input, the same weights everywhere.

    y[n,o,p,q] = b[o] + Σ x[n, c, s·p + d·i − pad, s·q + d·j − pad] · w[o,c,i,j]

    x (N, C, H, W)   w (O, C/G, kH, kW)   b (O,)   y (N, O, P, Q)
    P = ⌊(H + 2·pad − d·(kH − 1) − 1) / s⌋ + 1        and Q in the same way

s is the stride, d the dilation, pad the padding and G the number of groups. The sum is over the
channels c and the taps (i, j), the entries of the kernel.

y is ∂T/∂y, one of the three partial derivatives of the trilinear form T(x, w, y) in convolution.py.
The gradients are the other two:

    dx = ∂T/∂x (w, dy)        for every pixel, a sum over the windows that contain it
    dw = ∂T/∂w (x, dy)        for every tap, a sum over all positions
    db[o] = Σ dy[n,o,p,q]     b is used at every position of every image
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, accumulate, check_tensor, parameter
from scratchae.layers.convolution import Geometry, partial_w, partial_x, partial_y, patches
from scratchae.layers.geometry import (
    Padding,
    Pair,
    as_batch,
    check_channels,
    check_image,
    check_padding_mode,
    counts,
    like_input,
    padding_of,
    plain,
)
from scratchae.layers.init import default_bias, default_weight


def conv2d_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Return y (N, O, P, Q) for x (N, C, H, W), weight (O, C/G, kH, kW), bias (O,) or None.

    >>> x = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    >>> conv2d_forward(x, torch.tensor([[[[1.0, 10.0]]]])).tolist()  # 1·1 + 2·10, 1·2 + 3·10, ...
    [[[[21.0, 32.0], [54.0, 65.0]]]]
    """
    geometry, positions = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    cols = patches(x, positions, geometry)  # (G, N·P·Q, kH·kW·C/G)
    y = partial_y(cols, weight, positions)  # (N, O, P, Q)
    return y if bias is None else y + bias.view(-1, 1, 1)


def conv2d_backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias) for dy (N, O, P, Q); the other arguments as in the forward pass.

    >>> x, weight = torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[[[1.0, 10.0]]]])
    >>> dx, dweight, dbias = conv2d_backward(torch.tensor([[[[1.0, 2.0]]]]), x, weight)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()
    ([[[[1.0, 12.0, 20.0]]]], [[[[5.0, 8.0]]]], [3.0])
    """
    geometry, positions = conv2d_geometry(x.shape, weight.shape, stride, padding, dilation, groups)
    _, _, H, W = x.shape
    dx = partial_x(weight, dy, (H, W), geometry)  # (N, C, H, W)
    cols = patches(x, positions, geometry)  # (G, N·P·Q, kH·kW·C/G)
    dweight = partial_w(cols, dy, geometry.kernel_size)  # (O, C/G, kH, kW)
    dbias = dy.sum(dim=(0, 2, 3))  # (O,)
    return dx, dweight, dbias


def conv2d_geometry(
    x_shape: Sequence[int],
    weight_shape: Sequence[int],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> tuple[Geometry, tuple[int, int]]:
    """Return the geometry of the windows, and the numbers of their positions (P, Q).

    >>> conv2d_geometry((64, 1, 28, 28), (16, 1, 3, 3), 2, 1, 1, 1)[1]
    (14, 14)
    """
    kH, kW = weight_shape[2:]
    kernel_size, stride, dilation = (kH, kW), counts(stride), counts(dilation)
    before, after = padding_of(padding, kernel_size, dilation)
    P, Q = (
        (n + first + last - d * (k - 1) - 1) // s + 1
        for n, first, last, s, d, k in zip(
            x_shape[2:], before, after, stride, dilation, kernel_size, strict=True
        )
    )
    return Geometry(kernel_size, stride, before, dilation, groups), (P, Q)


class Conv2d(Layer):
    """Convolution, with the arguments, the initialisation and the keys of torch.nn.Conv2d.

    Input (N, in_channels, H, W), output (N, out_channels, P, Q), or both without N for a single image.
    padding: a number, a pair, 'valid' (no padding) or 'same' (y has the size of x; only for stride 1).
    The padding is always with zeros.

    >>> layer = Conv2d(1, 16, 3, stride=2, padding=1)
    >>> layer(torch.zeros(64, 1, 28, 28)).shape, layer.weight.shape
    (torch.Size([64, 16, 14, 14]), torch.Size([16, 1, 3, 3]))
    """

    parameter_names = ("weight", "bias")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Padding = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_channels("Conv2d", in_channels, out_channels, groups)
        check_padding_mode("Conv2d", padding_mode)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = counts(kernel_size, "Conv2d", "kernel_size")
        self.stride = counts(stride, "Conv2d", "stride")
        self.dilation = counts(dilation, "Conv2d", "dilation")
        before, _ = padding_of(padding, self.kernel_size, self.dilation)
        self.padding: Padding = padding if isinstance(padding, str) else before
        self.padding_mode = padding_mode
        if padding == "same" and self.stride != (1, 1):
            raise ScratchaeError(
                f"Conv2d: padding='same' needs stride 1, got stride={stride}: "
                "give the padding as a number"
            )
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in, made = shape[1] * shape[2] * shape[3], (generator, device, dtype)
        self.weight = parameter(default_weight(shape, fan_in, *made))
        self.bias = parameter(default_bias(out_channels, fan_in, *made)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, self.weight.dtype, self.weight.device)
        check_image(self, x, self.in_channels)
        batch = as_batch(x)  # (N, C, H, W)
        geometry = (self.stride, self.padding, self.dilation, self.groups)
        _, positions = conv2d_geometry(batch.shape, self.weight.shape, *geometry)
        if min(positions) < 1:
            raise ScratchaeError(
                f"{self!r} got images of {x.shape[-2]} x {x.shape[-1]} pixels, which even with the "
                "padding are smaller than its kernel: use larger images, a smaller kernel or more "
                "padding"
            )
        y = conv2d_forward(batch, self.weight, self.bias, *geometry)
        return self.remember(like_input(y, x), batch, geometry)

    def backward(self, dy: Tensor) -> Tensor:
        x, geometry = self.recall(dy)
        dx, dweight, dbias = conv2d_backward(as_batch(dy), x, self.weight, *geometry)
        accumulate(self.weight, dweight)
        if self.bias is not None:
            accumulate(self.bias, dbias)
        return like_input(dx, dy)

    def arguments(self) -> dict[str, object]:
        return {name: plain(value) for name, value in super().arguments().items()}
