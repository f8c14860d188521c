"""Mistakes in GroupNorm: LayerNorm's x̂ of groups of channels, y = w x̂ + b with w and b for each channel."""

from __future__ import annotations

from torch import Tensor

from scratchae.layers.layernorm import layernorm_forward

CHAPTER = 0


def interleaved(x: Tensor, num_groups: int) -> Tensor:
    """Return x (N, C, ...) as (N, G, C/G, ...), with every G-th channel in a group."""
    return x.unflatten(1, (-1, num_groups)).transpose(1, 2)


FORWARD = {
    "one_group": (
        "_, xhat, s = right(x, 1, None, None, eps); s = s.expand(-1, num_groups, *s.shape[2:]).clone(); "
        "y = affine(xhat, weight, bias)",
        "All channels of a sample share one mean and one variance. Every group of channels has its own.",
    ),
    "a_group_per_channel": (
        "_, xhat, s = right(x, x.shape[1], None, None, eps); s = s[:, :num_groups].clone(); "
        "y = affine(xhat, weight, bias)",
        "Every channel is normalised alone. A group has C / num_groups channels, with a common mean and "
        "variance.",
    ),
    "statistics_over_batch": (
        "layernorm_forward(grouped, grouped.shape[2:], eps=eps) → normalised_over_batch(grouped, eps)",
        "Mean and variance are taken over the samples too. Every group of every sample has its own.",
    ),
    "channels_interleaved": (
        """
        in_groups(x, num_groups) → interleaved(x, num_groups)
        xhat.reshape(x.shape) → xhat.transpose(1, 2).reshape(x.shape)
        """,
        "A group takes every num_groups-th channel. Groups are of neighbouring channels: "
        "the first C / num_groups, and so on.",
    ),
    "channels_per_group": (
        "in_groups(x, num_groups) → in_groups(x, x.shape[1] // num_groups)",
        "num_groups is taken as the number of channels in a group. It is the number of groups.",
    ),
    "statistics_of_pixels": (
        "layernorm_forward(grouped, grouped.shape[2:], eps=eps) → normalised_pixels(grouped, eps)",
        "Every pixel of a group is normalised alone. The means are over channels and pixels.",
    ),
    "unbiased_variance": (
        "layernorm_forward(grouped, grouped.shape[2:], eps=eps) → unbiased(grouped, eps)",
        "x is divided by the root of the unbiased variance, over m − 1. Divide by m, the number of values "
        "of the group.",
    ),
    "eps_missing": (
        "eps = 0.0; ...",
        "eps is missing, so a constant group divides by zero. Compute s = √(σ² + ε).",
    ),
    "weight_and_bias_exchanged": (
        "weight, bias = bias, weight; ...",
        "weight and bias are exchanged. Compute y = weight·x̂ + bias.",
    ),
    "weight_and_bias_missing": (
        "...; y = xhat.clone()",
        "y is x̂. Multiply it by weight and add bias, which have one value for each channel.",
    ),
    "xhat_with_weight": (
        "...; xhat = y.clone()",
        "The second result is y. Return x̂ before weight and bias are applied: backward needs it.",
    ),
}

BACKWARD = {
    "statistics_as_constants": (
        "dx, _, _ = layernorm_backward(dxhat, xhat, s, dxhat.shape[2:]) → dx = dxhat / s",
        "dx = weight·dy / s treats μ and σ² as constants. Both depend on x: subtract mean(dx̂) and "
        "x̂·mean(dx̂·x̂) of the group from dx̂ = weight·dy first.",
    ),
    "variance_path_missing": (
        "dx, _, _ = layernorm_backward(dxhat, xhat, s, dxhat.shape[2:]) → "
        "dx = centred_groups(dxhat) / s",
        "dx takes into account that μ depends on x, but not that σ² does. Subtract x̂·mean(dx̂·x̂) from "
        "dx̂ too.",
    ),
    "mean_path_missing": (
        "dx, _, _ = layernorm_backward(dxhat, xhat, s, dxhat.shape[2:]) → "
        "dx = (dxhat - xhat * group_means(dxhat * xhat)) / s",
        "dx takes into account that σ² depends on x, but not that μ does. Subtract mean(dx̂) of each "
        "group from dx̂ too.",
    ),
    "dx_without_weight": (
        "dxhat = dy if weight is None else per_channel(weight, dy) * dy → dxhat = dy",
        "dx lacks the weight. y = weight·x̂ + bias, so start from dx̂ = weight·dy.",
    ),
    "weight_outside_means": (
        "...; dx = right(dy, xhat, s, num_groups, None)[0] * per_channel(weight, dy)",
        "The weight is taken out of the means, as in batch normalisation. Here it differs within a "
        "group: start from dx̂ = weight·dy.",
    ),
    "means_over_all_channels": (
        "...; dx = means_over_channels(per_channel(weight, dy) * dy, xhat, s, num_groups)",
        "The means in dx are over all channels of a sample. Take them over the channels of each group.",
    ),
    "dx_without_deviation": (
        "...; dx = (in_groups(dx, num_groups) * s).reshape(dy.shape)",
        "dx lacks the factor 1/s. x̂ = (x − μ) / s, so everything that goes back to x is divided by s.",
    ),
    "dweight_without_xhat": (
        "...; dweight = dbias.clone()",
        "dweight is the sum of dy alone, which is dbias. weight multiplies x̂, so dweight = Σ dy·x̂.",
    ),
    "dbias_from_dxhat": (
        "...; dbias = dbias * weight",
        "dbias is the sum of dx̂ = weight·dy. The bias is added after the weight, so dbias = Σ dy.",
    ),
    "dweight_from_dxhat": (
        "...; dweight = dweight * weight",
        "dweight is computed from dx̂ = weight·dy. Use dy itself: dweight = Σ dy·x̂.",
    ),
    "averaged_over_samples": (
        "...; dweight, dbias = dweight / len(dy), dbias / len(dy)",
        "dweight and dbias are means over the samples. Every sample uses weight and bias, so their "
        "gradients are sums.",
    ),
    "summed_over_samples_only": (
        "...; dweight, dbias = (dy * xhat).sum(0), dy.sum(0)",
        "dweight and dbias are summed over the samples alone. Sum over the pixels too: the results have the "
        "shape of weight, (C,).",
    ),
    "dweight_and_dbias_exchanged": (
        "...; dweight, dbias = dbias, dweight",
        "dweight and dbias are exchanged. Return (dx, dweight, dbias): Σ dy·x̂ is dweight.",
    ),
}


def normalised_over_batch(grouped: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x̂, x̂, s) of groups (N, G, C/G, ...), with means over the samples too."""
    xhat, _, s = layernorm_forward(grouped.transpose(0, 1), one_sample(grouped), eps=eps)
    s = s.transpose(0, 1).expand(len(grouped), *s.shape[:1], *s.shape[2:]).clone()
    return xhat.transpose(0, 1), xhat, s


def one_sample(grouped: Tensor) -> tuple[int, ...]:
    return (len(grouped), *grouped.shape[2:])


def normalised_pixels(grouped: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x̂, x̂, s) of groups (N, G, C/G, ...), with means over the channels only."""
    centred = grouped - grouped.mean(2, keepdim=True)
    s = (centred.square().mean(2, keepdim=True) + eps).sqrt()
    first = s.flatten(2)[:, :, 0].view(*s.shape[:2], *[1] * (s.ndim - 2))
    return centred / s, centred, first.clone()


def unbiased(grouped: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return (x̂, x̂, s) of groups (N, G, C/G, ...), with the sum of squares divided by m − 1."""
    axes = tuple(range(2, grouped.ndim))
    s = (grouped.var(axes, correction=1, keepdim=True) + eps).sqrt()
    return centred_groups(grouped) / s, s, s


def group_means(grouped: Tensor) -> Tensor:
    return grouped.mean(tuple(range(2, grouped.ndim)), keepdim=True)


def centred_groups(grouped: Tensor) -> Tensor:
    return grouped - group_means(grouped)


def means_over_channels(dxhat: Tensor, xhat: Tensor, s: Tensor, num_groups: int) -> Tensor:
    axes = tuple(range(1, dxhat.ndim))
    dx = dxhat - dxhat.mean(axes, keepdim=True) - xhat * (dxhat * xhat).mean(axes, keepdim=True)
    return (dx.unflatten(1, (num_groups, -1)) / s).reshape(dx.shape)


MISTAKES = {"groupnorm_forward": FORWARD, "groupnorm_backward": BACKWARD}
