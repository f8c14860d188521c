"""Mistakes in Linear: y = x Wᵀ + b, and the gradients dx = dy W, dW = dyᵀ x, db = Σ dy."""

from __future__ import annotations

import torch
from torch import Tensor

CHAPTER = 2


def rows_of(tensor: Tensor) -> Tensor:
    """Return the tensor with all leading axes joined into one batch."""
    return tensor.reshape(-1, tensor.shape[-1])


def plus(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias


def outer(dy: Tensor, x: Tensor, n: int) -> Tensor:
    """Return the part of dweight that comes from sample n."""
    return torch.outer(rows_of(dy)[n], rows_of(x)[n])


FORWARD = {
    "bias_forgotten": (
        "bias = None; ...",
        "The bias is never added. Compute y = x Wᵀ + b: end with + bias.",
    ),
    "bias_twice": (
        "...; y = plus(y, bias)",
        "The bias is added twice. Add it once: y = x Wᵀ + b.",
    ),
    "none_not_expected": (
        "y = right(x, weight) + bias",
        "The function fails if bias is None. A Linear may have no bias: add it only if it is not None.",
    ),
    "bias_summed": (
        "y = plus(right(x, weight), None if bias is None else bias.sum())",
        "Every output gets the sum of all biases. Output y[n, o] needs bias[o] alone: add bias, not "
        "bias.sum().",
    ),
    "weight_reshaped": (
        "y = plus(x @ weight.reshape(weight.T.shape), bias)",
        "weight.reshape(I, O) has the right shape but the wrong order of numbers. Use weight.T, which "
        "turns rows into columns.",
    ),
    "inputs_averaged": (
        "weight = weight / x.shape[-1]; ...",
        "x Wᵀ is divided by the number of inputs I. An output is the weighted sum of its inputs, not "
        "their mean.",
    ),
    "leading_sizes_lost": (
        "x = rows_of(x); ...",
        "y is left flat, (rows, O). Restore the leading axes of x: y.reshape(*x.shape[:-1], O).",
    ),
    "output_transposed": (
        "...; y = y.transpose(0, -1)",
        "The first and the last axis of y are swapped: (O, N) instead of (N, O). Samples come first: "
        "compute x @ weight.T, not weight @ x.T.",
    ),
    "weight_transposed_in_place": (
        "y = plus(x @ weight.t_(), bias)",
        "y is right, but weight.t_() has transposed the caller's weight. Use weight.T, which leaves "
        "weight unchanged.",
    ),
}

BACKWARD = {
    "dbias_averaged": (
        "...; dbias = rows_of(dy).mean(dim=0)",
        "dbias alone is averaged over the samples. Every sample uses the bias: use the sum, "
        "dy.sum(dim=0).",
    ),
    "dbias_over_outputs": (
        "...; dbias = rows_of(dy).sum(dim=1)",
        "dbias is summed over the outputs, so it has one number per sample. Sum over the samples, "
        "dim=0: one number per output, (O,).",
    ),
    "dbias_not_summed": (
        "...; dbias = dy.clone()",
        "dbias is dy itself, one row per sample. All samples use the same bias (O,): sum dy over the "
        "samples.",
    ),
    "dweight_averaged": (
        "...; dweight = dweight / len(rows_of(dy))",
        "dweight alone is divided by the number of samples. Sum over them, dyᵀ x: dy already "
        "contains the division of the mean loss.",
    ),
    "both_averaged": (
        "...; dweight, dbias = dweight / len(rows_of(dy)), dbias / len(rows_of(dy))",
        "dweight and dbias are both divided by the number of samples. Only sum over the samples: "
        "dy already contains the division of the mean loss.",
    ),
    "dweight_transposed": (
        "...; dweight = dweight.T.clone()",
        "dweight is transposed, (I, O). It needs the shape of weight, (O, I): compute dy.T @ x, not "
        "x.T @ dy.",
    ),
    "dweight_reshaped": (
        "...; dweight = dweight.T.reshape(weight.shape)",
        "dweight is xᵀ dy, (I, O), reshaped to (O, I). The shape fits, but the numbers are in the wrong "
        "places: compute dy.T @ x.",
    ),
    "dweight_of_first_sample": (
        "...; dweight = outer(dy, x, 0)",
        "dweight comes from the first sample only. dweight[o, i] is the sum of dy[n, o] x[n, i] over "
        "all samples n.",
    ),
    "dweight_of_last_sample": (
        "...; dweight = outer(dy, x, -1)",
        "dweight comes from the last sample only. In a loop over the samples, add with +=; = "
        "overwrites.",
    ),
    "dweight_not_summed": (
        "...; dweight = dy[..., :, None] * x[..., None, :]",
        "dweight has one (O, I) matrix per sample. All samples use the same weight: sum over every "
        "leading axis.",
    ),
    "dx_without_weight": (
        "weight = torch.ones_like(weight); ...",
        "dx does not use the weight: every input gets the same sum of dy. Input i enters output o with "
        "weight[o, i], so dx = dy @ weight.",
    ),
    "dx_times_x": (
        "...; dx = dx * x",
        "dx is multiplied by x. The derivative of weight[o, i] · x[n, i] by x is the weight alone: "
        "dx = dy @ weight.",
    ),
    "dx_leading_sizes_lost": (
        "...; dx = rows_of(dx)",
        "dx is left flat, (rows, I). Restore the shape of x: dx.reshape(x.shape).",
    ),
    "dx_and_dweight_swapped": (
        "...; dx, dweight = dweight, dx",
        "The gradients are returned as (dweight, dx, dbias). Return (dx, dweight, dbias).",
    ),
    "dweight_and_dbias_swapped": (
        "...; dweight, dbias = dbias, dweight",
        "The gradients are returned as (dx, dbias, dweight). Return (dx, dweight, dbias).",
    ),
    "dy_ignored": (
        "dy = torch.ones_like(dy); ...",
        "dy is not used, as if it were all ones. All three gradients are computed from dy, for "
        "example dx = dy @ weight.",
    ),
    "weight_updated": (
        "...; weight -= 0.01 * dweight",
        "The three gradients are right, but weight has been changed. Only compute the gradients here: "
        "the optimiser changes the weights later.",
    ),
}

MISTAKES = {"linear_forward": FORWARD, "linear_backward": BACKWARD}
