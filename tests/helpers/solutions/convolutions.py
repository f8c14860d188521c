"""Right solutions: Conv2d and ConvTranspose2d."""

from functools import partial

import numpy as np
import torch

from scratchae.layers.geometry import counts, padding_of
from tests.helpers.solutions.common import in_float64


# ---------------------------------------------------------------------------------- Conv2d
def framed(x, before, after):
    N, C, H, W = x.shape
    out = x.new_zeros(N, C, H + before[0] + after[0], W + before[1] + after[1])
    out[:, :, before[0] : before[0] + H, before[1] : before[1] + W] = x
    return out


def conv_setting(x, weight, stride, padding, dilation):
    s, d, k = counts(stride), counts(dilation), tuple(weight.shape[2:])
    before, after = padding_of(padding, k, d)
    size = [
        (n + b + a - e * (m - 1) - 1) // t + 1
        for n, b, a, e, m, t in zip(x.shape[2:], before, after, d, k, s, strict=True)
    ]
    return s, d, k, before, after, size


def taps(padded, s, d, k, size):
    """(i, j, the strided picture that tap (i, j) sees)."""
    for i in range(k[0]):
        for j in range(k[1]):
            rows = slice(i * d[0], i * d[0] + s[0] * (size[0] - 1) + 1, s[0])
            columns = slice(j * d[1], j * d[1] + s[1] * (size[1] - 1) + 1, s[1])
            yield i, j, padded[:, :, rows, columns]


def conv_by_taps(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    s, d, k, before, after, size = conv_setting(x, weight, stride, padding, dilation)
    padded, parts = framed(x, before, after), []
    for w, part in zip(weight.chunk(groups, 0), padded.chunk(groups, 1), strict=True):
        y = 0
        for i, j, picture in taps(part, s, d, k, size):
            y = y + torch.einsum("oc,ncpq->nopq", w[:, :, i, j], picture)
        parts.append(y)
    y = torch.cat(parts, 1)
    return y if bias is None else y + bias[:, None, None]


def conv_by_positions(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    s, d, k, before, after, size = conv_setting(x, weight, stride, padding, dilation)
    padded = framed(x, before, after)
    O, per = weight.shape[:2]
    y = x.new_zeros(len(x), O, *size)
    for p in range(size[0]):
        for q in range(size[1]):
            top, left = p * s[0], q * s[1]
            window = padded[
                :,
                :,
                top : top + d[0] * (k[0] - 1) + 1 : d[0],
                left : left + d[1] * (k[1] - 1) + 1 : d[1],
            ]
            for o in range(O):
                g = o // (O // groups)
                inside = window[:, g * per : (g + 1) * per]
                y[:, o, p, q] = (inside * weight[o]).sum((1, 2, 3))
    return y if bias is None else y + bias.view(1, -1, 1, 1)


def conv_by_unfold(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    s, d, k, before, after, _ = conv_setting(x, weight, stride, padding, dilation)
    padded = framed(x, before, after)
    view = padded.unfold(2, d[0] * (k[0] - 1) + 1, s[0]).unfold(3, d[1] * (k[1] - 1) + 1, s[1])
    view = view[..., :: d[0], :: d[1]]  # (N, C, P, Q, kH, kW)
    parts = [
        torch.einsum("ncpqij,ocij->nopq", v, w)
        for v, w in zip(view.chunk(groups, 1), weight.chunk(groups, 0), strict=True)
    ]
    y = torch.cat(parts, 1)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def conv_in_numpy(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    s, d, k, before, after, size = conv_setting(x, weight, stride, padding, dilation)
    (t, left), (b, r) = before, after
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (t, b), (left, r)))
    w, per, O = weight.numpy(), weight.shape[1], len(weight)
    y = np.zeros((len(x), O, *size), dtype=padded.dtype)
    for i, j, picture in taps(padded, s, d, k, size):
        for o in range(O):
            g = o // (O // groups)
            y[:, o] += np.tensordot(picture[:, g * per : (g + 1) * per], w[o, :, i, j], (1, 0))
    return torch.from_numpy(y if bias is None else y + bias.numpy()[:, None, None])


def conv_gradients(dy, x, weight, stride=1, padding=0, dilation=1, groups=1, order=1):
    """The three gradients tap by tap; order -1: the last tap first."""
    s, d, k, before, after, size = conv_setting(x, weight, stride, padding, dilation)
    padded = framed(x, before, after)
    dpadded, dw = torch.zeros_like(padded), torch.zeros_like(weight)
    per, out = weight.shape[1], len(weight) // groups
    for g in range(groups):
        c, o = slice(g * per, (g + 1) * per), slice(g * out, (g + 1) * out)
        seen = list(taps(padded[:, c], s, d, k, size))
        back = list(taps(dpadded[:, c], s, d, k, size))
        for (i, j, picture), (_, _, place) in list(zip(seen, back, strict=True))[::order]:
            dw[o, :, i, j] = torch.einsum("nopq,ncpq->oc", dy[:, o], picture)
            place += torch.einsum("nopq,oc->ncpq", dy[:, o], weight[o, :, i, j])
    H, W = x.shape[2:]
    dx = dpadded[:, :, before[0] : before[0] + H, before[1] : before[1] + W]
    return dx, dw, dy.sum((0, 2, 3))


def conv_gradients_by_positions(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    s, d, k, before, after, size = conv_setting(x, weight, stride, padding, dilation)
    padded = framed(x, before, after)
    dpadded, dw = torch.zeros_like(padded), torch.zeros_like(weight)
    per, out = weight.shape[1], len(weight) // groups
    for p in range(size[0]):
        for q in range(size[1]):
            rows = slice(p * s[0], p * s[0] + d[0] * (k[0] - 1) + 1, d[0])
            columns = slice(q * s[1], q * s[1] + d[1] * (k[1] - 1) + 1, d[1])
            for o in range(len(weight)):
                c = slice(o // out * per, (o // out + 1) * per)
                up = dy[:, o, p, q].view(-1, 1, 1, 1)
                dw[o] += (up * padded[:, c, rows, columns]).sum(0)
                dpadded[:, c, rows, columns] += up * weight[o]
    H, W = x.shape[2:]
    dx = dpadded[:, :, before[0] : before[0] + H, before[1] : before[1] + W].clone()
    return dx, dw, dy.sum(3).sum(2).sum(0)


def conv_gradients_in_numpy(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    s, d, k, before, after, size = conv_setting(x, weight, stride, padding, dilation)
    (t, left), (b, r) = before, after
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (t, b), (left, r)))
    up, w = dy.numpy(), weight.numpy()
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    per, out = weight.shape[1], len(weight) // groups
    for o in range(len(weight)):
        c = slice(o // out * per, (o // out + 1) * per)
        seen, back = taps(padded[:, c], s, d, k, size), taps(dpadded[:, c], s, d, k, size)
        for (i, j, picture), (_, _, place) in zip(seen, back, strict=True):
            dw[o, :, i, j] = np.tensordot(up[:, o], picture, ((0, 1, 2), (0, 2, 3)))
            place += up[:, o, None] * w[o, :, i, j][:, None, None]
    H, W = x.shape[2:]
    dx = dpadded[:, :, t : t + H, left : left + W]
    made = dx, dw, up.sum((0, 2, 3))
    return tuple(torch.from_numpy(np.ascontiguousarray(m)) for m in made)


# ---------------------------------------------------------------------------------- ConvTranspose2d
def up_size(x, weight, stride, padding, dilation, output_padding):
    s, p, d, e = (counts(n, least=0) for n in (stride, padding, dilation, output_padding))
    k = tuple(weight.shape[2:])
    full = [
        a * (n - 1) + f * (m - 1) + 1 + g
        for a, n, f, m, g in zip(s, x.shape[2:], d, k, e, strict=True)
    ]
    return s, p, d, k, full


def up_by_taps(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1, order=1
):
    s, p, d, k, full = up_size(x, weight, stride, padding, dilation, output_padding)
    parts = []
    for w, part in zip(weight.chunk(groups, 0), x.chunk(groups, 1), strict=True):
        y = x.new_zeros(len(x), w.shape[1], *full)
        for i, j, place in list(taps(y, s, d, k, x.shape[2:]))[::order]:
            place += torch.einsum("nopq,oc->ncpq", part, w[:, :, i, j])
        parts.append(y)
    y = torch.cat(parts, 1)
    y = y[:, :, p[0] : full[0] - p[0], p[1] : full[1] - p[1]]
    return y.clone() if bias is None else y + bias[:, None, None]


def up_stamp_by_stamp(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    s, p, d, k, full = up_size(x, weight, stride, padding, dilation, output_padding)
    per, inputs = weight.shape[1], x.shape[1] // groups
    y = x.new_zeros(len(x), per * groups, *full)
    for o in range(x.shape[1]):
        c = slice(o // inputs * per, (o // inputs + 1) * per)
        for a in range(x.shape[2]):
            for b in range(x.shape[3]):
                rows = slice(a * s[0], a * s[0] + d[0] * (k[0] - 1) + 1, d[0])
                columns = slice(b * s[1], b * s[1] + d[1] * (k[1] - 1) + 1, d[1])
                y[:, c, rows, columns] += x[:, o, a, b].view(-1, 1, 1, 1) * weight[o]
    y = y[:, :, p[0] : full[0] - p[0], p[1] : full[1] - p[1]].clone()
    return y if bias is None else y + bias.view(-1, 1, 1)


def up_as_a_convolution_of_zeros_between(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    s, p, d, k, full = up_size(x, weight, stride, padding, dilation, output_padding)
    apart = x.new_zeros(
        *x.shape[:2],
        full[0] - d[0] * (k[0] - 1),
        full[1] - d[1] * (k[1] - 1),
    )
    apart[:, :, :: s[0], :: s[1]][:, :, : x.shape[2], : x.shape[3]] = x
    edge = (d[0] * (k[0] - 1), d[1] * (k[1] - 1))
    turned = torch.cat([w.transpose(0, 1) for w in weight.flip(2, 3).chunk(groups, 0)], 0)
    y = conv_by_taps(framed(apart, edge, edge), turned, None, 1, 0, d, groups)
    y = y[:, :, p[0] : full[0] - p[0], p[1] : full[1] - p[1]].clone()
    return y if bias is None else y + bias.view(-1, 1, 1)


def up_gradients(dy, x, weight, stride=1, padding=0, groups=1, dilation=1, order=1):
    s, p, d, k, _ = up_size(x, weight, stride, padding, dilation, 0)
    needed = [
        max(b + n, a * (m - 1) + e * (t - 1) + 1)
        for n, b, a, m, e, t in zip(dy.shape[2:], p, s, x.shape[2:], d, k, strict=True)
    ]
    after = [n - m - b for n, m, b in zip(needed, dy.shape[2:], p, strict=True)]
    padded = framed(dy, p, after)
    dx, dw = torch.zeros_like(x), torch.zeros_like(weight)
    per, inputs = weight.shape[1], x.shape[1] // groups
    for g in range(groups):
        c, o = slice(g * per, (g + 1) * per), slice(g * inputs, (g + 1) * inputs)
        for i, j, picture in list(taps(padded[:, c], s, d, k, x.shape[2:]))[::order]:
            dx[:, o] += torch.einsum("ncpq,oc->nopq", picture, weight[o, :, i, j])
            dw[o, :, i, j] = torch.einsum("ncpq,nopq->oc", picture, x[:, o])
    return dx, dw, dy.sum((0, 2, 3))


def up_gradients_with_dx_as_a_convolution(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    _, dw, db = up_gradients(dy, x, weight, stride, padding, groups, dilation)
    dx = conv_by_taps(dy, weight, None, stride, padding, dilation, groups)
    return dx[:, :, : x.shape[2], : x.shape[3]].clone(), dw, db


def up_gradients_stamp_by_stamp(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    s, p, d, k, full = up_size(x, weight, stride, padding, dilation, 0)
    size = [max(f, n + b) for f, n, b in zip(full, dy.shape[2:], p, strict=True)]
    after = [n - m - b for n, m, b in zip(size, dy.shape[2:], p, strict=True)]
    padded = framed(dy, p, after)
    dx, dw = torch.zeros_like(x), torch.zeros_like(weight)
    per, inputs = weight.shape[1], x.shape[1] // groups
    for o in range(x.shape[1]):
        c = slice(o // inputs * per, (o // inputs + 1) * per)
        for a in range(x.shape[2]):
            for b in range(x.shape[3]):
                rows = slice(a * s[0], a * s[0] + d[0] * (k[0] - 1) + 1, d[0])
                columns = slice(b * s[1], b * s[1] + d[1] * (k[1] - 1) + 1, d[1])
                window = padded[:, c, rows, columns]
                dx[:, o, a, b] = (window * weight[o]).sum((1, 2, 3))
                dw[o] += (window * x[:, o, a, b].view(-1, 1, 1, 1)).sum(0)
    return dx, dw, dy.sum((0, 2, 3))


SOLUTIONS = {
    "conv2d_forward": {
        "taps": conv_by_taps,
        "positions": conv_by_positions,
        "unfold": conv_by_unfold,
        "numpy": conv_in_numpy,
        "float64": in_float64(conv_by_taps),
    },
    "conv2d_backward": {
        "taps": conv_gradients,
        "last tap first": partial(conv_gradients, order=-1),
        "positions": conv_gradients_by_positions,
        "numpy": conv_gradients_in_numpy,
        "float64": in_float64(conv_gradients),
    },
    "conv_transpose2d_forward": {
        "taps": up_by_taps,
        "last tap first": partial(up_by_taps, order=-1),
        "stamps": up_stamp_by_stamp,
        "convolution of zeros between": up_as_a_convolution_of_zeros_between,
        "float64": in_float64(up_by_taps),
    },
    "conv_transpose2d_backward": {
        "taps": up_gradients,
        "last tap first": partial(up_gradients, order=-1),
        "dx as a convolution": up_gradients_with_dx_as_a_convolution,
        "stamps": up_gradients_stamp_by_stamp,
        "float64": in_float64(up_gradients),
    },
}
