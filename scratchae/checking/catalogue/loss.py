"""Mistakes in the mean squared error (chapter 1): mean((p − t)²) and 2 (p − t) / n."""

from __future__ import annotations

from functools import partial

from scratchae.checking.mistake import mistake
from scratchae.losses import mse_backward, mse_forward

wrong_loss = partial(mistake, "mse_forward", chapter=1)
wrong_gradient = partial(mistake, "mse_backward", chapter=1)


@wrong_loss(
    "The squares are summed, not averaged: divide by the number of all elements, "
    "prediction.numel()."
)
def summed(prediction, target):
    return (prediction - target).square().sum()


@wrong_loss(
    "The sum of squares is divided by the number of samples only: divide by all elements, "
    "prediction.numel()."
)
def averaged_over_samples_only(prediction, target):
    return (prediction - target).square().sum() / prediction.shape[0]


@wrong_loss(
    "There is one loss a sample, averaged along the last axis only: average over every axis, to "
    "a tensor of shape ()."
)
def one_loss_a_sample(prediction, target):
    return (prediction - target).square().mean(dim=-1)


@wrong_loss(
    "The squares are not averaged at all and the result has prediction's shape: end with .mean()."
)
def not_averaged(prediction, target):
    return (prediction - target).square()


@wrong_loss("The loss is halved: it is mean((p − t)²), without a 1/2.")
def halved(prediction, target):
    return mse_forward(prediction, target) / 2


@wrong_loss("A square root is taken at the end: leave it out.")
def rooted(prediction, target):
    return mse_forward(prediction, target).sqrt()


@wrong_loss("The differences are made positive with abs, not squared: this is mean(|p − t|).")
def absolute_difference(prediction, target):
    return (prediction - target).abs().mean()


@wrong_loss(
    "The differences are averaged as they are, so too high and too low cancel: square each one "
    "first."
)
def square_forgotten(prediction, target):
    return (prediction - target).mean()


@wrong_loss(
    "The mean comes before the square, so too high and too low cancel: square each difference, "
    "then average."
)
def squared_after_mean(prediction, target):
    return (prediction - target).mean().square()


@wrong_loss("This is mean(p² − t²): subtract first, then square, mean((p − t)²).")
def squared_before_difference(prediction, target):
    return (prediction.square() - target.square()).mean()


@wrong_loss(
    "The value is right, but it is a Python number: return the tensor of shape (), without .item()."
)
def python_number(prediction, target):
    return mse_forward(prediction, target).item()


@wrong_loss(
    "The loss is right, but the caller's prediction has become the difference: use prediction - "
    "target, not -= or sub_."
)
def prediction_overwritten(prediction, target):
    return prediction.sub_(target).square().mean()


@wrong_gradient("The factor 2 is missing: the slope of d² is 2 d.")
def two_forgotten(prediction, target):
    return mse_backward(prediction, target) / 2


@wrong_gradient(
    "The sign is wrong: this is the gradient for target; for prediction it is 2 (p − t) / n, "
    "with p first."
)
def sign_swapped(prediction, target):
    return mse_backward(target, prediction)


@wrong_gradient(
    "This is 2 (p − t), the gradient of the sum: the mean divides by n, the number of all elements."
)
def n_forgotten(prediction, target):
    return 2 * (prediction - target)


@wrong_gradient(
    "This is p − t: both the factor 2 and the division by n, the number of all elements, are "
    "missing."
)
def difference_alone(prediction, target):
    return prediction - target


@wrong_gradient(
    "2 (p − t) is divided by the number of samples only: n counts all elements, prediction.numel()."
)
def divided_by_samples_only(prediction, target):
    return 2 * (prediction - target) / prediction.shape[0]


@wrong_gradient(
    "2 (p − t) is divided by the size of the last axis only: n counts all elements, "
    "prediction.numel()."
)
def divided_by_last_axis_only(prediction, target):
    return 2 * (prediction - target) / prediction.shape[-1]


@wrong_gradient(
    "The difference is still squared: the slope of d² is 2 d, so this wants 2 (p − t) / n."
)
def still_squared(prediction, target):
    return mse_backward(prediction, target) * (prediction - target)


@wrong_gradient(
    "Only the sign of p − t is used, as for the absolute error: the gradient grows with the "
    "difference, 2 (p − t) / n."
)
def sign_alone(prediction, target):
    return (prediction - target).sign() / prediction.numel()


@wrong_gradient(
    "This is the gradient of √L, the right one divided by 2 √L: the loss has no root, so leave "
    "that factor away."
)
def gradient_of_root(prediction, target):
    return mse_backward(prediction, target) / (2 * mse_forward(prediction, target).sqrt())


@wrong_gradient(
    "The gradient is summed over the samples: each number of prediction has its own, so keep "
    "prediction's shape."
)
def gradient_summed_over_samples(prediction, target):
    return mse_backward(prediction, target).sum(dim=0)


@wrong_gradient(
    "The gradient is right, but it was written into the caller's prediction: make a new tensor, "
    "prediction - target."
)
def gradient_in_place(prediction, target):
    return prediction.sub_(target).mul_(2 / prediction.numel())
