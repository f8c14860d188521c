"""Right solutions as other people write them: loops, einsum, numpy, other orders, helpers, lower precision.

{task: functions}, five or more each. None of them is the library's own with another name.
"""

import math

import numpy as np
import torch

from scratchae.layers.geometry import counts, padding_of

SOLUTIONS: dict[str, list] = {}


def solves(name):
    def enter(function):
        SOLUTIONS.setdefault(name, []).append(function)
        return function

    return enter


# ---------------------------------------------------------------------------------- Linear
@solves("linear_forward")
def linear_by_einsum(x, weight, bias=None):
    y = torch.einsum("...i,oi->...o", x, weight)
    return y if bias is None else y + bias


@solves("linear_forward")
def linear_by_loops(x, weight, bias=None):
    y = x.new_zeros(*x.shape[:-1], weight.shape[0])
    for o in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            y[..., o] += x[..., i] * weight[o, i]
        if bias is not None:
            y[..., o] += bias[o]
    return y


@solves("linear_forward")
def linear_backwards_order(x, weight, bias=None):
    y = x.flip(-1) @ weight.flip(1).T
    return y.clone() if bias is None else bias + y


@solves("linear_forward")
def linear_in_numpy(x, weight, bias=None):
    y = np.matmul(x.numpy(), weight.numpy().T)
    return torch.from_numpy(np.ascontiguousarray(y if bias is None else y + bias.numpy()))


@solves("linear_forward")
def linear_by_broadcasting(x, weight, bias=None):
    y = (x.unsqueeze(-2) * weight).sum(-1)
    return y if bias is None else y + bias


@solves("linear_forward")
def linear_in_double(x, weight, bias=None):
    y = x.double().matmul(weight.double().mT)
    return (y if bias is None else y + bias.double()).to(x.dtype)


def rows_of(t):
    return t.flatten(0, -2)


@solves("linear_backward")
def linear_gradients_by_einsum(dy, x, weight):
    dyr, xr = rows_of(dy), rows_of(x)
    return (
        torch.einsum("...o,oi->...i", dy, weight),
        torch.einsum("no,ni->oi", dyr, xr),
        torch.einsum("no->o", dyr),
    )


@solves("linear_backward")
def linear_gradients_by_sample(dy, x, weight):
    dx, dw, db = torch.zeros_like(x), torch.zeros_like(weight), weight.new_zeros(len(weight))
    flat = dx.reshape(-1, x.shape[-1])
    for n, (d, row) in enumerate(zip(rows_of(dy), rows_of(x), strict=True)):
        flat[n] = weight.T @ d
        dw += torch.outer(d, row)
        db += d
    return flat.reshape(x.shape), dw, db


@solves("linear_backward")
def linear_gradients_in_numpy(dy, x, weight):
    d, r, w = rows_of(dy).numpy(), rows_of(x).numpy(), weight.numpy()
    made = [(d @ w).reshape(x.shape), (r.T @ d).T.copy(), d.sum(axis=0)]
    return tuple(torch.from_numpy(np.ascontiguousarray(m)) for m in made)


@solves("linear_backward")
def linear_gradients_last_sample_first(dy, x, weight):
    d, r = rows_of(dy).flip(0), rows_of(x).flip(0)
    return (dy @ weight), d.mT @ r, d.sum(0)


@solves("linear_backward")
def linear_gradients_by_tensordot(dy, x, weight):
    lead = list(range(dy.ndim - 1))
    dx = torch.tensordot(dy, weight, dims=([dy.ndim - 1], [0]))
    return [dx, torch.tensordot(dy, x, dims=(lead, lead)), dy.sum(lead)]


# ---------------------------------------------------------------------------------- activations
SOLUTIONS["relu_forward"] = [
    lambda x: x * (x > 0),
    lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
    lambda x: (x + x.abs()) / 2,
    lambda x: torch.from_numpy(np.maximum(x.numpy(), 0)),
    lambda x: torch.maximum(x, x.new_zeros(())),
    lambda x: x.masked_fill(x < 0, 0),
]
SOLUTIONS["relu_backward"] = [
    lambda dy, y: dy * (y > 0),
    lambda dy, y: torch.where(y > 0, dy, torch.zeros_like(dy)),
    lambda dy, y: dy.masked_fill(y <= 0, 0),
    lambda dy, y: torch.from_numpy(dy.numpy() * (y.numpy() > 0)),
    lambda dy, y: dy * (y != 0).to(dy.dtype),
]
SOLUTIONS["tanh_forward"] = [
    lambda x: (torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x)),
    lambda x: 2 / (1 + torch.exp(-2 * x)) - 1,
    lambda x: torch.from_numpy(np.tanh(x.numpy())),
    lambda x: torch.tensor([math.tanh(v) for v in x.flatten().tolist()], dtype=x.dtype).view(
        x.shape
    ),
    lambda x: torch.sinh(x) / torch.cosh(x),
]
SOLUTIONS["tanh_backward"] = [
    lambda dy, y: dy - dy * y**2,
    lambda dy, y: dy * (1 - y) * (1 + y),
    lambda dy, y: torch.from_numpy(dy.numpy() * (1 - np.square(y.numpy()))),
    lambda dy, y: torch.addcmul(dy, dy * y, y, value=-1),
    lambda dy, y: (dy.double() * (1 - y.double().square())).to(dy.dtype),
]

# ---------------------------------------------------------------------------------- loss
SOLUTIONS["mse_forward"] = [
    lambda p, t: ((p - t) ** 2).sum() / p.numel(),
    lambda p, t: torch.stack([(a - b).square().mean() for a, b in zip(p, t, strict=True)]).mean(),
    lambda p, t: torch.tensor(np.mean((p.numpy() - t.numpy()) ** 2), dtype=p.dtype),
    lambda p, t: torch.dot((p - t).flatten(), (p - t).flatten()) / p.numel(),
    lambda p, t: (p * p - 2 * p * t + t * t).mean(),
]
SOLUTIONS["mse_backward"] = [
    lambda p, t: 2 * (p - t) / p.numel(),
    lambda p, t: (p - t).div(p.numel()).mul(2),
    lambda p, t: torch.from_numpy(2 / p.numel() * (p.numpy() - t.numpy())),
    lambda p, t: -(t - p) * 2 / math.prod(p.shape),
    lambda p, t: torch.stack([(a - b) * 2 / p.numel() for a, b in zip(p, t, strict=True)]),
]


# ---------------------------------------------------------------------------------- Adam
def averages(value, grad, m, v, betas, decay):
    g = grad + decay * value
    m.copy_(betas[0] * m + (1 - betas[0]) * g)
    v.copy_(betas[1] * v + (1 - betas[1]) * g * g)


@solves("adam_update")
def adam_with_hats(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    averages(value, grad, m, v, betas, wd)
    second = v
    if largest is not None:
        largest.copy_(torch.max(largest, v))
        second = largest
    mhat, vhat = m / (1 - betas[0] ** t), second / (1 - betas[1] ** t)
    value -= lr * mhat / (vhat.sqrt() + eps)


@solves("adam_update")
def adam_number_by_number(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    for i in range(len(value)):
        g = grad[i] + wd * value[i]
        m[i] = betas[0] * m[i] + (1 - betas[0]) * g
        v[i] = betas[1] * v[i] + (1 - betas[1]) * g**2
        second = v[i]
        if largest is not None:
            largest[i] = max(largest[i], v[i])
            second = largest[i]
        step = m[i] / (1 - betas[0] ** t) / ((second / (1 - betas[1] ** t)) ** 0.5 + eps)
        value[i] = value[i] - lr * step


@solves("adam_update")
def adam_with_one_step_size(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    averages(value, grad, m, v, betas, wd)
    if largest is not None:
        torch.maximum(largest, v, out=largest)
    second = largest if largest is not None else v
    c = math.sqrt(1 - betas[1] ** t)
    value.sub_(lr * c / (1 - betas[0] ** t) * m / (second.sqrt() + eps * c))


@solves("adam_update")
def adam_in_numpy(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    a, g, m_, v_ = (t_.numpy() for t_ in (value, grad, m, v))  # views: edits show in the tensors
    g = g + wd * a
    m_[:] = betas[0] * m_ + (1 - betas[0]) * g
    v_[:] = betas[1] * v_ + (1 - betas[1]) * g**2
    second = v_
    if largest is not None:
        second = largest.numpy()
        np.maximum(second, v_, out=second)
    a -= lr * (m_ / (1 - betas[0] ** t)) / (np.sqrt(second / (1 - betas[1] ** t)) + eps)


@solves("adam_update")
def adam_in_double(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    wide = [x if x is None else x.double() for x in (value, grad, m, v, largest)]
    wide = [x if x is None else x.clone() for x in wide]
    adam_with_hats(*wide[:4], t, lr, betas, eps, wd, wide[4])
    for tensor, new in zip((value, m, v, largest), (wide[0], *wide[2:]), strict=True):
        if tensor is not None:
            tensor.copy_(new)


# ---------------------------------------------------------------------------------- training step
@solves("train_step")
def step_by_hand(model, optimizer, x):
    model.zero_grad()
    y = model(x)
    difference = y - x
    model.backward(2 * difference / difference.numel())
    optimizer.step()
    return difference.square().mean()


@solves("train_step")
def step_with_the_gradients_emptied_late(model, optimizer, x):
    y = model.forward(x)
    optimizer.zero_grad()
    model.backward((y - x) * (2 / x.numel()))
    loss = ((y - x) ** 2).sum() / x.numel()
    optimizer.step()
    return loss


@solves("train_step")
def step_with_a_loss_object(model, optimizer, x):
    from scratchae.losses import MSELoss

    loss = MSELoss()
    optimizer.zero_grad()
    value = loss(model.forward(x), x)
    model.backward(loss.backward())
    optimizer.step()
    return value


@solves("train_step")
def step_layer_by_layer(model, optimizer, x):
    optimizer.zero_grad()
    y = x
    for layer in model:
        y = layer.forward(y)
    dy = (y - x).mul(2).div(x.numel())
    for layer in reversed(list(model)):
        dy = layer.backward(dy)
    optimizer.step()
    return (y - x).square().mean()


@solves("train_step")
def step_that_gives_a_number(model, optimizer, x):
    for parameter in model.parameters():
        parameter.grad.zero_()
    y = model(x)
    loss = float(((y - x) ** 2).mean())
    model.backward(2 * (y - x) / y.numel())
    optimizer.step()
    return torch.tensor(loss, dtype=x.dtype)


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


def conv_by_taps(
    x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, spec="oc,ncpq->nopq"
):
    s, d, k, before, after, size = conv_setting(x, weight, stride, padding, dilation)
    padded, parts = framed(x, before, after), []
    for w, part in zip(weight.chunk(groups, 0), padded.chunk(groups, 1), strict=True):
        y = 0
        for i, j, picture in taps(part, s, d, k, size):
            y = y + torch.einsum(spec, w[:, :, i, j], picture)
        parts.append(y)
    y = torch.cat(parts, 1)
    return y if bias is None else y + bias[:, None, None]


@solves("conv2d_forward")
def conv_one_tap_at_a_time(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return conv_by_taps(x, weight, bias, stride, padding, dilation, groups)


@solves("conv2d_forward")
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


@solves("conv2d_forward")
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


@solves("conv2d_forward")
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


@solves("conv2d_forward")
def conv_in_double_backwards(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    wide = conv_by_taps(x.double(), weight.double(), None, stride, padding, dilation, groups)
    wide = wide if bias is None else wide + bias.double().view(-1, 1, 1)
    return wide.to(x.dtype)


def conv_gradients(dy, x, weight, stride=1, padding=0, dilation=1, groups=1, order=1, dtype=None):
    """The three gradients tap by tap; order -1: the last tap first."""
    given, (dy, x, weight) = x.dtype, (t.to(dtype or t.dtype) for t in (dy, x, weight))
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
    return tuple(t.to(given) for t in (dx, dw, dy.sum((0, 2, 3))))


@solves("conv2d_backward")
def conv_gradients_by_taps(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    return conv_gradients(dy, x, weight, stride, padding, dilation, groups)


@solves("conv2d_backward")
def conv_gradients_last_tap_first(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    return conv_gradients(dy, x, weight, stride, padding, dilation, groups, order=-1)


@solves("conv2d_backward")
def conv_gradients_in_double(dy, x, weight, stride=1, padding=0, dilation=1, groups=1):
    return conv_gradients(dy, x, weight, stride, padding, dilation, groups, dtype=torch.float64)


@solves("conv2d_backward")
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


@solves("conv2d_backward")
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
    x, weight, bias, stride, padding, output_padding, groups, dilation, dtype=None, order=1
):
    given, (x, weight) = x.dtype, (t.to(dtype or t.dtype) for t in (x, weight))
    s, p, d, k, full = up_size(x, weight, stride, padding, dilation, output_padding)
    parts = []
    for w, part in zip(weight.chunk(groups, 0), x.chunk(groups, 1), strict=True):
        y = x.new_zeros(len(x), w.shape[1], *full)
        for i, j, place in list(taps(y, s, d, k, x.shape[2:]))[::order]:
            place += torch.einsum("nopq,oc->ncpq", part, w[:, :, i, j])
        parts.append(y)
    y = torch.cat(parts, 1)
    y = y[:, :, p[0] : full[0] - p[0], p[1] : full[1] - p[1]]
    y = y if bias is None else y + bias.to(y.dtype)[:, None, None]
    return y.to(given)


@solves("conv_transpose2d_forward")
def up_one_tap_at_a_time(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return up_by_taps(x, weight, bias, stride, padding, output_padding, groups, dilation)


@solves("conv_transpose2d_forward")
def up_last_tap_first(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    return up_by_taps(x, weight, bias, stride, padding, output_padding, groups, dilation, order=-1)


@solves("conv_transpose2d_forward")
def up_in_double(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    return up_by_taps(
        x,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        dtype=torch.float64,
    )


@solves("conv_transpose2d_forward")
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


@solves("conv_transpose2d_forward")
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


def up_gradients(dy, x, weight, stride, padding, groups, dilation, order=1, dtype=None):
    given, (dy, x, weight) = x.dtype, (t.to(dtype or t.dtype) for t in (dy, x, weight))
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
    return tuple(t.to(given) for t in (dx, dw, dy.sum((0, 2, 3))))


@solves("conv_transpose2d_backward")
def up_gradients_by_taps(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    return up_gradients(dy, x, weight, stride, padding, groups, dilation)


@solves("conv_transpose2d_backward")
def up_gradients_last_tap_first(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    return up_gradients(dy, x, weight, stride, padding, groups, dilation, order=-1)


@solves("conv_transpose2d_backward")
def up_gradients_in_double(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    return up_gradients(dy, x, weight, stride, padding, groups, dilation, dtype=torch.float64)


@solves("conv_transpose2d_backward")
def up_gradients_with_dx_as_a_convolution(dy, x, weight, stride=1, padding=0, groups=1, dilation=1):
    _, dw, db = up_gradients(dy, x, weight, stride, padding, groups, dilation)
    dx = conv_by_taps(dy, weight, None, stride, padding, dilation, groups)
    return dx[:, :, : x.shape[2], : x.shape[3]].clone(), dw, db


@solves("conv_transpose2d_backward")
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


# ---------------------------------------------------------------------------------- BatchNorm
def channels_first(x):
    """(C, m) of x (N, C, ...)."""
    return x.transpose(0, 1).flatten(1)


def beside(v, x):
    return v.reshape(1, -1, *[1] * (x.ndim - 2))


@solves("batchnorm_forward")
def normed_by_var_mean(x, weight, bias, eps=1e-5):
    axes = [a for a in range(x.ndim) if a != 1]
    var, mean = torch.var_mean(x, axes, correction=0)
    xhat = (x - beside(mean, x)) / (beside(var, x) + eps).sqrt()
    return beside(weight, x) * xhat + beside(bias, x), xhat, mean, var


@solves("batchnorm_forward")
def normed_channel_by_channel(x, weight, bias, eps=1e-5):
    y, xhat = torch.zeros_like(x), torch.zeros_like(x)
    means, variances = [], []
    for c in range(x.shape[1]):
        values = x[:, c]
        mean = values.sum() / values.numel()
        var = ((values - mean) ** 2).sum() / values.numel()
        xhat[:, c] = (values - mean) / (var + eps) ** 0.5
        y[:, c] = weight[c] * xhat[:, c] + bias[c]
        means.append(mean)
        variances.append(var)
    return y, xhat, torch.stack(means), torch.stack(variances)


@solves("batchnorm_forward")
def normed_in_numpy(x, weight, bias, eps=1e-5):
    a = x.numpy()
    axes = tuple(i for i in range(a.ndim) if i != 1)
    mean, var = a.mean(axes), a.var(axes)
    shape = (1, -1, *[1] * (a.ndim - 2))
    xhat = (a - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    y = weight.numpy().reshape(shape) * xhat + bias.numpy().reshape(shape)
    made = [m.astype(a.dtype) for m in (y, xhat, mean, var)]
    return tuple(torch.from_numpy(np.ascontiguousarray(m)) for m in made)


@solves("batchnorm_forward")
def normed_as_a_matrix(x, weight, bias, eps=1e-5):
    rows = channels_first(x)
    mean = rows.mean(1)
    var = rows.var(1, correction=0)
    xhat = (x - beside(mean, x)) * beside((var + eps) ** -0.5, x)
    return xhat * beside(weight, x) + beside(bias, x), xhat, mean, var


@solves("batchnorm_forward")
def normed_in_double(x, weight, bias, eps=1e-5):
    made = normed_by_var_mean(x.double(), weight.double(), bias.double(), eps)
    return tuple(t.to(x.dtype) for t in made)


@solves("batchnorm_backward")
def norm_gradients_on_three_ways(dy, xhat, weight, var, eps=1e-5):
    axes = [a for a in range(dy.ndim) if a != 1]
    m, s = dy.numel() // dy.shape[1], beside((var + eps).sqrt(), dy)
    dxhat = dy * beside(weight, dy)
    centred = xhat * s
    dvar = (-dxhat * xhat / (2 * s**2)).sum(axes)
    dmean = (-dxhat / s).sum(axes)
    dx = dxhat / s + beside(dvar, dy) * 2 * centred / m + beside(dmean, dy) / m
    return dx, (dy * xhat).sum(axes), dy.sum(axes)


@solves("batchnorm_backward")
def norm_gradients_by_means(dy, xhat, weight, var, eps=1e-5):
    axes = [a for a in range(dy.ndim) if a != 1]
    d = dy * beside(weight, dy)
    inner = d - d.mean(axes, keepdim=True) - xhat * (d * xhat).mean(axes, keepdim=True)
    return inner / beside((var + eps).sqrt(), dy), (dy * xhat).sum(axes), dy.sum(axes)


@solves("batchnorm_backward")
def norm_gradients_channel_by_channel(dy, xhat, weight, var, eps=1e-5):
    dx, dw, db = torch.zeros_like(dy), torch.zeros_like(var), torch.zeros_like(var)
    for c in range(dy.shape[1]):
        d, h = dy[:, c], xhat[:, c]
        dw[c], db[c] = (d * h).sum(), d.sum()
        dx[:, c] = weight[c] / (var[c] + eps) ** 0.5 * (d - d.mean() - h * (d * h).mean())
    return dx, dw, db


@solves("batchnorm_backward")
def norm_gradients_in_numpy(dy, xhat, weight, var, eps=1e-5):
    d, h = dy.numpy(), xhat.numpy()
    axes, shape = tuple(i for i in range(d.ndim) if i != 1), (1, -1, *[1] * (d.ndim - 2))
    dw, db, m = (d * h).sum(axes), d.sum(axes), d.size // d.shape[1]
    scale = (weight.numpy() / np.sqrt(var.numpy() + eps)).reshape(shape)
    dx = scale * (d - db.reshape(shape) / m - h * dw.reshape(shape) / m)
    return tuple(torch.from_numpy(np.ascontiguousarray(a.astype(d.dtype))) for a in (dx, dw, db))


@solves("batchnorm_backward")
def norm_gradients_as_a_projection(dy, xhat, weight, var, eps=1e-5):
    d, h = channels_first(dy), channels_first(xhat)  # (C, m)
    m = d.shape[1]
    projected = d - d.sum(1, keepdim=True) / m - h * (d * h).sum(1, keepdim=True) / m
    rows = projected * (weight * (var + eps).rsqrt())[:, None]
    dx = rows.reshape(dy.shape[1], dy.shape[0], *dy.shape[2:]).transpose(0, 1).contiguous()
    return dx, (d * h).sum(1), d.sum(1)


def moved(old, new, momentum):
    return old + momentum * (new - old)


SOLUTIONS["running_statistics"] = [
    lambda rm, rv, mean, var, m, momentum=0.1: (
        moved(rm, mean, momentum),
        moved(rv, var * m / (m - 1), momentum),
    ),
    lambda rm, rv, mean, var, m, momentum=0.1: (
        torch.lerp(rm, mean, momentum),
        torch.lerp(rv, var / (1 - 1 / m), momentum),
    ),
    lambda rm, rv, mean, var, m, momentum=0.1: (
        momentum * mean + (1 - momentum) * rm,
        momentum * m * var / (m - 1) + (1 - momentum) * rv,
    ),
    lambda rm, rv, mean, var, m, momentum=0.1: tuple(
        torch.from_numpy((1 - momentum) * a.numpy() + momentum * b.numpy())
        for a, b in ((rm, mean), (rv, var * (m / (m - 1))))
    ),
    lambda rm, rv, mean, var, m, momentum=0.1: tuple(
        torch.stack([(1 - momentum) * a + momentum * b for a, b in zip(x, y, strict=True)])
        for x, y in ((rm, mean), (rv, var * m / (m - 1)))
    ),
]
