"""ConvTranspose2d: every input pixel adds the kernel, times the pixel's value, to a larger output.

    y[n, c, s·p + d·i − pad, s·q + d·j − pad]  +=  x[n,o,p,q] · w[o,c,i,j]    and then  y[n,c] += b[c]

    x (N, O, P, Q)   w (O, C/G, kH, kW)   b (C,)   y (N, C, H, W)
    H = s·(P − 1) − 2·pad + d·(kH − 1) + 1 + output_padding        and W in the same way

The letters are those of conv2d.py. A convolution of stride s gives the same P for several H;
output_padding selects one of these H.

y is ∂T/∂x of the trilinear form in convolution.py: the input gradient of Conv2d, used as a forward
pass. So the formulas are those of conv2d.py, with input and output exchanged:

    dx = ∂T/∂y (dy, w)        the forward pass of Conv2d
    dw = ∂T/∂w (dy, x)
    db[c] = Σ dy[n,c,h,w]
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, accumulate, check_tensor, parameter
from scratchae.layers.convolution import Geometry, partial_w, partial_x, partial_y, patches
from scratchae.layers.geometry import (
    Pair,
    as_batch,
    check_channels,
    check_image,
    check_padding_mode,
    counts,
    like_input,
    plain,
)
from scratchae.layers.init import default_bias, default_weight


def conv_transpose2d_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """Return y (N, C, H, W) for x (N, O, P, Q), weight (O, C/G, kH, kW), bias (C,) or None.

    >>> x, weight = torch.tensor([[[[1.0, 2.0, 3.0]]]]), torch.tensor([[[[1.0, 10.0]]]])
    >>> conv_transpose2d_forward(x, weight).tolist()  # 1 · (1, 10), 2 · (1, 10), 3 · (1, 10) overlap
    [[[[1.0, 12.0, 23.0, 30.0]]]]
    >>> conv_transpose2d_forward(x, weight, stride=2).tolist()
    [[[[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]]]]
    """
    geometry = conv_transpose2d_geometry(weight.shape, stride, padding, groups, dilation)
    size = conv_transpose2d_size(x.shape[2:], geometry, counts(output_padding, least=0))  # (H, W)
    y = partial_x(weight, x, size, geometry)  # (N, C, H, W)
    return y if bias is None else y + bias.view(-1, 1, 1)


def conv_transpose2d_backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Pair = 1,
    padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias) for dy (N, C, H, W); the other arguments as in the forward pass.

    output_padding is not an argument: it has no effect on the gradients except through the shape of dy.

    >>> x, weight = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[1.0, 10.0]]]])
    >>> dx, dweight, dbias = conv_transpose2d_backward(torch.tensor([[[[1.0, 2.0, 3.0]]]]), x, weight)
    >>> dx.tolist(), dweight.tolist(), dbias.tolist()
    ([[[[21.0, 32.0]]]], [[[[5.0, 8.0]]]], [6.0])
    """
    geometry = conv_transpose2d_geometry(weight.shape, stride, padding, groups, dilation)
    _, _, P, Q = x.shape
    cols = patches(dy, (P, Q), geometry)  # (G, N·P·Q, kH·kW·C/G)
    dx = partial_y(cols, weight, (P, Q))  # (N, O, P, Q)
    dweight = partial_w(cols, x, geometry.kernel_size)  # (O, C/G, kH, kW)
    dbias = dy.sum(dim=(0, 2, 3))  # (C,)
    return dx, dweight, dbias


def conv_transpose2d_geometry(
    weight_shape: Sequence[int], stride: Pair, padding: Pair, groups: int, dilation: Pair
) -> Geometry:
    """Return the geometry of the windows.

    >>> conv_transpose2d_geometry((16, 1, 3, 3), stride=2, padding=1, groups=1, dilation=1).stride
    (2, 2)
    """
    kH, kW = weight_shape[2:]
    return Geometry((kH, kW), counts(stride), counts(padding, least=0), counts(dilation), groups)


def conv_transpose2d_size(
    positions: Sequence[int], geometry: Geometry, output_padding: tuple[int, int]
) -> tuple[int, int]:
    """Return the size (H, W) of the output for an input of size positions = (P, Q).

    >>> geometry = Geometry(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    >>> conv_transpose2d_size((14, 14), geometry, output_padding=(1, 1))
    (28, 28)
    """
    H, W = (
        s * (p - 1) - 2 * pad + d * (k - 1) + 1 + extra
        for p, s, pad, d, k, extra in zip(
            positions,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            geometry.kernel_size,
            output_padding,
            strict=True,
        )
    )
    return H, W


class ConvTranspose2d(Layer):
    """Transposed convolution, with the arguments, initialisation and keys of torch.nn.ConvTranspose2d.

    Input (N, in_channels, P, Q), output (N, out_channels, H, W), or both without N for a single image.
    `layer(x, output_size=(H, W))` sets the output size for this call; it replaces output_padding.

    >>> layer = ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1)
    >>> layer(torch.zeros(64, 16, 14, 14)).shape, layer.weight.shape
    (torch.Size([64, 1, 28, 28]), torch.Size([16, 1, 3, 3]))
    >>> layer(torch.zeros(64, 16, 14, 14), output_size=(27, 28)).shape
    torch.Size([64, 1, 27, 28])
    """

    parameter_names = ("weight", "bias")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        output_padding: Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Pair = 1,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_channels("ConvTranspose2d", in_channels, out_channels, groups)
        check_padding_mode("ConvTranspose2d", padding_mode)
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = counts(kernel_size, "ConvTranspose2d", "kernel_size")
        self.stride = counts(stride, "ConvTranspose2d", "stride")
        self.padding = counts(padding, "ConvTranspose2d", "padding", least=0)
        self.output_padding = counts(output_padding, "ConvTranspose2d", "output_padding", least=0)
        self.dilation = counts(dilation, "ConvTranspose2d", "dilation")
        self.padding_mode = padding_mode
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(s, d):
                raise ScratchaeError(
                    f"ConvTranspose2d: output_padding={output_padding} must be smaller than stride="
                    f"{stride} or dilation={dilation}: it chooses among the sizes that they leave open"
                )
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        fan_in = shape[1] * shape[2] * shape[3]  # as in torch.nn
        made = (generator, device, dtype)
        self.weight = parameter(default_weight(shape, fan_in, *made))
        self.bias = parameter(default_bias(out_channels, fan_in, *made)) if bias else None

    def __call__(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return self.forward(input, output_size)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        check_tensor(self, x, self.weight.dtype, self.weight.device)
        check_image(self, x, self.in_channels)
        batch = as_batch(x)  # (N, O, P, Q)
        output_padding = self.output_padding
        if output_size is not None:
            output_padding = self.padding_for(output_size, batch.shape[2:])
        if min(self.size_of(batch.shape[2:], output_padding)) < 1:
            raise ScratchaeError(
                f"{self!r} leaves nothing of images of {x.shape[-2]} x {x.shape[-1]} pixels: "
                "use less padding"
            )
        y = conv_transpose2d_forward(
            batch,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            output_padding,
            self.groups,
            self.dilation,
        )
        return self.remember(like_input(y, x), batch)

    def size_of(self, positions: Sequence[int], output_padding: tuple[int, int]) -> tuple[int, int]:
        """Return the size (H, W) of the output for an input of size positions = (P, Q)."""
        geometry = Geometry(self.kernel_size, self.stride, self.padding, self.dilation, self.groups)
        return conv_transpose2d_size(positions, geometry, output_padding)

    def padding_for(self, output_size: Sequence[int], positions: Sequence[int]) -> tuple[int, int]:
        """Return the output_padding that gives an output of size output_size.

        output_size: (H, W), or the whole shape of y. positions: the size (P, Q) of the input. Raises
        ScratchaeError if no output_padding below the stride gives this size.
        """
        least = self.size_of(positions, (0, 0))
        size = tuple(output_size)[-2:]
        extra = tuple(n - smallest for n, smallest in zip(size, least, strict=False))
        if len(extra) != 2 or not all(0 <= n < s for n, s in zip(extra, self.stride, strict=True)):
            most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
            raise ScratchaeError(
                f"{self!r} makes outputs from {least} to {most} of images of "
                f"{positions[0]} x {positions[1]} pixels, but output_size is {tuple(output_size)}: "
                "choose an output_size in this range"
            )
        return extra

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        dx, dweight, dbias = conv_transpose2d_backward(
            as_batch(dy), x, self.weight, self.stride, self.padding, self.groups, self.dilation
        )
        accumulate(self.weight, dweight)
        if self.bias is not None:
            accumulate(self.bias, dbias)
        return like_input(dx, dy)

    def arguments(self) -> dict[str, object]:
        return {name: plain(value) for name, value in super().arguments().items()}
