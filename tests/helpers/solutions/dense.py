"""Right solutions: Linear, activations and loss."""

import math

import numpy as np
import torch

from tests.helpers.solutions.common import in_float64


def rows_of(t):
    return t.flatten(0, -2)


# ---------------------------------------------------------------------------------- Linear
def linear_by_einsum(x, weight, bias=None):
    y = torch.einsum("...i,oi->...o", x, weight)
    return y if bias is None else y + bias


def linear_by_loops(x, weight, bias=None):
    y = x.new_zeros(*x.shape[:-1], weight.shape[0])
    for o in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            y[..., o] += x[..., i] * weight[o, i]
        if bias is not None:
            y[..., o] += bias[o]
    return y


def linear_backwards_order(x, weight, bias=None):
    y = x.flip(-1) @ weight.flip(1).T
    return y.clone() if bias is None else bias + y


def linear_in_numpy(x, weight, bias=None):
    y = np.matmul(x.numpy(), weight.numpy().T)
    return torch.from_numpy(np.ascontiguousarray(y if bias is None else y + bias.numpy()))


def linear_by_broadcasting(x, weight, bias=None):
    y = (x.unsqueeze(-2) * weight).sum(-1)
    return y if bias is None else y + bias


def linear_gradients_by_einsum(dy, x, weight):
    dx = torch.einsum("...o,oi->...i", dy, weight)
    return dx, torch.einsum("...o,...i->oi", dy, x), torch.einsum("...o->o", dy)


def linear_gradients_by_loops(dy, x, weight):
    rows, dys = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx, dweight = torch.zeros_like(rows), torch.zeros_like(weight)
    dbias = torch.zeros_like(weight[:, 0])
    for n in range(len(rows)):
        for o in range(len(weight)):
            dx[n] += dys[n, o] * weight[o]
            dweight[o] += dys[n, o] * rows[n]
            dbias[o] += dys[n, o]
    return dx.reshape(x.shape), dweight, dbias


def linear_gradients_by_sample(dy, x, weight):
    dx, dw, db = torch.zeros_like(x), torch.zeros_like(weight), weight.new_zeros(len(weight))
    flat = dx.reshape(-1, x.shape[-1])
    for n, (d, row) in enumerate(zip(rows_of(dy), rows_of(x), strict=True)):
        flat[n] = weight.T @ d
        dw += torch.outer(d, row)
        db += d
    return flat.reshape(x.shape), dw, db


def linear_gradients_in_numpy(dy, x, weight):
    d, r, w = rows_of(dy).numpy(), rows_of(x).numpy(), weight.numpy()
    made = [(d @ w).reshape(x.shape), (r.T @ d).T.copy(), d.sum(axis=0)]
    return tuple(torch.from_numpy(np.ascontiguousarray(m)) for m in made)


def linear_gradients_last_sample_first(dy, x, weight):
    d, r = rows_of(dy).flip(0), rows_of(x).flip(0)
    return (dy @ weight), d.mT @ r, d.sum(0)


def linear_gradients_by_tensordot(dy, x, weight):
    lead = list(range(dy.ndim - 1))
    dx = torch.tensordot(dy, weight, dims=([dy.ndim - 1], [0]))
    return [dx, torch.tensordot(dy, x, dims=(lead, lead)), dy.sum(lead)]


def linear_gradients_by_broadcasting(dy, x, weight):
    axes = tuple(range(dy.ndim - 1))
    dx = (dy[..., :, None] * weight).sum(-2)
    return dx, (dy[..., :, None] * x[..., None, :]).sum(axes), dy.sum(axes)


# ---------------------------------------------------------------------------------- activations
def relu_by_loop(x):
    y = torch.zeros_like(x, memory_format=torch.contiguous_format)
    flat, out = x.flatten(), y.view(-1)
    for i in range(len(flat)):
        if flat[i] > 0:
            out[i] = flat[i]
    return y


def relu_gradient_by_indexing(dy, y):
    dx = dy.clone()
    dx[y <= 0] = 0
    return dx


def tanh_by_exponentials(x):
    e = torch.exp(-2 * x)
    return (1 - e) / (1 + e)


def tanh_in_plain_python(x):
    return torch.tensor([math.tanh(v) for v in x.flatten().tolist()], dtype=x.dtype).view(x.shape)


def tanh_gradient_in_plain_python(dy, y):
    pairs = zip(dy.flatten().tolist(), y.flatten().tolist(), strict=True)
    return torch.tensor([d * (1 - v * v) for d, v in pairs], dtype=dy.dtype).reshape(dy.shape)


# ---------------------------------------------------------------------------------- loss
def mse_by_loop(p, t):
    total = torch.zeros((), dtype=p.dtype)
    for a, b in zip(p.flatten(), t.flatten(), strict=True):
        total = total + (a - b) ** 2
    return total / p.numel()


def mse_gradient_in_steps(p, t):
    dprediction = p.clone()
    dprediction -= t
    dprediction *= 2
    dprediction /= p.numel()
    return dprediction


SOLUTIONS = {
    "linear_forward": {
        "einsum": linear_by_einsum,
        "loops": linear_by_loops,
        "reversed": linear_backwards_order,
        "numpy": linear_in_numpy,
        "broadcasting": linear_by_broadcasting,
        "float64": in_float64(linear_by_einsum),
    },
    "linear_backward": {
        "einsum": linear_gradients_by_einsum,
        "loops": linear_gradients_by_loops,
        "samples": linear_gradients_by_sample,
        "numpy": linear_gradients_in_numpy,
        "reversed": linear_gradients_last_sample_first,
        "tensordot, a list": linear_gradients_by_tensordot,
        "broadcasting": linear_gradients_by_broadcasting,
    },
    "relu_forward": {
        "mask": lambda x: x * (x > 0),
        "where": lambda x: torch.where(x > 0, x, torch.zeros_like(x)),
        "half of both": lambda x: (x + x.abs()) / 2,
        "numpy": lambda x: torch.from_numpy(np.maximum(x.numpy(), 0)),
        "maximum": lambda x: torch.maximum(x, x.new_zeros(())),
        "masked_fill": lambda x: x.masked_fill(x < 0, 0),
        "loops": relu_by_loop,
    },
    "relu_backward": {
        "mask": lambda dy, y: dy * (y > 0),
        "where": lambda dy, y: torch.where(y > 0, dy, torch.zeros_like(dy)),
        "masked_fill": lambda dy, y: dy.masked_fill(y <= 0, 0),
        "numpy": lambda dy, y: torch.from_numpy(dy.numpy() * (y.numpy() > 0)),
        "not zero": lambda dy, y: dy * (y != 0).to(dy.dtype),
        "indexing": relu_gradient_by_indexing,
    },
    "tanh_forward": {
        "exponentials": tanh_by_exponentials,
        "sigmoid": lambda x: 2 / (1 + torch.exp(-2 * x)) - 1,
        "numpy": lambda x: torch.from_numpy(np.tanh(x.numpy())),
        "plain Python": tanh_in_plain_python,
        "sinh and cosh": lambda x: torch.sinh(x) / torch.cosh(x),
    },
    "tanh_backward": {
        "difference": lambda dy, y: dy - dy * y**2,
        "factors": lambda dy, y: dy * (1 - y) * (1 + y),
        "numpy": lambda dy, y: torch.from_numpy(dy.numpy() * (1 - np.square(y.numpy()))),
        "addcmul": lambda dy, y: torch.addcmul(dy, dy * y, y, value=-1),
        "float64": in_float64(lambda dy, y: dy * (1 - y.square())),
        "plain Python": tanh_gradient_in_plain_python,
    },
    "mse_forward": {
        "sum": lambda p, t: ((p - t) ** 2).sum() / p.numel(),
        "samples": lambda p, t: torch.stack(
            [(a - b).square().mean() for a, b in zip(p, t, strict=True)]
        ).mean(),
        "numpy": lambda p, t: torch.tensor(np.mean((p.numpy() - t.numpy()) ** 2), dtype=p.dtype),
        "dot product": lambda p, t: torch.dot((p - t).flatten(), (p - t).flatten()) / p.numel(),
        "expanded": lambda p, t: (p * p - 2 * p * t + t * t).mean(),
        "loops": mse_by_loop,
    },
    "mse_backward": {
        "formula": lambda p, t: 2 * (p - t) / p.numel(),
        "divided first": lambda p, t: (p - t).div(p.numel()).mul(2),
        "numpy": lambda p, t: torch.from_numpy(2 / p.numel() * (p.numpy() - t.numpy())),
        "target first": lambda p, t: -(t - p) * 2 / math.prod(p.shape),
        "samples": lambda p, t: torch.stack(
            [(a - b) * 2 / p.numel() for a, b in zip(p, t, strict=True)]
        ),
        "steps in place": mse_gradient_in_steps,
    },
}
