"""Mistakes in BatchNorm, forward: y = w x̂ + b with x̂ = (x − μ) / √(σ² + ε), and running statistics."""

from __future__ import annotations

from torch import Tensor

from scratchae.layers.batchnorm import affine

CHAPTER = 7


def over(
    axes: tuple[int, ...], x: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, ...]:
    """Return the four results, with mean and variance over these axes."""
    mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    xhat = (x - mean) / (var + eps).sqrt()
    return affine(xhat, weight, bias), xhat, mean.squeeze(axes), var.squeeze(axes)


FORWARD = {
    "unbiased_variance": (
        "(x - per_channel(mean, x)).square().mean(axes) → x.var(axes, correction=1)",
        "x is normalised with the unbiased variance, divided by m − 1. Divide by m: "
        "σ² = mean((x − μ)²), torch.var with correction=0. Only the running variance uses m − 1.",
    ),
    "unbiased_variance_given_back": (
        "...; var = x.var(other_axes(x), correction=1)",
        "y is right, but the variance that is returned is the unbiased one, divided by m − 1. "
        "backward needs the one that was used to normalise x, divided by m.",
    ),
    "eps_outside_root": (
        "(var + eps).rsqrt() → 1 / (var.sqrt() + eps)",
        "eps is added outside the root, √σ² + ε. Add it to the variance: √(σ² + ε).",
    ),
    "eps_missing": (
        "(var + eps).rsqrt() → var.rsqrt()",
        "eps is missing, so a constant channel divides by zero. Compute x̂ = (x − μ) / √(σ² + ε).",
    ),
    "eps_in_variance_given_back": (
        "...; var = var + eps",
        "The variance that is returned contains eps, so backward adds eps a second time. Return σ² "
        "itself.",
    ),
    "deviation_for_variance": (
        "...; var = (var + eps).sqrt()",
        "The fourth result is the standard deviation √(σ² + ε). Return the variance σ², without "
        "the root and without eps.",
    ),
    "divided_by_variance": (
        "(var + eps).rsqrt() → 1 / (var + eps)",
        "x − μ is divided by the variance. Take the root first: x̂ = (x − μ) / √(σ² + ε).",
    ),
    "squares_summed": (
        "square().mean(axes) → square().sum(axes)",
        "The variance is the sum of the squares (x − μ)², not their mean. Divide by m, the number of "
        "values per channel.",
    ),
    "variance_before_centring": (
        "(x - per_channel(mean, x)).square() → x.square()",
        "The variance is mean(x²): the mean was not subtracted first. It is mean((x − μ)²), or "
        "mean(x²) − μ².",
    ),
    "not_centred": (
        "(x - per_channel(mean, x)).mul_( → x.mul(",
        "The mean is not subtracted: this is x / √(σ² + ε). Compute x̂ = (x − μ) / √(σ² + ε).",
    ),
    "statistics_over_batch_only": (
        "y, xhat, mean, var = over((0,), x, weight, bias, eps)",
        "Mean and variance are taken over the batch alone, so every position has its own. For "
        "images average over axes (0, 2, 3): each channel has one μ and one σ².",
    ),
    "statistics_over_positions_only": (
        """
        flat = x.flatten(2) if x.ndim > 2 else x[..., None]
        y, xhat, mean, var = over((2,), flat, weight, bias, eps)
        y, xhat = y.view(x.shape), xhat.view(x.shape)
        """,
        "Mean and variance are taken over the positions alone, so every image has its own: that is "
        "instance normalisation. Average over the batch, axis 0, too.",
    ),
    "statistics_of_samples": (
        "y, xhat, mean, var = over(tuple(range(1, x.ndim)), x, weight, bias, eps)",
        "Mean and variance are taken over the channels and positions of each sample: that is layer "
        "normalisation. Take them for each channel, over the batch and the positions.",
    ),
    "statistics_of_everything": (
        "y, xhat, mean, var = over(tuple(range(x.ndim)), x, weight, bias, eps)",
        "All channels share one mean and one variance. Keep axis 1 of x, so that there are C of each: "
        "x.mean(dim=(0, 2, 3)) for images.",
    ),
    "statistics_of_last_axis": (
        "y, xhat, mean, var = over(tuple(range(x.ndim - 1)), x, weight, bias, eps)",
        "The last axis is treated as the channel axis. Channels are axis 1: for images average "
        "over axes (0, 2, 3), not (0, 1, 2).",
    ),
    "weight_and_bias_exchanged": (
        "weight, bias = bias, weight; ...",
        "weight and bias are exchanged. Compute y = weight·x̂ + bias.",
    ),
    "bias_scaled": (
        "bias = None if bias is None else weight * bias; ...",
        "The bias is multiplied by the weight too. Compute y = weight·x̂ + bias, not weight·(x̂ + bias).",
    ),
    "affine_forgotten": (
        "weight = bias = None; ...",
        "weight and bias are not used: y is x̂ itself. Compute y = weight·x̂ + bias.",
    ),
    "xhat_overwritten": (
        "...; xhat = y",
        "y is right, but it was written into x̂, so the returned x̂ is y too. backward needs x̂ "
        "without weight and bias.",
    ),
    "x_centred_in_place": (
        "...; x -= per_channel(mean, x)",
        "The results are right, but x -= mean has changed the caller's x. Write x − mean into a new "
        "tensor.",
    ),
}

RUNNING = {
    "momentum_the_other_way": (
        "momentum = 1 - momentum; ...",
        "momentum is used the wrong way round. It is the share of the new batch: "
        "(1 − momentum)·running + momentum·batch.",
    ),
    "variance_stays_biased": (
        "var = var * (m - 1) / m; ...",
        "The running variance is updated with the biased variance. Use the unbiased estimate, "
        "var·m / (m − 1).",
    ),
    "correction_inverted": (
        "var = var * ((m - 1) / m) ** 2; ...",
        "The correction is upside down, var·(m − 1) / m. The unbiased variance is the larger one, "
        "var·m / (m − 1).",
    ),
    "variance_taken_for_a_sum": (
        "var = var / m; ...",
        "var is divided by m − 1, as if it were a sum of squares. It is their mean already: the "
        "unbiased variance is var·m / (m − 1).",
    ),
    "correction_of_the_whole": (
        "running_var = running_var * m / (m - 1); ...",
        "The correction m / (m − 1) is applied to the old running variance too, so it grows with every "
        "batch. Correct only the batch's var.",
    ),
    "correction_of_the_mean": (
        "mean = mean * m / (m - 1); ...",
        "The batch's mean is multiplied by m / (m − 1) too. Only the variance needs that correction: a "
        "mean is unbiased.",
    ),
    "deviation_for_variance": (
        """
        unbiased = var * m / (m - 1)
        ...
        running_var = running_var + momentum * (unbiased.sqrt() - unbiased)
        """,
        "The running variance moves towards the batch's standard deviation. It is an average of "
        "variances: do not take the root.",
    ),
    "replaced": (
        "momentum = 1.0; ...",
        "The old statistics are replaced by the batch's. Keep a share of them: (1 − "
        "momentum)·running.",
    ),
    "variance_not_moved": (
        "old = running_var.clone(); ...; running_var = old",
        "Only the running mean moves. Move running_var in the same way, towards var·m / (m − 1).",
    ),
    "mean_not_moved": (
        "old = running_mean.clone(); ...; running_mean = old",
        "Only the running variance moves. Move running_mean in the same way, towards mean.",
    ),
    "mean_and_variance_exchanged": (
        "...; running_mean, running_var = running_var, running_mean",
        "The two results are exchanged. Return first the running mean, then the running variance.",
    ),
    "old_share_not_reduced": (
        "return running_mean + momentum * mean, running_var + momentum * var * m / (m - 1)",
        "momentum·batch is added, but the old value is kept in full, so the result grows without "
        "limit. Keep only a share of 1 − momentum of it.",
    ),
    "batch_share_not_reduced": (
        """
        ...
        running_mean = running_mean + (1 - momentum) * mean
        running_var = running_var + (1 - momentum) * var * m / (m - 1)
        """,
        "The batch's statistics are added in full. Their share is momentum: "
        "(1 − momentum)·running + momentum·batch.",
    ),
    "steps_alone": (
        "return momentum * (mean - running_mean), momentum * (var * m / (m - 1) - running_var)",
        "These are the changes momentum·(batch − running) alone. Add them to the old running "
        "statistics.",
    ),
    "changed_in_place": (
        """
        moved = right(running_mean, running_var, mean, var, m, momentum)
        return running_mean.copy_(moved[0]), running_var.copy_(moved[1])
        """,
        "The results are right, but running_mean and running_var are changed in place. Return new "
        "tensors: the layer copies them.",
    ),
}

MISTAKES = {"batchnorm_forward": FORWARD, "running_statistics": RUNNING}
