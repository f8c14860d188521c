"""Mistakes in Linear (chapter 2), forward: y = x Wᵀ + b. The gradients: linear_backward.py."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from scratchae.checking.mistake import mistake
from scratchae.layers.linear import linear_forward

wrong_forward = partial(mistake, "linear_forward", chapter=2)


def rows_of(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1, tensor.shape[-1])


def plus(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias


@wrong_forward("The bias is never added: y = x Wᵀ + b, so end with + bias.")
def bias_forgotten(x, weight, bias):
    return linear_forward(x, weight)


@wrong_forward("The bias is added twice: add it once, y = x Wᵀ + b.")
def bias_twice(x, weight, bias):
    return plus(linear_forward(x, weight, bias), bias)


@wrong_forward(
    "With bias=None it stops: a Linear may have no bias, so add the bias only where it is not None."
)
def none_not_expected(x, weight, bias):
    return linear_forward(x, weight) + bias


@wrong_forward(
    "Every output gets the sum of all biases: y[n, o] wants its own bias[o] alone, so add bias, "
    "not bias.sum()."
)
def bias_summed(x, weight, bias):
    return plus(linear_forward(x, weight), None if bias is None else bias.sum())


@wrong_forward(
    "weight.reshape(I, O) has the right shape but the wrong numbers in it: reshaping cuts the "
    "rows anew, only weight.T turns them into columns."
)
def weight_reshaped(x, weight, bias):
    return plus(x @ weight.reshape(weight.T.shape), bias)


@wrong_forward(
    "x Wᵀ is divided by the number of inputs I: an output is a weighted sum of its inputs, not "
    "their mean."
)
def inputs_averaged(x, weight, bias):
    return linear_forward(x, weight / x.shape[-1], bias)


@wrong_forward(
    "y is left flat, (rows, O): give it x's leading sizes again with y.reshape(*x.shape[:-1], O)."
)
def leading_sizes_lost(x, weight, bias):
    return linear_forward(rows_of(x), weight, bias)


@wrong_forward(
    "y has its first and its last axis swapped, (O, N) in place of (N, O): samples come first, "
    "so compute x @ weight.T, not weight @ x.T."
)
def output_transposed(x, weight, bias):
    return linear_forward(x, weight, bias).transpose(0, -1)


@wrong_forward(
    "y is right, but weight.t_() has transposed the caller's own weight: use weight.T, which "
    "leaves weight as it is."
)
def weight_transposed_in_place(x, weight, bias):
    return plus(x @ weight.t_(), bias)
