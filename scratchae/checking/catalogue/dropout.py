"""Mistakes in Dropout: y = x m / (1 − p) and dx = dy m / (1 − p), and both are 0 if p = 1."""

from __future__ import annotations

CHAPTER = 0

FORWARD = {
    "not_scaled": (
        "y = x * mask",
        "The kept numbers are not divided by 1 − p, so y is too small on average: in evaluation, where "
        "y = x, the next layer would see larger numbers.",
    ),
    "divided_by_p": (
        "y = x * mask / p",
        "The kept numbers are divided by p. They are kept with probability 1 − p: divide by 1 − p.",
    ),
    "multiplied_by_keep": (
        "y = x * mask * (1 - p)",
        "The kept numbers are multiplied by 1 − p. Divide by it, so that the expected value of y is x.",
    ),
    "mask_inverted": (
        "y = right(x, ~mask, p)",
        "The mask is inverted: what should be kept is dropped. mask is 1 where x is kept.",
    ),
    "mask_ignored": (
        "y = x * keep_factor(p)",
        "No number is dropped. Multiply by the mask too.",
    ),
    "one_mask_for_all": (
        "y = right(x, mask[:1].expand(mask.shape), p)",
        "All samples use the mask of the first one. Each sample has its own.",
    ),
    "nothing_left_to_divide": (
        "y = x * mask / (1 - p)",
        "With p = 1 this divides 0 by 0. All numbers are dropped then: return zeros.",
    ),
    "evaluation_formula": (
        "y = x.clone()",
        "y is x, as in evaluation. In training the masked numbers are 0 and the others are divided by "
        "1 − p.",
    ),
    "dropout_in_place": (
        "y = x.mul_(mask).mul_(keep_factor(p))",
        "y is right, but the caller's x has been overwritten. Use x * mask, not x.mul_(mask).",
    ),
}

BACKWARD = {
    "gradient_not_scaled": (
        "dx = dy * mask",
        "dx lacks the factor 1 / (1 − p). y = x m / (1 − p), so dx = dy m / (1 − p).",
    ),
    "gradient_not_masked": (
        "dx = dy * keep_factor(p)",
        "Dropped numbers get a gradient. They do not reach the loss: multiply dy by the mask.",
    ),
    "gradient_of_the_dropped": (
        "dx = right(dy, ~mask, p)",
        "The mask is inverted: the gradient goes to the dropped numbers. mask is 1 where x was kept.",
    ),
    "scaled_twice": (
        "...; dx = dx * keep_factor(p)",
        "dx is divided by 1 − p twice. Divide once: dx = dy m / (1 − p).",
    ),
    "gradient_multiplied_by_keep": (
        "dx = dy * mask * (1 - p)",
        "dy is multiplied by 1 − p. Divide by it, as in the forward pass.",
    ),
    "mask_of_dy": (
        "dx = dy * (dy > 0) * keep_factor(p)",
        "The mask is computed from dy, as in ReLU. Use the mask of the forward pass.",
    ),
    "nothing_left_for_dx": (
        "dx = dy * mask / (1 - p)",
        "With p = 1 this divides 0 by 0. All numbers are dropped then: dx is zeros.",
    ),
    "dropout_dy_forgotten": (
        "dy = dy * 0 + 1; ...",
        "This is the derivative m / (1 − p) alone. Multiply it by dy.",
    ),
    "dropout_dy_overwritten": (
        "dx = dy.mul_(mask).mul_(keep_factor(p))",
        "dx is right, but it was written into the caller's dy. Use dy * mask, not dy.mul_(mask).",
    ),
}

MISTAKES = {"dropout_forward": FORWARD, "dropout_backward": BACKWARD}
