"""Oracles: convolution, transposed convolution and batch norm as loops over single numbers.

The code is slow and simple: every line follows the definition. A tap is one product of a
convolution: if the kernel is at position (p, q), its element (i, j) is multiplied by the pixel
(row, column) of the image. A tap outside the image multiplies a zero and is omitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import sqrt

import torch
from torch import Tensor

Pair = tuple[int, int]


def taps(
    image: Pair, positions: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Iterate over (p, q, i, j, row, column) of every tap inside the image."""
    for p, q, i, j in product(*(range(n) for n in (*positions, *kernel))):
        row = stride[0] * p + dilation[0] * i - padding[0]
        column = stride[1] * q + dilation[1] * j - padding[1]
        if 0 <= row < image[0] and 0 <= column < image[1]:
            yield p, q, i, j, row, column


def channel_pairs(outputs: int, inputs_a_group: int, groups: int) -> Iterator[tuple[int, int, int]]:
    """Iterate over (o, c, k): output channel o, input channel c of its group, and c's index k in it."""
    for o in range(outputs):
        group = o // (outputs // groups)
        for k in range(inputs_a_group):
            yield o, group * inputs_a_group + k, k


def conv2d_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """Return y (N, O, P, Q) for x (N, C, H, W), weight (O, C/G, kH, kW), bias (O,)."""
    (N, _, H, W), (O, per_group, *kernel) = x.shape, weight.shape
    P, Q = (
        (n + 2 * pad - d * (k - 1) - 1) // s + 1
        for n, pad, d, k, s in zip((H, W), padding, dilation, kernel, stride, strict=True)
    )
    y = torch.zeros(N, O, P, Q, dtype=x.dtype) + bias.view(-1, 1, 1)
    for n, (o, c, k) in product(range(N), list(channel_pairs(O, per_group, groups))):
        for p, q, i, j, row, col in taps((H, W), (P, Q), kernel, stride, padding, dilation):
            y[n, o, p, q] += x[n, c, row, col] * weight[o, k, i, j]
    return y


def conv2d_backward(
    dy: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias): each product of the forward pass adds to both gradients."""
    (N, _, H, W), (O, per_group, *kernel), (P, Q) = x.shape, weight.shape, dy.shape[2:]
    dx, dweight, dbias = torch.zeros_like(x), torch.zeros_like(weight), torch.zeros(O).to(x)
    for n, (o, c, k) in product(range(N), list(channel_pairs(O, per_group, groups))):
        for p, q, i, j, row, col in taps((H, W), (P, Q), kernel, stride, padding, dilation):
            dx[n, c, row, col] += dy[n, o, p, q] * weight[o, k, i, j]
            dweight[o, k, i, j] += dy[n, o, p, q] * x[n, c, row, col]
    for n, o, p, q in product(*(range(size) for size in dy.shape)):
        dbias[o] += dy[n, o, p, q]
    return dx, dweight, dbias


def conv_transpose2d_forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: Pair,
    padding: Pair,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """Return y (N, C, H, W): each pixel of x (N, O, P, Q) adds a multiple of the kernel to y."""
    (N, O, P, Q), (_, per_group, *kernel) = x.shape, weight.shape
    H, W = (
        s * (n - 1) - 2 * pad + d * (k - 1) + 1 + extra
        for s, n, pad, d, k, extra in zip(
            stride, (P, Q), padding, dilation, kernel, output_padding, strict=True
        )
    )
    y = torch.zeros(N, per_group * groups, H, W, dtype=x.dtype) + bias.view(-1, 1, 1)
    for n, (o, c, k) in product(range(N), list(channel_pairs(O, per_group, groups))):
        for p, q, i, j, row, col in taps((H, W), (P, Q), kernel, stride, padding, dilation):
            y[n, c, row, col] += x[n, o, p, q] * weight[o, k, i, j]
    return y


def conv_transpose2d_backward(
    dy: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias) for dy (N, C, H, W)."""
    (N, O, P, Q), (_, per_group, *kernel), (H, W) = x.shape, weight.shape, dy.shape[2:]
    dx, dweight, dbias = torch.zeros_like(x), torch.zeros_like(weight), dy.new_zeros(dy.shape[1])
    for n, (o, c, k) in product(range(N), list(channel_pairs(O, per_group, groups))):
        for p, q, i, j, row, col in taps((H, W), (P, Q), kernel, stride, padding, dilation):
            dx[n, o, p, q] += dy[n, c, row, col] * weight[o, k, i, j]
            dweight[o, k, i, j] += dy[n, c, row, col] * x[n, o, p, q]
    for n, c, row, col in product(*(range(size) for size in dy.shape)):
        dbias[c] += dy[n, c, row, col]
    return dx, dweight, dbias


def batchnorm_forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Return y for x (N, C) or (N, C, ...), one channel at a time."""
    y = torch.empty_like(x)
    for c in range(x.shape[1]):
        values = x[:, c].flatten().tolist()
        mean, spread = statistics(values, eps)
        normal = [float(weight[c]) * (v - mean) / spread + float(bias[c]) for v in values]
        y[:, c] = torch.tensor(normal, dtype=x.dtype).view_as(y[:, c])
    return y


def batchnorm_backward(
    dy: Tensor, x: Tensor, weight: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return (dx, dweight, dbias), from the whole m × m Jacobian of each channel.

    dx[a] = Σ_b dy[b] ∂y[b]/∂x[a], and by the quotient rule
    ∂y[b]/∂x[a] = w (∂(x[b] − μ)/∂x[a] · s − (x[b] − μ) ∂s/∂x[a]) / s²
    with ∂(x[b] − μ)/∂x[a] = [a = b] − 1/m   and   ∂s/∂x[a] = (x[a] − μ) / (m s).
    """
    dx, dweight, dbias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(weight)
    for c in range(x.shape[1]):
        values, upstream = x[:, c].flatten().tolist(), dy[:, c].flatten().tolist()
        m, (mean, s) = len(values), statistics(values, eps)
        gradient = [0.0] * m
        for a, b in product(range(m), range(m)):
            d_centred = (a == b) - 1 / m
            d_spread = (values[a] - mean) / (m * s)
            jacobian = (d_centred * s - (values[b] - mean) * d_spread) / s**2
            gradient[a] += upstream[b] * float(weight[c]) * jacobian
        dx[:, c] = torch.tensor(gradient, dtype=x.dtype).view_as(dx[:, c])
        dweight[c] = sum(g * (v - mean) / s for g, v in zip(upstream, values, strict=True))
        dbias[c] = sum(upstream)
    return dx, dweight, dbias


def statistics(values: list[float], eps: float) -> tuple[float, float]:
    """Return the mean and s = √(variance + eps), with the biased variance."""
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    return mean, sqrt(variance + eps)
