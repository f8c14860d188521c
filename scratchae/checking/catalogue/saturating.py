"""Mistakes in Tanh and Sigmoid (chapter 3), whose slopes are 1 − y² and y (1 − y)."""

from __future__ import annotations

from functools import partial

import torch

from scratchae.checking.mistake import mistake
from scratchae.layers.activations import (
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)

wrong_tanh = partial(mistake, "tanh_forward", chapter=3)
wrong_tanh_backward = partial(mistake, "tanh_backward", chapter=3)
wrong_sigmoid = partial(mistake, "sigmoid_forward", chapter=3)
wrong_sigmoid_backward = partial(mistake, "sigmoid_backward", chapter=3)


@wrong_tanh("This is sigmoid x, from 0 to 1: tanh x goes from −1 to 1.")
def sigmoid_for_tanh(x):
    return sigmoid_forward(x)


@wrong_tanh(
    "This is tanh(x / 2): (1 − e⁻ˣ) / (1 + e⁻ˣ) wants e⁻²ˣ in both places, as 2 sigmoid(2x) − 1 "
    "has."
)
def argument_halved(x):
    return (1 - torch.exp(-x)) / (1 + torch.exp(-x))


@wrong_tanh("This is (eˣ − e⁻ˣ) / 2, which grows without end: divide by eˣ + e⁻ˣ, not by 2.")
def sinh_for_tanh(x):
    return torch.sinh(x)


@wrong_tanh("The fraction is upside down, so |y| is above 1: tanh x is (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).")
def fraction_reversed(x):
    return 1 / torch.tanh(x)


@wrong_tanh(
    "The sign is wrong: the top of the fraction is eˣ − e⁻ˣ, not e⁻ˣ − eˣ; positive x wants "
    "positive y."
)
def tanh_sign_swapped(x):
    return -torch.tanh(x)


@wrong_tanh(
    "This is x cut off at −1 and 1, a line with two corners: tanh bends smoothly, tanh 1 is 0.76."
)
def cut_off(x):
    return x.clamp(-1, 1)


@wrong_tanh("This is tan x: call torch.tanh, with an h.")
def tan_for_tanh(x):
    return torch.tan(x)


@wrong_tanh(
    "y is right, but the caller's x has been overwritten: use torch.tanh(x), not x.tanh_()."
)
def tanh_in_place(x):
    return x.tanh_()


@wrong_tanh_backward(
    "tanh is taken once more: y is already tanh x, so the slope is 1 − y², not 1 − tanh(y)²."
)
def tanh_twice(dy, y):
    return tanh_backward(dy, tanh_forward(y))


@wrong_tanh_backward("y is not squared: the slope is 1 − y², not 1 − y.")
def y_not_squared(dy, y):
    return dy * (1 - y)


@wrong_tanh_backward("The slope used is sigmoid's, y (1 − y): tanh has 1 − y².")
def sigmoid_slope(dy, y):
    return sigmoid_backward(dy, y)


@wrong_tanh_backward("This is the slope 1 − y² alone: multiply it by dy.")
def tanh_dy_forgotten(dy, y):
    return 1 - y * y


@wrong_tanh_backward(
    "This is dy · 1 − y²: brackets are missing, dy multiplies the whole slope, dy * (1 - y * y)."
)
def tanh_brackets_forgotten(dy, y):
    return dy * 1 - y * y


@wrong_tanh_backward("The sign is wrong: the slope is 1 − y², never negative, not y² − 1.")
def slope_sign_swapped(dy, y):
    return -tanh_backward(dy, y)


@wrong_tanh_backward("The slope used is 1 + y²: it is 1 − y², flatter for larger y.")
def squared_added(dy, y):
    return dy * (1 + y * y)


@wrong_tanh_backward(
    "dx is right, but it was written into the caller's dy: use dy * (1 - y * y), not dy.mul_."
)
def tanh_dy_overwritten(dy, y):
    return dy.mul_(1 - y * y)


@wrong_sigmoid("This is tanh x, from −1 to 1: sigmoid goes from 0 to 1.")
def tanh_for_sigmoid(x):
    return tanh_forward(x)


@wrong_sigmoid("This is 1 / (1 + eˣ), falling where sigmoid rises: the exponent is −x.")
def exponent_sign_forgotten(x):
    return sigmoid_forward(-x)


@wrong_sigmoid(
    "This is 1 / 1 + e⁻ˣ, which Python reads as 1 + e⁻ˣ: put brackets round the bottom, 1 / (1 + "
    "e⁻ˣ)."
)
def sigmoid_brackets_forgotten(x):
    return 1 / 1 + torch.exp(-x)


@wrong_sigmoid("This is 1 / (1 − e⁻ˣ): the bottom is 1 + e⁻ˣ.")
def minus_for_plus(x):
    return 1 / (1 - torch.exp(-x))


@wrong_sigmoid(
    "eˣ is divided by its sum along the last axis, so each row adds up to 1: sigmoid looks at "
    "one number alone, 1 / (1 + e⁻ˣ)."
)
def softmax_for_sigmoid(x):
    return torch.exp(x) / torch.exp(x).sum(dim=-1, keepdim=True)


@wrong_sigmoid(
    "y is right, but the caller's x has been overwritten by it: make a new tensor, 1 / (1 + "
    "torch.exp(-x))."
)
def sigmoid_in_place(x):
    return x.sigmoid_()


@wrong_sigmoid_backward(
    "sigmoid is taken once more: y is already sigmoid x, so the slope is y (1 − y) with y as it is."
)
def sigmoid_twice(dy, y):
    return sigmoid_backward(dy, sigmoid_forward(y))


@wrong_sigmoid_backward("The slope used is tanh's, 1 − y²: sigmoid has y (1 − y).")
def tanh_slope(dy, y):
    return tanh_backward(dy, y)


@wrong_sigmoid_backward("The factor 1 − y is missing: the slope is y (1 − y).")
def one_minus_y_forgotten(dy, y):
    return dy * y


@wrong_sigmoid_backward("The factor y is missing: the slope is y (1 − y).")
def y_forgotten(dy, y):
    return dy * (1 - y)


@wrong_sigmoid_backward("This is the slope y (1 − y) alone: multiply it by dy.")
def sigmoid_dy_forgotten(dy, y):
    return y * (1 - y)


@wrong_sigmoid_backward("The slope is y * 1 - y, which is 0 everywhere: put brackets round 1 - y.")
def slope_brackets_forgotten(dy, y):
    return dy * (y * 1 - y)


@wrong_sigmoid_backward(
    "dx is right, but it was written into the caller's dy: use dy * (y * (1 - y)), not dy.mul_."
)
def sigmoid_dy_overwritten(dy, y):
    return dy.mul_(y * (1 - y))
