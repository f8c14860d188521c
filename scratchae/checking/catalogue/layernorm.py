"""Mistakes in LayerNorm: y = w x̂ + b with x̂ = (x − μ) / s, and its gradients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

CHAPTER = 0


def samples(dy: Tensor, shape: Sequence[int]) -> int:
    """Return the number of samples, counted over all axes but those of normalized_shape."""
    return dy.shape[: dy.ndim - len(shape)].numel()


FORWARD = {
    "statistics_over_batch": (
        """
        rows = x.reshape(-1, *normalized_shape)
        s = (rows.var(0, correction=0) + eps).sqrt()
        xhat = (x - rows.mean(0)) / s
        y, s = weight * xhat + bias, s.expand(rows.shape).reshape(x.shape)
        """,
        "Mean and variance are taken over the samples: that is batch normalisation. Every sample "
        "has its own, over the last axes.",
    ),
    "statistics_of_everything": (
        "sample_axes(normalized_shape) → tuple(range(x.ndim))",
        "All samples share one mean and one variance. Average over the axes of normalized_shape only, "
        "so that every sample has its own.",
    ),
    "statistics_of_last_axis": (
        "sample_axes(normalized_shape) → [-1]",
        "Mean and variance are taken over the last axis alone. normalized_shape may have several "
        "axes: average over all of them.",
    ),
    "statistics_of_all_but_batch": (
        "sample_axes(normalized_shape) → tuple(range(1, x.ndim))",
        "Mean and variance are taken over every axis but the first. In a sequence (N, L, F) each "
        "position has its own: average over the axes of normalized_shape only.",
    ),
    "unbiased_variance": (
        "centred.square().mean(axes, keepdim=True) → x.var(axes, correction=1, keepdim=True)",
        "x is divided by the root of the unbiased variance, over m − 1. Divide by m: "
        "σ² = mean((x − μ)²), torch.var with correction=0.",
    ),
    "eps_outside_root": (
        "(var + eps).sqrt() → var.sqrt() + eps",
        "eps is added to the standard deviation, √σ² + ε. Put it under the root: s = √(σ² + ε).",
    ),
    "eps_missing": (
        "(var + eps).sqrt() → var.sqrt()",
        "eps is missing, so a constant sample divides by zero. Compute s = √(σ² + ε).",
    ),
    "divided_by_variance": (
        "centred / s → centred / s**2",
        "x − μ is divided by the variance. Divide by its root, s = √(σ² + ε).",
    ),
    "variance_given_back": (
        "...; s = s * s",
        "The third result is the variance σ² + ε. Return its root s, by which x − μ was divided.",
    ),
    "not_centred": (
        "xhat = centred / s → xhat = x / s",
        "The mean is not subtracted: this is x / s. Compute x̂ = (x − μ) / s.",
    ),
    "weight_and_bias_exchanged": (
        "weight, bias = bias, weight; ...",
        "weight and bias are exchanged. Compute y = weight·x̂ + bias.",
    ),
    "bias_inside": (
        "...; y = weight * (xhat + bias)",
        "The bias is added before the weight multiplies. Compute y = weight·x̂ + bias.",
    ),
    "xhat_with_weight": (
        "...; xhat = y.clone()",
        "The second result is y. Return x̂ before weight and bias are applied: backward needs it.",
    ),
}

BACKWARD = {
    "statistics_as_constants": (
        "dxhat - mean - xhat * mean_with_xhat → dxhat",
        "dx = weight·dy / s treats μ and σ² as constants. Both depend on x: subtract mean(dx̂) and "
        "x̂·mean(dx̂·x̂) from dx̂ = weight·dy first.",
    ),
    "variance_path_missing": (
        "- mean - xhat * mean_with_xhat → - mean",
        "dx takes into account that μ depends on x, but not that σ² does. Subtract x̂·mean(dx̂·x̂) from "
        "dx̂ too.",
    ),
    "mean_path_missing": (
        "dxhat - mean - → dxhat -",
        "dx takes into account that σ² depends on x, but not that μ does. Subtract mean(dx̂) of each "
        "sample from dx̂ too.",
    ),
    "direct_path_missing": (
        "(dxhat - mean - → (-mean -",
        "dx has the paths through μ and σ², but not the direct one through x̂. dx̂ itself is missing in "
        "(dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂)) / s.",
    ),
    "variance_path_doubled": (
        "xhat * mean_with_xhat → 2 * xhat * mean_with_xhat",
        "The part of dx that comes through σ² is twice too large. The root gives a factor 1/2: "
        "dσ² = −Σ dx̂·x̂ / (2 s²).",
    ),
    "variance_path_added": (
        "- xhat * mean_with_xhat → + xhat * mean_with_xhat",
        "The part of dx that comes through σ² has the wrong sign. Subtract x̂·mean(dx̂·x̂), do not add it.",
    ),
    "mean_path_added": (
        "dxhat - mean → dxhat + mean",
        "The part of dx that comes through μ has the wrong sign. Subtract mean(dx̂), do not add it.",
    ),
    "sums_for_means": (
        """
        mean = dxhat.mean( → mean = dxhat.sum(
        (dxhat * xhat).mean( → (dxhat * xhat).sum(
        """,
        "dx subtracts the sums of dx̂ and dx̂·x̂ instead of their means. Divide both by m, the number of "
        "values of a sample.",
    ),
    "weight_outside_means": (
        "...; dx = weight * right(dy, xhat, s, normalized_shape, None)[0]",
        "The weight is taken out of the means, as in batch normalisation. Here it differs within a "
        "sample: start from dx̂ = weight·dy and take the means of dx̂ and dx̂·x̂.",
    ),
    "dx_without_weight": (
        "dxhat = dy if weight is None else weight * dy → dxhat = dy",
        "dx lacks the weight. y = weight·x̂ + bias, so start from dx̂ = weight·dy.",
    ),
    "means_over_batch": (
        """
        ...
        dxhat, rows = weight * dy, [-1, *normalized_shape]
        means = [t.reshape(rows).mean(0) for t in (dxhat, dxhat * xhat)]
        dx = (dxhat - means[0] - xhat * means[1]) / s
        """,
        "The means in dx are taken over the samples, as in batch normalisation. Take them over the "
        "values of each sample, the last axes.",
    ),
    "dx_without_deviation": (
        "...; dx = dx * s",
        "dx lacks the factor 1/s. x̂ = (x − μ) / s, so everything that goes back to x is divided by s.",
    ),
    "dx_divided_by_variance": (
        "...; dx = dx / s",
        "dx is divided by s². Divide by s once: x̂ = (x − μ) / s.",
    ),
    "dweight_without_xhat": (
        "...; dweight = dbias.clone()",
        "dweight is the sum of dy alone, which is dbias. weight multiplies x̂, so dweight = Σ dy·x̂.",
    ),
    "dweight_with_centred_x": (
        "...; dweight = (dy * xhat * s).reshape(-1, *normalized_shape).sum(0)",
        "dweight is summed with x − μ instead of x̂. weight multiplies the normalised x̂, so "
        "dweight = Σ dy·x̂.",
    ),
    "dweight_from_dxhat": (
        "...; dweight = dweight * weight",
        "dweight is computed from dx̂ = weight·dy. Use dy itself: dweight = Σ dy·x̂.",
    ),
    "dbias_from_dxhat": (
        "...; dbias = dbias * weight",
        "dbias is the sum of dx̂ = weight·dy. The bias is added after the weight, so dbias = Σ dy.",
    ),
    "dweight_averaged": (
        "...; dweight = dweight / samples(dy, normalized_shape)",
        "dweight is the mean of dy·x̂ over the samples. Every sample uses weight, so its gradient is the "
        "sum.",
    ),
    "dbias_averaged": (
        "...; dbias = dbias / samples(dy, normalized_shape)",
        "dbias is the mean of dy over the samples. Every sample uses bias, so its gradient is the sum.",
    ),
    "not_summed_over_samples": (
        "...; dweight, dbias = dy * xhat, dy.clone()",
        "dweight and dbias still have one entry for each sample. Sum over all axes but those of "
        "normalized_shape: the result has the shape of weight.",
    ),
    "summed_over_first_axis_only": (
        "...; dweight, dbias = (dy * xhat).sum(0), dy.sum(0)",
        "dweight and dbias are summed over the first axis alone. In a sequence (N, L, F) sum over "
        "N and L: the result has the shape of weight, (F,).",
    ),
    "dweight_and_dbias_exchanged": (
        "...; dweight, dbias = dbias, dweight",
        "dweight and dbias are exchanged. Return (dx, dweight, dbias): Σ dy·x̂ is dweight.",
    ),
    "dx_written_into_dy": (
        "...; dx = dy.copy_(dx)",
        "The gradients are right, but dx was written into dy, which belongs to the caller. Write "
        "it into a new tensor.",
    ),
}

MISTAKES = {"layernorm_forward": FORWARD, "layernorm_backward": BACKWARD}
