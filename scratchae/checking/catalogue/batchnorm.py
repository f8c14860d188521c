"""Mistakes of BatchNorm, forward. Backward: batchnorm_backward.py, running: batchnorm_running.py."""

from __future__ import annotations

from functools import partial

from scratchae.checking.mistake import mistake
from scratchae.layers.batchnorm import affine, batchnorm_forward, other_axes, per_channel

wrong_forward = partial(mistake, "batchnorm_forward", chapter=7)


def normalised(x, weight, bias, mean, var, s):
    """The four results, with a given standard deviation s."""
    xhat = (x - per_channel(mean, x)) / per_channel(s, x)
    return affine(xhat, weight, bias), xhat, mean, var


def over(axes, x, weight, bias, eps):
    """The four results with statistics over these axes, whatever those are."""
    mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    xhat = (x - mean) / (var + eps).sqrt()
    return affine(xhat, weight, bias), xhat, mean.squeeze(axes), var.squeeze(axes)


@wrong_forward(
    "x is normalised with the unbiased variance, over m − 1: σ² = mean((x − μ)²) divides by m. Only "
    "the running variance takes m − 1 (torch.var wants correction=0)."
)
def unbiased_variance(x, weight, bias, eps=1e-5):
    _, _, mean, _ = batchnorm_forward(x, weight, bias, eps)
    var = x.var(other_axes(x), correction=1)
    return normalised(x, weight, bias, mean, var, (var + eps).sqrt())


@wrong_forward(
    "y is right, but the variance given back is the unbiased one, over m − 1: backward needs the "
    "one that normalised x, over m."
)
def unbiased_variance_given_back(x, weight, bias, eps=1e-5):
    y, xhat, mean, _ = batchnorm_forward(x, weight, bias, eps)
    return y, xhat, mean, x.var(other_axes(x), correction=1)


@wrong_forward("eps is added outside the root, √σ² + ε: it stands beside the variance, √(σ² + ε).")
def eps_outside_root(x, weight, bias, eps=1e-5):
    _, _, mean, var = batchnorm_forward(x, weight, bias, eps)
    return normalised(x, weight, bias, mean, var, var.sqrt() + eps)


@wrong_forward(
    "eps is missing: x̂ = (x − μ) / √(σ² + ε), or a channel that is constant divides by zero."
)
def eps_missing(x, weight, bias, eps=1e-5):
    _, _, mean, var = batchnorm_forward(x, weight, bias, eps)
    return normalised(x, weight, bias, mean, var, var.sqrt())


@wrong_forward(
    "The variance given back has eps in it already, so backward will add eps a second time: give "
    "back σ² itself."
)
def eps_in_variance_given_back(x, weight, bias, eps=1e-5):
    y, xhat, mean, var = batchnorm_forward(x, weight, bias, eps)
    return y, xhat, mean, var + eps


@wrong_forward(
    "The fourth result is the standard deviation √(σ² + ε): give back the variance σ², without root "
    "and without eps."
)
def deviation_for_variance(x, weight, bias, eps=1e-5):
    y, xhat, mean, var = batchnorm_forward(x, weight, bias, eps)
    return y, xhat, mean, (var + eps).sqrt()


@wrong_forward("x − μ is divided by the variance: take the root first, x̂ = (x − μ) / √(σ² + ε).")
def divided_by_variance(x, weight, bias, eps=1e-5):
    _, _, mean, var = batchnorm_forward(x, weight, bias, eps)
    return normalised(x, weight, bias, mean, var, var + eps)


@wrong_forward(
    "The variance is the sum of the squares (x − μ)², not their mean: divide by m, the number of "
    "values of a channel."
)
def squares_summed(x, weight, bias, eps=1e-5):
    _, _, mean, var = batchnorm_forward(x, weight, bias, eps)
    var = var * (x.numel() // x.shape[1])
    return normalised(x, weight, bias, mean, var, (var + eps).sqrt())


@wrong_forward(
    "The variance is taken before centring, mean(x²): it is mean((x − μ)²), or mean(x²) − μ²."
)
def variance_before_centring(x, weight, bias, eps=1e-5):
    _, _, mean, _ = batchnorm_forward(x, weight, bias, eps)
    var = x.square().mean(other_axes(x))
    return normalised(x, weight, bias, mean, var, (var + eps).sqrt())


@wrong_forward("The mean is not taken off: x̂ = (x − μ) / √(σ² + ε), and this is x / √(σ² + ε).")
def not_centred(x, weight, bias, eps=1e-5):
    _, _, mean, var = batchnorm_forward(x, weight, bias, eps)
    _, xhat, *_ = normalised(x, weight, bias, 0 * mean, var, (var + eps).sqrt())
    return affine(xhat, weight, bias), xhat, mean, var


@wrong_forward(
    "Mean and variance run over the batch alone, one of each for every position: in an image they "
    "run over axes (0, 2, 3), so that a channel has one μ and one σ²."
)
def statistics_over_batch_only(x, weight, bias, eps=1e-5):
    return over((0,), x, weight, bias, eps)


@wrong_forward(
    "Mean and variance run over the positions alone, one of each for every image (instance "
    "normalisation): the batch, axis 0, belongs to the mean too."
)
def statistics_over_positions_only(x, weight, bias, eps=1e-5):
    y, xhat, mean, var = over((2,), x.flatten(2) if x.ndim > 2 else x[..., None], weight, bias, eps)
    return y.view(x.shape), xhat.view(x.shape), mean, var


@wrong_forward(
    "Mean and variance run over the channels and positions of each sample (layer normalisation): "
    "every channel has its own, over the batch and the positions."
)
def statistics_of_samples(x, weight, bias, eps=1e-5):
    return over(tuple(range(1, x.ndim)), x, weight, bias, eps)


@wrong_forward(
    "One mean and one variance serve all channels: keep axis 1 of x, x.mean(dim=(0, 2, 3)) for "
    "images, so that there are C of each."
)
def statistics_of_everything(x, weight, bias, eps=1e-5):
    return over(tuple(range(x.ndim)), x, weight, bias, eps)


@wrong_forward(
    "The last axis is taken for the channels: they are axis 1, so in an image the means run over "
    "axes (0, 2, 3), not (0, 1, 2)."
)
def statistics_of_last_axis(x, weight, bias, eps=1e-5):
    return over(tuple(range(x.ndim - 1)), x, weight, bias, eps)


@wrong_forward("weight and bias have changed places: y = weight·x̂ + bias.")
def weight_and_bias_exchanged(x, weight, bias, eps=1e-5):
    return batchnorm_forward(x, bias, weight, eps)


@wrong_forward("The bias is scaled as well: y = weight·x̂ + bias, not weight·(x̂ + bias).")
def bias_scaled(x, weight, bias, eps=1e-5):
    return batchnorm_forward(x, weight, None if bias is None else weight * bias, eps)


@wrong_forward("weight and bias are forgotten, and y is x̂ itself: y = weight·x̂ + bias.")
def affine_forgotten(x, weight, bias, eps=1e-5):
    return batchnorm_forward(x, None, None, eps)


@wrong_forward(
    "y is right, but it was made in place out of x̂, so x̂ is y now: backward needs the x̂ without "
    "weight and bias."
)
def xhat_overwritten(x, weight, bias, eps=1e-5):
    y, _, mean, var = batchnorm_forward(x, weight, bias, eps)
    return y, y, mean, var


@wrong_forward(
    "The results are right, but x is centred in place (x -= mean), and the caller's x has changed: "
    "write x − mean into a new tensor."
)
def x_centred_in_place(x, weight, bias, eps=1e-5):
    y, xhat, mean, var = batchnorm_forward(x, weight, bias, eps)
    x -= per_channel(mean, x)
    return y, xhat, mean, var
