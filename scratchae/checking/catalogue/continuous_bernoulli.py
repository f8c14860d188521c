"""Mistakes in the continuous Bernoulli: ℓ = A(z) − z x and dz = m(z) − x with A = log((eᶻ − 1) / z)."""

from __future__ import annotations

import math

from scratchae.layers.activations import sigmoid_forward  # noqa: F401 - rows use it
from scratchae.losses.bce import bce_with_logits_forward  # noqa: F401 - rows use it

CHAPTER = 0
LOG_2 = math.log(2)

FORWARD = {
    "normaliser_missing": (
        "terms = bce_with_logits_forward(logits, target)",
        "This is BCE. For grey pixels it is no log-likelihood, because its density has no integral of 1. "
        "Subtract log C.",
    ),
    "normaliser_added": (
        "bce = bce_with_logits_forward(logits, target); ...; terms = 2 * bce - terms",
        "log C is added. The density is multiplied by C, so −log p has − log C.",
    ),
    "factor_two_missing": (
        "...; terms = terms + LOG_2",
        "The normaliser lacks its factor 2: C(λ) = 2 artanh(1 − 2λ) / (1 − 2λ), which is 2 at λ = 1/2.",
    ),
    "zero_over_zero": (
        "a = logits.abs()\n"
        "terms = logits.clamp(min=0) + torch.log(-torch.expm1(-a) / a) - logits * target",
        "At z = 0, λ = 1/2, the quotient is 0 / 0. Its limit is 1: use a series near 0, or clamp |z| to a "
        "tiny number.",
    ),
    "half_everywhere_near_zero": (
        "terms = torch.where(logits.abs() < 0.5, logits / 2 - logits * target, right(logits, target))",
        "Near z = 0 the logarithm A is taken for z/2. This is its first term only: add z²/24 − z⁴/2880 + "
        "...",
    ),
    "overflows": (
        "terms = torch.log(torch.expm1(logits) / logits) - logits * target\n"
        "terms = torch.where(logits == 0, 0.0, terms)",
        "exp(z) overflows for large z. Take it out of the logarithm: "
        "max(z, 0) + log((1 − exp(−|z|)) / |z|).",
    ),
    "expm1_without_minus": (
        "torch.log(-torch.expm1(-a) / a) → torch.log(torch.expm1(a) / a)",
        "The second part is log((exp(a) − 1) / a) with a = |z|. exp(z) is already taken out: it is "
        "log((1 − exp(−a)) / a).",
    ),
    "target_part_added": (
        "...; terms = terms + 2 * logits * target",
        "z x is added. The density grows with exp(z x), so −log p has − z x.",
    ),
    "log_likelihood": (
        "...; terms = -terms",
        "This is the log-likelihood. The loss is its negative.",
    ),
    "sigmoid_twice": (
        "logits = sigmoid_forward(logits); ...",
        "A sigmoid is applied to the logits first. Use the logits as they are: the formula needs z.",
    ),
    "targets_from_minus_one_to_one": (
        "target = 2 * target - 1; ...",
        "The targets are scaled to [-1, 1]. The distribution is one of pixels in [0, 1].",
    ),
    "targets_exchanged": (
        "target = 1 - target; ...",
        "x and 1 − x are exchanged: bright pixels are taken for dark ones.",
    ),
    "targets_rounded": (
        "target = target.round(); ...",
        "The targets are rounded to 0 or 1. This distribution is for grey pixels: use them as they are.",
    ),
    "terms_averaged": (
        "...; terms = terms.mean()",
        "The terms are averaged already. Return one for every pixel: the reduction comes later.",
    ),
}

BACKWARD = {
    "gradient_of_bce": (
        "dlogits = sigmoid_forward(logits) - target",
        "This is σ(z) − x, the gradient of BCE. The normaliser depends on z too: the mean m(z) takes the "
        "place of σ(z).",
    ),
    "sign_swapped": (
        "...; dlogits = -dlogits",
        "The sign is wrong: this is x − m(z). The derivative is m(z) − x.",
    ),
    "target_forgotten": (
        "dlogits = continuous_bernoulli_mean(logits)",
        "The target is missing: the derivative is m(z) − x.",
    ),
    "cancels_near_zero": (
        "dlogits = -1 / torch.expm1(-logits) - 1 / logits - target",
        "Near z = 0 the two parts of m are large and cancel, and at 0 they are infinite. Use a series "
        "there: m = 1/2 + z/12 − z³/720 + ...",
    ),
    "series_too_short": (
        "dlogits = torch.where(logits.abs() < 0.5, 0.5 + logits / 12, continuous_bernoulli_mean(logits))"
        " - target",
        "The series 1/2 + z/12 is too short for its range. Add − z³/720 + z⁵/30240 − ..., or use it closer "
        "to 0 only.",
    ),
    "half_everywhere_near_zero": (
        "dlogits = torch.where(logits.abs() < 0.5, 0.5, continuous_bernoulli_mean(logits)) - target",
        "Near z = 0 the mean is taken for 1/2. It is 1/2 at 0 only: add z/12 − z³/720 + ...",
    ),
    "overflows": (
        "z = logits; m = torch.exp(z) / torch.expm1(z) - 1 / z\n"
        "dlogits = torch.where(z.abs() < 0.5, continuous_bernoulli_mean(z), m) - target",
        "exp(z) / (exp(z) − 1) is inf / inf for large z. Write it as 1 / (1 − exp(−z)).",
    ),
    "slope_of_sigmoid": (
        "...; y = sigmoid_forward(logits); dlogits = dlogits * y * (1 - y)",
        "The slope of the sigmoid, σ (1 − σ), is multiplied in. m(z) − x is already the derivative for "
        "the logit.",
    ),
    "targets_from_minus_one_to_one": (
        "target = 2 * target - 1; ...",
        "The targets are scaled to [-1, 1]. Keep the pixels in [0, 1], as the forward pass does.",
    ),
    "divided_by_elements": (
        "...; dlogits = dlogits / logits.numel()",
        "The derivatives are divided by the number of elements. They are those of single terms: the "
        "reduction comes later.",
    ),
}

MISTAKES = {"continuous_bernoulli_forward": FORWARD, "continuous_bernoulli_backward": BACKWARD}
