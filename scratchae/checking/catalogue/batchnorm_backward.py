"""Mistakes of BatchNorm, backward: dx. Those of dweight and dbias are in batchnorm_parameters.py."""

from __future__ import annotations

from functools import partial

from scratchae.checking.mistake import mistake
from scratchae.layers.batchnorm import batchnorm_backward, per_channel

wrong_backward = partial(mistake, "batchnorm_backward", chapter=7)


def combined(dy, xhat, weight, var, eps, direct=1.0, mean=1.0, spread=1.0):
    """The right dweight and dbias, and dx with each of its three parts times a factor."""
    _, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    m = dy.numel() // dy.shape[1]
    scale = (var + eps).rsqrt() if weight is None else weight * (var + eps).rsqrt()
    dx = direct * dy - mean * per_channel(dbias / m, dy)
    dx = dx - spread * xhat * per_channel(dweight / m, dy)
    return dx * per_channel(scale, dy), dweight, dbias


def rescaled(dy, xhat, weight, var, eps, factor):
    """The right gradients, but dx times factor (C,)."""
    dx, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx * per_channel(factor, dx), dweight, dbias


@wrong_backward(
    "dx = weight·dy / √(σ² + ε) takes μ and σ² for constants: both depend on x, so take mean(dy) and "
    "x̂·mean(dy·x̂) off dy first."
)
def statistics_as_constants(dy, xhat, weight, var, eps=1e-5):
    return combined(dy, xhat, weight, var, eps, mean=0, spread=0)


@wrong_backward(
    "dx knows that μ depends on x but not that σ² does: the term x̂·mean(dy·x̂) is still to be taken "
    "off dy."
)
def variance_path_missing(dy, xhat, weight, var, eps=1e-5):
    return combined(dy, xhat, weight, var, eps, spread=0)


@wrong_backward(
    "dx knows that σ² depends on x but not that μ does: the term mean(dy) of each channel is still "
    "to be taken off dy."
)
def mean_path_missing(dy, xhat, weight, var, eps=1e-5):
    return combined(dy, xhat, weight, var, eps, mean=0)


@wrong_backward(
    "dx holds the ways through μ and σ² but not the direct one through x̂: dy itself is missing in "
    "weight / s·(dy − mean(dy) − x̂·mean(dy·x̂))."
)
def direct_path_missing(dy, xhat, weight, var, eps=1e-5):
    return combined(dy, xhat, weight, var, eps, direct=0)


@wrong_backward(
    "The part of dx that comes through σ² is twice too large: the root gives a factor 1/2, "
    "dσ² = −Σ dx̂·x̂ / (2 s²)."
)
def variance_path_doubled(dy, xhat, weight, var, eps=1e-5):
    return combined(dy, xhat, weight, var, eps, spread=2)


@wrong_backward(
    "The part of dx that comes through σ² is half of what it should be: the square gives a factor "
    "2, ∂σ²/∂x = 2 (x − μ) / m."
)
def variance_path_halved(dy, xhat, weight, var, eps=1e-5):
    return combined(dy, xhat, weight, var, eps, spread=0.5)


@wrong_backward(
    "The part of dx that comes through σ² has the wrong sign: x̂·mean(dy·x̂) is taken off dy, not "
    "added."
)
def variance_path_added(dy, xhat, weight, var, eps=1e-5):
    return combined(dy, xhat, weight, var, eps, spread=-1)


@wrong_backward(
    "The part of dx that comes through μ has the wrong sign: mean(dy) is taken off dy, not added."
)
def mean_path_added(dy, xhat, weight, var, eps=1e-5):
    return combined(dy, xhat, weight, var, eps, mean=-1)


@wrong_backward(
    "In dx the mean of dy·x̂ is taken off as it is: it has to be multiplied by x̂ once more, "
    "dy − mean(dy) − x̂·mean(dy·x̂)."
)
def variance_path_without_xhat(dy, xhat, weight, var, eps=1e-5):
    dx, dweight, dbias = combined(dy, xhat, weight, var, eps, spread=0)
    off = dweight / (dy.numel() // dy.shape[1]) * (var + eps).rsqrt()
    return dx - per_channel(off if weight is None else off * weight, dy), dweight, dbias


@wrong_backward(
    "dx takes off the sums of dy and dy·x̂ where their means are wanted: divide both by m, the "
    "number of values of a channel."
)
def sums_for_means(dy, xhat, weight, var, eps=1e-5):
    m = dy.numel() // dy.shape[1]
    return combined(dy, xhat, weight, var, eps, mean=m, spread=m)


@wrong_backward(
    "In dx the sums are divided by N alone: for (N, C, H, W) a channel has m = N·H·W values."
)
def m_is_batch_size(dy, xhat, weight, var, eps=1e-5):
    positions = dy[0, 0].numel()
    return combined(dy, xhat, weight, var, eps, mean=positions, spread=positions)


@wrong_backward(
    "In dx the sums are divided by m − 1: the forward pass normalises with means over m, so their "
    "gradients divide by m."
)
def m_less_one(dy, xhat, weight, var, eps=1e-5):
    m = dy.numel() // dy.shape[1]
    return combined(dy, xhat, weight, var, eps, mean=m / (m - 1), spread=m / (m - 1))


@wrong_backward("dx lacks the weight: y = weight·x̂ + bias, so begin with dx̂ = weight·dy.")
def dx_without_weight(dy, xhat, weight, var, eps=1e-5):
    dx, _, _ = batchnorm_backward(dy, xhat, None, var, eps)
    return dx, *batchnorm_backward(dy, xhat, weight, var, eps)[1:]


@wrong_backward(
    "In dx only the direct term has the weight: dx = (dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂)) / s with "
    "dx̂ = weight·dy in all three places."
)
def means_without_weight(dy, xhat, weight, var, eps=1e-5):
    if weight is None:
        return batchnorm_backward(dy, xhat, weight, var, eps)
    direct, dweight, dbias = combined(dy, xhat, weight, var, eps, mean=0, spread=0)
    return direct + combined(dy, xhat, None, var, eps, direct=0)[0], dweight, dbias


@wrong_backward(
    "dx lacks the factor 1/s: x̂ = (x − μ) / s with s = √(σ² + ε), so everything that goes back to x "
    "is divided by s."
)
def dx_without_deviation(dy, xhat, weight, var, eps=1e-5):
    return rescaled(dy, xhat, weight, var, eps, (var + eps).sqrt())


@wrong_backward("dx is divided by the variance σ² + ε: divide by its root s = √(σ² + ε).")
def dx_divided_by_variance(dy, xhat, weight, var, eps=1e-5):
    return rescaled(dy, xhat, weight, var, eps, (var + eps).rsqrt())


@wrong_backward(
    "dx is divided by √σ²: eps belongs under the root as in the forward pass, s = √(σ² + ε)."
)
def eps_missing(dy, xhat, weight, var, eps=1e-5):
    return rescaled(dy, xhat, weight, var, eps, ((var + eps) / var).sqrt())


@wrong_backward(
    "dx is divided by √σ² + ε: eps stands beside the variance, under the root, s = √(σ² + ε)."
)
def eps_outside_root(dy, xhat, weight, var, eps=1e-5):
    return rescaled(dy, xhat, weight, var, eps, (var + eps).sqrt() / (var.sqrt() + eps))


@wrong_backward(
    "The gradients are right, but dx is made in place out of dy, which belongs to the caller: begin "
    "with a new tensor."
)
def dx_written_into_dy(dy, xhat, weight, var, eps=1e-5):
    dx, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dy.copy_(dx), dweight, dbias
