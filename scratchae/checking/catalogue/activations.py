"""Mistakes in ReLU, Tanh and Sigmoid; their derivatives are 1 if y > 0 else 0, 1 − y², y (1 − y)."""

from __future__ import annotations

CHAPTER = 3

RELU_FORWARD = {
    "absolute": (
        "y = x.abs()",
        "This is |x|: negative x comes out as −x. ReLU gives 0 for every negative x.",
    ),
    "negatives_kept": (
        "y = x.clamp(max=0)",
        "The wrong side is kept: negative x passes and positive x becomes 0. Use min=0 instead of "
        "max=0.",
    ),
    "mask_returned": (
        "y = (x > 0).to(x.dtype)",
        "This is the mask: 1 where x > 0, and 0 elsewhere. Multiply the mask by x.",
    ),
    "x_overwritten": (
        "y = x.clamp_(min=0)",
        "y is right, but the caller's x has been overwritten. Use x.clamp(min=0), which makes a new "
        "tensor, not x.clamp_(min=0).",
    ),
    "leaky": (
        "y = leaky_relu_forward(x)",
        "This is the leaky ReLU: negative x comes out as 0.01 x. The plain ReLU gives 0 there.",
    ),
    "capped_at_one": (
        "y = x.clamp(min=0, max=1)",
        "y stops at 1. ReLU has no upper limit: every positive x passes unchanged. Omit max=1.",
    ),
    "positives_picked_out": (
        "y = x[x > 0]",
        "Only the positive numbers are left, in one long list. Keep the shape of x, with 0 where x is "
        "negative.",
    ),
    "softplus": (
        "y = torch.log1p(torch.exp(x))",
        "This is the softplus log(1 + eˣ), a ReLU with a rounded corner. It is larger than max(x, 0) "
        "everywhere, by 0.69 at x = 0.",
    ),
}

RELU_BACKWARD = {
    "slope_one_at_zero": (
        "dx = dy * (y >= 0)",
        "dx is dy everywhere. The derivative is 1 only where y > 0; y >= 0 is always true, because y is "
        "never negative.",
    ),
    "dy_thresholded": (
        "dx = relu_forward(dy)",
        "The mask is computed from dy instead of y. A negative dy passes where y > 0, and no dy "
        "passes where y is 0.",
    ),
    "dy_and_y_thresholded": (
        "dy = relu_forward(dy); ...",
        "dx is dy only where both dy and y are positive. The mask depends on y alone: a negative "
        "dy passes where y > 0.",
    ),
    "mask_reversed": (
        "dx = dy * (y <= 0)",
        "The mask is reversed: dy passes where y is 0 and stops where y > 0. Let it pass where y > 0.",
    ),
    "dy_forgotten": (
        "dx = y.sign()",
        "This is the derivative alone, 1 where y > 0 and 0 elsewhere. Multiply it by dy.",
    ),
    "dy_times_output": (
        "dx = dy * y",
        "dy is multiplied by y. The derivative is 1 where y > 0, however large y is: multiply by "
        "(y > 0).",
    ),
    "leaky_slope": (
        "dx = torch.where(y > 0, dy, 0.01 * dy)",
        "Where y is 0, dx is 0.01 dy: that is the leaky ReLU. The plain ReLU has derivative 0 there.",
    ),
    "slope_half_at_zero": (
        "dx = torch.where(y > 0, dy, 0.5 * dy)",
        "Where y is 0, dx is dy / 2. But y is 0 for every negative x too, and the derivative there is "
        "0.",
    ),
    "dy_overwritten": (
        "dy[y == 0] = 0; dx = dy",
        "dx is right, but it was written into the caller's dy. Make a new tensor, dy * (y > 0), instead "
        "of dy[y == 0] = 0.",
    ),
    "y_overwritten": (
        "dx = dy * y.sign_()",
        "dx is right, but y, which the layer has saved, was overwritten. Use y.sign(), not y.sign_().",
    ),
}

TANH_FORWARD = {
    "sigmoid_for_tanh": (
        "y = sigmoid_forward(x)",
        "This is sigmoid x, from 0 to 1. tanh x runs from −1 to 1.",
    ),
    "argument_halved": (
        "y = (1 - torch.exp(-x)) / (1 + torch.exp(-x))",
        "This is tanh(x / 2). Write e⁻²ˣ instead of e⁻ˣ in both places: (1 − e⁻²ˣ) / (1 + e⁻²ˣ).",
    ),
    "sinh_for_tanh": (
        "y = torch.sinh(x)",
        "This is sinh x = (eˣ − e⁻ˣ) / 2, which grows without limit. Divide by eˣ + e⁻ˣ, not by 2.",
    ),
    "fraction_reversed": (
        "y = 1 / torch.tanh(x)",
        "The fraction is upside down, so |y| is above 1. tanh x is (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ).",
    ),
    "tanh_sign_swapped": (
        "...; y = -y",
        "The sign is wrong. The numerator is eˣ − e⁻ˣ, not e⁻ˣ − eˣ: a positive x gives a positive y.",
    ),
    "cut_off": (
        "y = x.clamp(-1, 1)",
        "This is x cut off at −1 and 1, a line with two corners. tanh is smooth: tanh 1 is 0.76.",
    ),
    "tan_for_tanh": (
        "y = torch.tan(x)",
        "This is tan x. Call torch.tanh, with an h.",
    ),
    "tanh_in_place": (
        "y = x.tanh_()",
        "y is right, but the caller's x has been overwritten. Use torch.tanh(x), not x.tanh_().",
    ),
}

TANH_BACKWARD = {
    "tanh_twice": (
        "y = tanh_forward(y); ...",
        "tanh is applied twice. y is already tanh x: the derivative is 1 − y², not 1 − tanh(y)².",
    ),
    "y_not_squared": (
        "dx = dy * (1 - y)",
        "y is not squared. The derivative is 1 − y², not 1 − y.",
    ),
    "sigmoid_slope": (
        "dx = sigmoid_backward(dy, y)",
        "This uses the derivative of sigmoid, y (1 − y). That of tanh is 1 − y².",
    ),
    "tanh_dy_forgotten": (
        "dx = 1 - y * y",
        "This is the derivative 1 − y² alone. Multiply it by dy.",
    ),
    "tanh_brackets_forgotten": (
        "dx = dy * 1 - y * y",
        "This is dy · 1 − y². dy must multiply the whole derivative: write brackets, dy * (1 - y * "
        "y).",
    ),
    "slope_sign_swapped": (
        "...; dx = -dx",
        "The sign is wrong. The derivative is 1 − y², which is never negative, not y² − 1.",
    ),
    "squared_added": (
        "dx = dy * (1 + y * y)",
        "This uses 1 + y². The derivative is 1 − y²: tanh gets flatter as |y| grows.",
    ),
    "tanh_dy_overwritten": (
        "dx = dy.mul_(1 - y * y)",
        "dx is right, but it was written into the caller's dy. Use dy * (1 - y * y), not dy.mul_.",
    ),
}

SIGMOID_FORWARD = {
    "tanh_for_sigmoid": (
        "y = tanh_forward(x)",
        "This is tanh x, from −1 to 1. Sigmoid runs from 0 to 1.",
    ),
    "exponent_sign_forgotten": (
        "x = -x; ...",
        "This is 1 / (1 + eˣ), which falls as x grows. Sigmoid rises: the exponent is −x.",
    ),
    "sigmoid_brackets_forgotten": (
        "y = 1 / 1 + torch.exp(-x)",
        "This is 1 / 1 + e⁻ˣ, which Python reads as 1 + e⁻ˣ. Put brackets around the denominator: "
        "1 / (1 + e⁻ˣ).",
    ),
    "minus_for_plus": (
        "y = 1 / (1 - torch.exp(-x))",
        "This is 1 / (1 − e⁻ˣ). The denominator is 1 + e⁻ˣ.",
    ),
    "softmax_for_sigmoid": (
        "y = torch.exp(x) / torch.exp(x).sum(dim=-1, keepdim=True)",
        "This is softmax: eˣ is divided by its sum over the last axis, so each row adds up to 1. "
        "Sigmoid is computed from each number alone, 1 / (1 + e⁻ˣ).",
    ),
    "sigmoid_in_place": (
        "y = x.sigmoid_()",
        "y is right, but the caller's x has been overwritten. Make a new tensor: "
        "1 / (1 + torch.exp(-x)).",
    ),
}

SIGMOID_BACKWARD = {
    "sigmoid_twice": (
        "y = sigmoid_forward(y); ...",
        "Sigmoid is applied twice. y is already sigmoid x: the derivative is y (1 − y), without "
        "another sigmoid.",
    ),
    "tanh_slope": (
        "dx = tanh_backward(dy, y)",
        "This uses the derivative of tanh, 1 − y². That of sigmoid is y (1 − y).",
    ),
    "one_minus_y_forgotten": (
        "dx = dy * y",
        "The factor 1 − y is missing. The derivative is y (1 − y).",
    ),
    "y_forgotten": (
        "dx = dy * (1 - y)",
        "The factor y is missing. The derivative is y (1 − y).",
    ),
    "sigmoid_dy_forgotten": (
        "dx = y * (1 - y)",
        "This is the derivative y (1 − y) alone. Multiply it by dy.",
    ),
    "slope_brackets_forgotten": (
        "dx = dy * (y * 1 - y)",
        "The derivative is written y * 1 - y, which is 0 everywhere. Put brackets around 1 - y.",
    ),
    "sigmoid_dy_overwritten": (
        "dx = dy.mul_(y * (1 - y))",
        "dx is right, but it was written into the caller's dy. Use dy * (y * (1 - y)), not dy.mul_.",
    ),
}

MISTAKES = {
    "relu_forward": RELU_FORWARD,
    "relu_backward": RELU_BACKWARD,
    "tanh_forward": TANH_FORWARD,
    "tanh_backward": TANH_BACKWARD,
    "sigmoid_forward": SIGMOID_FORWARD,
    "sigmoid_backward": SIGMOID_BACKWARD,
}
