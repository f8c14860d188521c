"""Mistakes in ReLU (chapter 3): max(x, 0), and dy where the output y is positive."""

from __future__ import annotations

from functools import partial

import torch

from scratchae.checking.mistake import mistake
from scratchae.layers.activations import leaky_relu_forward, relu_backward, relu_forward

wrong_forward = partial(mistake, "relu_forward", chapter=3)
wrong_backward = partial(mistake, "relu_backward", chapter=3)


@wrong_forward("Negative x comes out as −x: this is |x|; ReLU makes every negative x zero.")
def absolute(x):
    return x.abs()


@wrong_forward(
    "The wrong side is kept: negative x passes and positive x becomes 0; use x.clamp(min=0), not "
    "max=0."
)
def negatives_kept(x):
    return x.clamp(max=0)


@wrong_forward(
    "This is the mask, 1 where x > 0 and 0 elsewhere: y is x itself where x > 0, so multiply the "
    "mask by x."
)
def mask_returned(x):
    return (x > 0).to(x.dtype)


@wrong_forward(
    "y is right, but the caller's x has been overwritten: x.clamp(min=0) makes a new tensor, "
    "x.clamp_(min=0) does not."
)
def x_overwritten(x):
    return x.clamp_(min=0)


@wrong_forward(
    "Negative x comes out as 0.01 x: this is the leaky ReLU; the plain one gives 0 there."
)
def leaky(x):
    return leaky_relu_forward(x)


@wrong_forward(
    "y stops at 1: ReLU has no upper end, every positive x passes unchanged; leave max=1 away."
)
def capped_at_one(x):
    return x.clamp(min=0, max=1)


@wrong_forward(
    "Only the positive numbers are left, in one long list: keep x's shape and put zeros where x "
    "is negative."
)
def positives_picked_out(x):
    return x[x > 0]


@wrong_forward(
    "This is log(1 + eˣ), a ReLU with its corner rounded: it is above max(x, 0) everywhere, by "
    "0.69 at x = 0."
)
def softplus(x):
    return torch.log1p(torch.exp(x))


@wrong_backward(
    "dx is dy everywhere, also where y is 0: the slope is 1 only where y > 0; a mask y >= 0 "
    "always holds, because y is never negative."
)
def slope_one_at_zero(dy, y):
    return dy * (y >= 0)


@wrong_backward(
    "The mask is on dy, not on y: a negative dy has to pass where y > 0, and any dy stops where "
    "y is 0."
)
def dy_thresholded(dy, y):
    return relu_forward(dy)


@wrong_backward(
    "dx is dy where both dy and y are positive: only y decides, so a negative dy has to pass "
    "where y > 0."
)
def dy_and_y_thresholded(dy, y):
    return relu_backward(relu_forward(dy), y)


@wrong_backward(
    "The mask is upside down: dy passes where y is 0 and stops where y > 0; it has to be the "
    "other way round."
)
def mask_reversed(dy, y):
    return dy * (y <= 0)


@wrong_backward("This is the slope alone, 1 where y > 0 and 0 elsewhere: dx is the slope times dy.")
def dy_forgotten(dy, y):
    return y.sign()


@wrong_backward(
    "dy is multiplied by y: the slope where y > 0 is 1, whatever the size of y, so multiply by "
    "(y > 0)."
)
def dy_times_output(dy, y):
    return dy * y


@wrong_backward(
    "Where y is 0, dx is 0.01 dy: that is the slope of the leaky ReLU; the plain one has slope 0 "
    "there."
)
def leaky_slope(dy, y):
    return torch.where(y > 0, dy, 0.01 * dy)


@wrong_backward(
    "Where y is 0, dx is dy / 2: y is 0 for every negative x too, and the slope there is 0."
)
def slope_half_at_zero(dy, y):
    return torch.where(y > 0, dy, 0.5 * dy)


@wrong_backward(
    "dx is right, but it was written into the caller's dy: make a new tensor, dy * (y > 0), in "
    "place of dy[y == 0] = 0."
)
def dy_overwritten(dy, y):
    dy[y == 0] = 0
    return dy


@wrong_backward(
    "dx is right, but y, the output that the layer remembers, has been overwritten by the slope: "
    "y.sign(), not y.sign_()."
)
def y_overwritten(dy, y):
    return dy * y.sign_()
