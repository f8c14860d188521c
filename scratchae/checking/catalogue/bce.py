"""Mistakes in BCE with logits: ℓ = (1 − t) z + softplus(−z) and dz = σ(z) − t."""

from __future__ import annotations

import math

CHAPTER = 12
LOG_2 = math.log(2)

FORWARD = {
    "logarithm_of_sigmoid": (
        "p = sigmoid_forward(logits); terms = -target * torch.log(p) - (1 - target) * torch.log(1 - p)",
        "For large logits σ(z) is rounded to 0 or 1, and its logarithm is infinite. Compute from the "
        "logit: (1 − t) z + max(−z, 0) + log1p(exp(−|z|)).",
    ),
    "softplus_overflows": (
        "terms = (1 - target) * logits + torch.log1p(torch.exp(-logits))",
        "exp(−z) overflows if z is far below 0. Write softplus(−z) as max(−z, 0) + log1p(exp(−|z|)).",
    ),
    "probabilities_clamped": (
        "p = sigmoid_forward(logits).clamp(1e-7, 1 - 1e-7)\n"
        "terms = -target * torch.log(p) - (1 - target) * torch.log(1 - p)",
        "σ(z) is clamped before the logarithm, so large terms are cut off. Compute from the logit, "
        "which needs no clamp: (1 − t) z + max(−z, 0) + log1p(exp(−|z|)).",
    ),
    "log_likelihood": (
        "...; terms = -terms",
        "This is the log-likelihood, which is at most 0. The loss is its negative.",
    ),
    "sigmoid_twice": (
        "logits = sigmoid_forward(logits); ...",
        "A sigmoid is applied to the logits, and then another one by the formula. Use the logits as "
        "they are.",
    ),
    "tanh_first": (
        "logits = torch.tanh(logits); ...",
        "The logits go through tanh first, so no probability reaches 0 or 1. End the network without an "
        "activation: BCE takes logits.",
    ),
    "targets_from_minus_one_to_one": (
        "target = 2 * target - 1; ...",
        "The targets are scaled to [-1, 1]. There BCE has no lower bound: keep the pixels in [0, 1].",
    ),
    "targets_exchanged": (
        "target = 1 - target; ...",
        "t and 1 − t are exchanged: bright pixels are taken for dark ones. −log σ(z) belongs to t.",
    ),
    "targets_rounded": (
        "target = target.round(); ...",
        "The targets are rounded to 0 or 1. Use grey pixels as they are: ℓ is linear in t.",
    ),
    "arguments_exchanged": (
        "logits, target = target, logits; ...",
        "Logits and target are exchanged. The first argument is the logit, the second the pixel.",
    ),
    "bright_pixels_only": (
        "terms = target * right(logits, torch.ones_like(target))",
        "Only t log σ(z) is there. Dark pixels count too: add (1 − t) log(1 − σ(z)).",
    ),
    "logarithm_to_base_two": (
        "...; terms = terms / LOG_2",
        "The terms are in bits. Use the natural logarithm: torch.log, not torch.log2.",
    ),
    "terms_averaged": (
        "...; terms = terms.mean()",
        "The terms are averaged already. Return one for every pixel: the reduction comes later.",
    ),
}

BACKWARD = {
    "sign_swapped": (
        "...; dlogits = -dlogits",
        "The sign is wrong: this is t − σ(z). The derivative is σ(z) − t.",
    ),
    "sigmoid_forgotten": (
        "dlogits = logits - target",
        "This is z − t. The derivative of softplus brings the sigmoid: σ(z) − t.",
    ),
    "slope_of_sigmoid_once_more": (
        "...; y = sigmoid_forward(logits); dlogits = dlogits * y * (1 - y)",
        "The slope of the sigmoid, σ (1 − σ), is multiplied in. It cancels with the derivative of the "
        "logarithm: dz is σ(z) − t alone.",
    ),
    "gradient_for_probability": (
        "y = sigmoid_forward(logits); dlogits = -target / y + (1 - target) / (1 - y)",
        "This is the derivative for the probability π. For the logit multiply by π (1 − π), which leaves "
        "σ(z) − t.",
    ),
    "sigmoid_overflows": (
        "dlogits = torch.exp(logits) / (1 + torch.exp(logits)) - target",
        "exp(z) / (1 + exp(z)) is inf / inf for large z. Write the sigmoid as 1 / (1 + exp(−z)).",
    ),
    "target_forgotten": (
        "dlogits = sigmoid_forward(logits)",
        "The target is missing: the derivative is σ(z) − t.",
    ),
    "bright_pixels_only": (
        "dlogits = -target * sigmoid_forward(-logits)",
        "This is the derivative of −t log σ(z) alone. Dark pixels add (1 − t) σ(z); together it is "
        "σ(z) − t.",
    ),
    "tanh_for_sigmoid": (
        "dlogits = torch.tanh(logits) - target",
        "tanh is used in the place of the sigmoid. The derivative is σ(z) − t, σ(z) = 1 / (1 + exp(−z)).",
    ),
    "targets_from_minus_one_to_one": (
        "target = 2 * target - 1; ...",
        "The targets are scaled to [-1, 1]. Keep the pixels in [0, 1], as the forward pass does.",
    ),
    "targets_rounded": (
        "target = target.round(); ...",
        "The targets are rounded to 0 or 1. Use grey pixels as they are: σ(z) − t.",
    ),
    "divided_by_elements": (
        "...; dlogits = dlogits / logits.numel()",
        "The derivatives are divided by the number of elements. They are those of single terms: the "
        "reduction comes later.",
    ),
}

MISTAKES = {"bce_with_logits_forward": FORWARD, "bce_with_logits_backward": BACKWARD}
