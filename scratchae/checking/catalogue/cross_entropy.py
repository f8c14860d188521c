"""Mistakes in the cross-entropy: ℓ = −Σ q log p with p = softmax(z), and dz = Q p − q with Q = Σ q."""

from __future__ import annotations

from scratchae.layers.activations import sigmoid_forward  # noqa: F401 - rows use it
from scratchae.losses.bce import bce_with_logits_forward  # noqa: F401 - rows use it

CHAPTER = 0

FORWARD = {
    "exponential_overflows": (
        "log_p = logits - torch.log(torch.exp(logits).sum(1, keepdim=True))\n"
        "terms = -(target * log_p).sum(1)",
        "exp(z) overflows for large logits. Subtract the largest logit of each sample first: it does not "
        "change the softmax.",
    ),
    "logarithm_of_softmax": (
        "p = torch.exp(log_softmax(logits)); terms = -(target * torch.log(p)).sum(1)",
        "For large logits p is rounded to 0, and its logarithm is infinite. Compute log p directly: "
        "z − m − log Σ exp(z − m).",
    ),
    "one_maximum_for_all": (
        "shifted = logits - logits.max()\n"
        "log_p = shifted - torch.log(torch.exp(shifted).sum(1, keepdim=True))\n"
        "terms = -(target * log_p).sum(1)",
        "All samples share one maximum, so in samples with small logits every exp(z − m) is 0. Each sample "
        "needs its own: amax over axis 1.",
    ),
    "softmax_over_batch": (
        "log_p = log_softmax(logits.transpose(0, 1)).transpose(0, 1)\n"
        "terms = -(target * log_p).sum(1)",
        "The softmax is taken over the samples. The classes are axis 1.",
    ),
    "softmax_over_last_axis": (
        "log_p = log_softmax(logits.transpose(1, -1)).transpose(1, -1)\n"
        "terms = -(target * log_p).sum(1)",
        "The softmax is taken over the last axis. With images (N, C, H, W) the classes are axis 1.",
    ),
    "averaged_over_classes": (
        "...; terms = terms / logits.shape[1]",
        "The terms are averaged over the classes. Sum over them: Σ q log p.",
    ),
    "logarithm_missing": (
        "terms = -(target * torch.exp(log_softmax(logits))).sum(1)",
        "The logarithm is missing: this is −Σ q p. The loss is −Σ q log p.",
    ),
    "sign_swapped": (
        "...; terms = -terms",
        "The sign is wrong: this is the log-likelihood Σ q log p. The loss is its negative.",
    ),
    "softmax_missing": (
        "terms = -(target * logits).sum(1)",
        "The logits are taken for log p. They are not normalised: subtract log Σ exp(z).",
    ),
    "normaliser_added": (
        "normaliser = logits - log_softmax(logits)\nterms = -(target * (logits + normaliser)).sum(1)",
        "log Σ exp(z) is added. log p is z − log Σ exp(z).",
    ),
    "softmax_twice": (
        "logits = torch.exp(log_softmax(logits)); ...",
        "Softmax is applied twice: the logits are made probabilities before the formula. Use the logits as "
        "they are.",
    ),
    "one_sigmoid_a_class": (
        "terms = bce_with_logits_forward(logits, target).sum(1)",
        "Every class has a sigmoid of its own. The classes exclude each other: use one softmax over all.",
    ),
    "terms_averaged": (
        "...; terms = terms.mean()",
        "The terms are averaged already. Return one for every sample: the reduction comes later.",
    ),
}

BACKWARD = {
    "sum_of_target_forgotten": (
        "dlogits = torch.exp(log_softmax(logits)) - target",
        "This is p − q, which holds if q sums to 1. Weighted targets do not: it is Q p − q with Q = Σ q.",
    ),
    "sign_swapped": (
        "...; dlogits = -dlogits",
        "The sign is wrong: this is q − Q p. The derivative is Q p − q.",
    ),
    "logarithm_kept": (
        "dlogits = target.sum(1, keepdim=True) * log_softmax(logits) - target",
        "log p stands where p should be. The derivative is Q p − q, with the probabilities.",
    ),
    "gradient_for_probabilities": (
        "dlogits = -target * torch.exp(-log_softmax(logits).clamp(min=-500))",
        "This is −q / p, the derivative for the probabilities. Every logit changes all of them: the "
        "derivative for z is Q p − q.",
    ),
    "other_classes_forgotten": (
        "dlogits = target * (torch.exp(log_softmax(logits)) - 1)",
        "Only the own class of each logit is there: q (p − 1). A logit lowers all other probabilities too: "
        "Q p − q.",
    ),
    "target_forgotten": (
        "dlogits = target.sum(1, keepdim=True) * torch.exp(log_softmax(logits))",
        "−q is missing: the derivative is Q p − q.",
    ),
    "divided_by_classes": (
        "...; dlogits = dlogits / logits.shape[1]",
        "The derivatives are divided by the number of classes. The loss is a sum over the classes.",
    ),
    "softmax_over_batch": (
        "p = torch.exp(log_softmax(logits.transpose(0, 1)).transpose(0, 1))\n"
        "dlogits = target.sum(1, keepdim=True) * p - target",
        "The softmax is taken over the samples. The classes are axis 1.",
    ),
    "softmax_over_last_axis": (
        "p = torch.exp(log_softmax(logits.transpose(1, -1)).transpose(1, -1))\n"
        "dlogits = target.sum(1, keepdim=True) * p - target",
        "The softmax is taken over the last axis. With images (N, C, H, W) the classes are axis 1.",
    ),
    "exponential_overflows": (
        "p = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)\n"
        "dlogits = target.sum(1, keepdim=True) * p - target",
        "exp(z) overflows for large logits. Subtract the largest logit of each sample first.",
    ),
    "sigmoid_for_softmax": (
        "dlogits = target.sum(1, keepdim=True) * sigmoid_forward(logits) - target",
        "A sigmoid stands in the place of the softmax. Divide exp(z) by its sum over the classes.",
    ),
}

MISTAKES = {"cross_entropy_forward": FORWARD, "cross_entropy_backward": BACKWARD}
