"""Mistakes in Linear (chapter 2), backward: the three gradients of y = x Wᵀ + b."""

from __future__ import annotations

from functools import partial

import torch

from scratchae.checking.catalogue.linear import rows_of
from scratchae.checking.mistake import mistake
from scratchae.layers.linear import linear_backward

wrong_backward = partial(mistake, "linear_backward", chapter=2)


@wrong_backward(
    "dbias alone is averaged over the samples: each sample uses the bias, so sum dy over them, "
    "dy.sum(dim=0)."
)
def dbias_averaged(dy, x, weight):
    dx, dweight, _ = linear_backward(dy, x, weight)
    return dx, dweight, rows_of(dy).mean(dim=0)


@wrong_backward(
    "dbias is summed over the outputs and has one number a sample: sum over the samples, dim=0, "
    "to have one an output, (O,)."
)
def dbias_over_outputs(dy, x, weight):
    dx, dweight, _ = linear_backward(dy, x, weight)
    return dx, dweight, rows_of(dy).sum(dim=1)


@wrong_backward(
    "dbias is dy itself, one row a sample: every sample uses the same bias (O,), so sum dy over "
    "the samples."
)
def dbias_not_summed(dy, x, weight):
    dx, dweight, _ = linear_backward(dy, x, weight)
    return dx, dweight, dy.clone()


@wrong_backward(
    "dweight alone is divided by the number of samples: dyᵀ x sums over them, and the mean is "
    "the loss's business, already in dy."
)
def dweight_averaged(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return dx, dweight / len(rows_of(dy)), dbias


@wrong_backward(
    "dweight and dbias are both divided by the number of samples: sum over the samples only, dy "
    "holds the loss's mean already."
)
def both_averaged(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return dx, dweight / len(rows_of(dy)), dbias / len(rows_of(dy))


@wrong_backward(
    "dweight is transposed, (I, O): it wants weight's shape (O, I), so compute dy.T @ x, not x.T "
    "@ dy."
)
def dweight_transposed(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return dx, dweight.T.clone(), dbias


@wrong_backward(
    "dweight is xᵀ dy, (I, O), reshaped to (O, I): the shape fits but the numbers stand in the "
    "wrong cells; compute dy.T @ x."
)
def dweight_reshaped(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return dx, dweight.T.reshape(weight.shape), dbias


@wrong_backward(
    "dweight comes from the first sample only: dweight[o, i] is the sum of dy[n, o] x[n, i] over "
    "all samples n."
)
def dweight_of_first_sample(dy, x, weight):
    dx, _, dbias = linear_backward(dy, x, weight)
    return dx, torch.outer(rows_of(dy)[0], rows_of(x)[0]), dbias


@wrong_backward(
    "dweight comes from the last sample only: a loop over samples has to add with +=, not "
    "overwrite with =."
)
def dweight_of_last_sample(dy, x, weight):
    dx, _, dbias = linear_backward(dy, x, weight)
    return dx, torch.outer(rows_of(dy)[-1], rows_of(x)[-1]), dbias


@wrong_backward(
    "dweight has one (O, I) table a sample: all samples use the same weight, so sum the tables "
    "over every leading axis."
)
def dweight_not_summed(dy, x, weight):
    dx, _, dbias = linear_backward(dy, x, weight)
    return dx, dy[..., :, None] * x[..., None, :], dbias


@wrong_backward(
    "dx leaves the weight out and gives every input the same sum of dy: input i counts in output "
    "o with weight[o, i], dx = dy @ weight."
)
def dx_without_weight(dy, x, weight):
    return linear_backward(dy, x, torch.ones_like(weight))


@wrong_backward(
    "dx is multiplied by x: the slope of weight[o, i] · x[n, i] in x is the weight alone, so dx "
    "= dy @ weight."
)
def dx_times_x(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return dx * x, dweight, dbias


@wrong_backward("dx is left flat, (rows, I): give it x's shape again with dx.reshape(x.shape).")
def dx_leading_sizes_lost(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return rows_of(dx), dweight, dbias


@wrong_backward(
    "The gradients come as (dweight, dx, dbias): return them in the order (dx, dweight, dbias)."
)
def dx_and_dweight_swapped(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return dweight, dx, dbias


@wrong_backward(
    "The gradients come as (dx, dbias, dweight): return them in the order (dx, dweight, dbias)."
)
def dweight_and_dbias_swapped(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    return dx, dbias, dweight


@wrong_backward(
    "dy is never used, as if it were all ones: each of the three gradients is dy times "
    "something, dx = dy @ weight for one."
)
def dy_ignored(dy, x, weight):
    return linear_backward(torch.ones_like(dy), x, weight)


@wrong_backward(
    "The three gradients are right, but weight itself has been changed: backward only computes, "
    "the step is taken later."
)
def weight_updated(dy, x, weight):
    dx, dweight, dbias = linear_backward(dy, x, weight)
    weight -= 0.01 * dweight
    return dx, dweight, dbias
