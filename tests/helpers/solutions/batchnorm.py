"""Right solutions: BatchNorm and its running statistics."""

import numpy as np
import torch

from tests.helpers.solutions.common import in_float64


def channels_first(x):
    """(C, m) of x (N, C, ...)."""
    return x.transpose(0, 1).flatten(1)


def beside(v, x):
    return v.reshape(1, -1, *[1] * (x.ndim - 2))


def normed_by_var_mean(x, weight, bias, eps=1e-5):
    axes = [a for a in range(x.ndim) if a != 1]
    var, mean = torch.var_mean(x, axes, correction=0)
    xhat = (x - beside(mean, x)) / (beside(var, x) + eps).sqrt()
    return beside(weight, x) * xhat + beside(bias, x), xhat, mean, var


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


def normed_in_numpy(x, weight, bias, eps=1e-5):
    a = x.numpy()
    axes = tuple(i for i in range(a.ndim) if i != 1)
    mean, var = a.mean(axes), a.var(axes)
    shape = (1, -1, *[1] * (a.ndim - 2))
    xhat = (a - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    y = weight.numpy().reshape(shape) * xhat + bias.numpy().reshape(shape)
    made = [m.astype(a.dtype) for m in (y, xhat, mean, var)]
    return tuple(torch.from_numpy(np.ascontiguousarray(m)) for m in made)


def normed_as_a_matrix(x, weight, bias, eps=1e-5):
    rows = channels_first(x)
    mean = rows.mean(1)
    var = rows.var(1, correction=0)
    xhat = (x - beside(mean, x)) * beside((var + eps) ** -0.5, x)
    return xhat * beside(weight, x) + beside(bias, x), xhat, mean, var


def norm_gradients_on_three_ways(dy, xhat, weight, var, eps=1e-5):
    axes = [a for a in range(dy.ndim) if a != 1]
    m, s = dy.numel() // dy.shape[1], beside((var + eps).sqrt(), dy)
    dxhat = dy * beside(weight, dy)
    centred = xhat * s
    dvar = (-dxhat * xhat / (2 * s**2)).sum(axes)
    dmean = (-dxhat / s).sum(axes)
    dx = dxhat / s + beside(dvar, dy) * 2 * centred / m + beside(dmean, dy) / m
    return dx, (dy * xhat).sum(axes), dy.sum(axes)


def norm_gradients_by_means(dy, xhat, weight, var, eps=1e-5):
    axes = [a for a in range(dy.ndim) if a != 1]
    d = dy * beside(weight, dy)
    inner = d - d.mean(axes, keepdim=True) - xhat * (d * xhat).mean(axes, keepdim=True)
    return inner / beside((var + eps).sqrt(), dy), (dy * xhat).sum(axes), dy.sum(axes)


def norm_gradients_channel_by_channel(dy, xhat, weight, var, eps=1e-5):
    dx, dw, db = torch.zeros_like(dy), torch.zeros_like(var), torch.zeros_like(var)
    for c in range(dy.shape[1]):
        d, h = dy[:, c], xhat[:, c]
        dw[c], db[c] = (d * h).sum(), d.sum()
        dx[:, c] = weight[c] / (var[c] + eps) ** 0.5 * (d - d.mean() - h * (d * h).mean())
    return dx, dw, db


def norm_gradients_in_numpy(dy, xhat, weight, var, eps=1e-5):
    d, h = dy.numpy(), xhat.numpy()
    axes, shape = tuple(i for i in range(d.ndim) if i != 1), (1, -1, *[1] * (d.ndim - 2))
    dw, db, m = (d * h).sum(axes), d.sum(axes), d.size // d.shape[1]
    scale = (weight.numpy() / np.sqrt(var.numpy() + eps)).reshape(shape)
    dx = scale * (d - db.reshape(shape) / m - h * dw.reshape(shape) / m)
    return tuple(torch.from_numpy(np.ascontiguousarray(a.astype(d.dtype))) for a in (dx, dw, db))


def norm_gradients_as_a_projection(dy, xhat, weight, var, eps=1e-5):
    d, h = channels_first(dy), channels_first(xhat)  # (C, m)
    m = d.shape[1]
    projected = d - d.sum(1, keepdim=True) / m - h * (d * h).sum(1, keepdim=True) / m
    rows = projected * (weight * (var + eps).rsqrt())[:, None]
    dx = rows.reshape(dy.shape[1], dy.shape[0], *dy.shape[2:]).transpose(0, 1).contiguous()
    return dx, (d * h).sum(1), d.sum(1)


def moved(old, new, momentum):
    return old + momentum * (new - old)


SOLUTIONS = {
    "batchnorm_forward": {
        "var_mean": normed_by_var_mean,
        "channels": normed_channel_by_channel,
        "numpy": normed_in_numpy,
        "matrix": normed_as_a_matrix,
        "float64": in_float64(normed_by_var_mean),
    },
    "batchnorm_backward": {
        "three paths": norm_gradients_on_three_ways,
        "means": norm_gradients_by_means,
        "channels": norm_gradients_channel_by_channel,
        "numpy": norm_gradients_in_numpy,
        "projection": norm_gradients_as_a_projection,
    },
    "running_statistics": {
        "steps": lambda rm, rv, mean, var, m, momentum=0.1: (
            moved(rm, mean, momentum),
            moved(rv, var * m / (m - 1), momentum),
        ),
        "lerp": lambda rm, rv, mean, var, m, momentum=0.1: (
            torch.lerp(rm, mean, momentum),
            torch.lerp(rv, var / (1 - 1 / m), momentum),
        ),
        "shares": lambda rm, rv, mean, var, m, momentum=0.1: (
            momentum * mean + (1 - momentum) * rm,
            momentum * m * var / (m - 1) + (1 - momentum) * rv,
        ),
        "numpy": lambda rm, rv, mean, var, m, momentum=0.1: tuple(
            torch.from_numpy((1 - momentum) * a.numpy() + momentum * b.numpy())
            for a, b in ((rm, mean), (rv, var * (m / (m - 1))))
        ),
        "channels": lambda rm, rv, mean, var, m, momentum=0.1: tuple(
            torch.stack([(1 - momentum) * a + momentum * b for a, b in zip(x, y, strict=True)])
            for x, y in ((rm, mean), (rv, var * m / (m - 1)))
        ),
    },
}
