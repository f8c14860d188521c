"""Mistakes of BatchNorm, backward: dweight and dbias."""

from __future__ import annotations

from functools import partial

from scratchae.checking.mistake import mistake
from scratchae.layers.batchnorm import batchnorm_backward

wrong_backward = partial(mistake, "batchnorm_backward", chapter=7)


@wrong_backward(
    "dweight is the sum of dy alone, which is dbias: weight multiplies x̂, so dweight = Σ dy·x̂."
)
def dweight_without_xhat(dy, xhat, weight, var, eps=1e-5):
    dx, _, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx, dbias.clone(), dbias


@wrong_backward(
    "dweight is summed with x − μ instead of x̂: weight multiplies the normalised x̂, so "
    "dweight = Σ dy·x̂, without the factor s."
)
def dweight_with_centred_x(dy, xhat, weight, var, eps=1e-5):
    dx, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx, dweight * (var + eps).sqrt(), dbias


@wrong_backward("dweight is made of dx̂ = weight·dy: it is made of dy itself, dweight = Σ dy·x̂.")
def dweight_from_dxhat(dy, xhat, weight, var, eps=1e-5):
    dx, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx, dweight if weight is None else dweight * weight, dbias


@wrong_backward(
    "dbias is the sum of dx̂ = weight·dy: the bias is added after the weight, so dbias = Σ dy."
)
def dbias_from_dxhat(dy, xhat, weight, var, eps=1e-5):
    dx, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx, dweight, dbias if weight is None else dbias * weight


@wrong_backward("dweight is the mean of dy·x̂: weight is used m times, so its gradient is the sum.")
def dweight_averaged(dy, xhat, weight, var, eps=1e-5):
    dx, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx, dweight / (dy.numel() // dy.shape[1]), dbias


@wrong_backward("dbias is the mean of dy: bias is added m times, so its gradient is the sum.")
def dbias_averaged(dy, xhat, weight, var, eps=1e-5):
    dx, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx, dweight, dbias / (dy.numel() // dy.shape[1])


@wrong_backward(
    "dweight and dbias are summed over the batch alone and keep the positions: for images sum over "
    "axes (0, 2, 3), which leaves (C,)."
)
def sums_over_batch_only(dy, xhat, weight, var, eps=1e-5):
    dx, _, _ = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx, (dy * xhat).sum(0), dy.sum(0)


@wrong_backward(
    "dweight and dbias have changed places: the order is (dx, dweight, dbias), and Σ dy·x̂ is "
    "dweight."
)
def dweight_and_dbias_exchanged(dy, xhat, weight, var, eps=1e-5):
    dx, dweight, dbias = batchnorm_backward(dy, xhat, weight, var, eps)
    return dx, dbias, dweight
