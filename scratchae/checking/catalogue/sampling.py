"""Mistakes in drawing a code: z = μ + σ ε with σ = exp(logvar / 2), dmu = dz, dlogvar = dz σ ε / 2."""

from __future__ import annotations

import torch  # noqa: F401 - rows use it

CHAPTER = 12

FORWARD = {
    "variance_for_deviation": (
        "z = mu + logvar.exp() * eps",
        "The noise is multiplied by exp(logvar), which is the variance. The deviation is its root: "
        "exp(logvar / 2).",
    ),
    "halved_after_exponential": (
        "z = mu + logvar.exp() / 2 * eps",
        "exp(logvar) / 2 is half the variance. Halve before the exponential: exp(logvar / 2) is the "
        "deviation.",
    ),
    "variance_overflows": (
        "z = mu + logvar.exp().sqrt() * eps",
        "exp(logvar) overflows for a large logvar, and its root is then infinite too. Halve before the "
        "exponential: exp(logvar / 2).",
    ),
    "logvar_as_deviation": (
        "z = mu + logvar * eps",
        "The noise is multiplied by logvar itself, which may be negative. The deviation is "
        "exp(logvar / 2).",
    ),
    "half_logvar_as_deviation": (
        "z = mu + logvar / 2 * eps",
        "logvar / 2 is the logarithm of the deviation. Take its exponential: exp(logvar / 2).",
    ),
    "deviation_inverted": (
        "z = right(mu, -logvar, eps)",
        "The noise is divided by the deviation. Multiply: exp(logvar / 2), without a minus sign.",
    ),
    "deviation_of_softplus": (
        "z = mu + torch.log1p(logvar.exp()) * eps",
        "The deviation is computed as softplus(logvar). logvar is the logarithm of the variance: "
        "exp(logvar / 2).",
    ),
    "noise_not_scaled": (
        "z = mu + eps",
        "The noise is not scaled, so every code has the deviation 1. Multiply it by exp(logvar / 2).",
    ),
    "noise_forgotten": (
        "z = mu.clone()",
        "The noise is missing: this is the mean alone. Add exp(logvar / 2) times eps.",
    ),
    "deviation_for_noise": (
        "z = mu + torch.exp(logvar / 2)",
        "The deviation is added as it is. Multiply it by the noise eps first.",
    ),
    "mean_forgotten": (
        "z = right(torch.zeros_like(mu), logvar, eps)",
        "The mean is missing: add mu.",
    ),
    "mean_scaled_too": (
        "z = (mu + eps) * torch.exp(logvar / 2)",
        "The mean is multiplied by the deviation too. Scale the noise alone, then add mu.",
    ),
    "noise_subtracted": (
        "z = right(mu, logvar, -eps)",
        "The noise is subtracted. Its distribution is the same, but the backward pass needs the sign of "
        "the formula: add it.",
    ),
    "one_noise_for_the_code": (
        "z = right(mu, logvar, eps[:, :1])",
        "All numbers of a code get the same noise. Each has its own: use all columns of eps.",
    ),
    "noise_drawn_anew": (
        "z = right(mu, logvar, torch.randn_like(eps))",
        "The noise is drawn here, so eps is ignored and no result can be repeated or checked. Use the eps "
        "that is given.",
    ),
    "logvar_clamped": (
        "z = right(mu, logvar.clamp(-10, 10), eps)",
        "logvar is clamped to [-10, 10], so outside of it the code no longer depends on logvar. Omit the "
        "clamp: the backward pass knows nothing of it.",
    ),
    "mean_overwritten": (
        "z = mu.add_(torch.exp(logvar / 2) * eps).clone()",
        "The code is right, but the caller's mu was changed. Write mu + ..., not += or add_.",
    ),
    "noise_overwritten": (
        "z = mu + eps.mul_(torch.exp(logvar / 2))",
        "The code is right, but the caller's eps was changed, and the backward pass needs it. Write "
        "... * eps, not *= or mul_.",
    ),
}

BACKWARD = {
    "variance_overflows": (
        "...; dlogvar = dz * logvar.exp().sqrt() * eps / 2",
        "exp(logvar) overflows for a large logvar, and its root is then infinite too. Use exp(logvar / 2).",
    ),
    "half_forgotten": (
        "...; dlogvar = 2 * dlogvar",
        "dlogvar is twice too large. The exponent of exp(logvar / 2) has the derivative 1/2.",
    ),
    "deviation_forgotten": (
        "...; dlogvar = dz * eps / 2",
        "dlogvar lacks the deviation. The derivative of exp(logvar / 2) is exp(logvar / 2) / 2.",
    ),
    "noise_forgotten": (
        "...; dlogvar = dz * torch.exp(logvar / 2) / 2",
        "dlogvar lacks the noise. z = mu + exp(logvar / 2) eps, so its derivative has the factor eps.",
    ),
    "noise_and_deviation_forgotten": (
        "...; dlogvar = dz / 2",
        "dlogvar is dz / 2 alone. It lacks the factors exp(logvar / 2) and eps.",
    ),
    "gradient_of_deviation": (
        "...; dlogvar = dz * eps",
        "This is the gradient for the deviation σ. For logvar multiply by ∂σ/∂logvar = σ / 2.",
    ),
    "variance_for_deviation": (
        "...; dlogvar = dz * logvar.exp() * eps / 2",
        "dlogvar has the variance exp(logvar) in the place of the deviation exp(logvar / 2).",
    ),
    "gradient_of_variance_for_deviation": (
        "...; dlogvar = dz * logvar.exp() * eps",
        "This is the gradient of mu + exp(logvar) eps. The deviation is exp(logvar / 2), and its "
        "derivative is half of it.",
    ),
    "deviation_inverted": (
        "...; dlogvar = dz * torch.exp(-logvar / 2) * eps / 2",
        "dlogvar is divided by the deviation. Multiply by exp(logvar / 2).",
    ),
    "upstream_forgotten": (
        "...; dlogvar = torch.exp(logvar / 2) * eps / 2",
        "This is the slope alone. Multiply dlogvar by dz.",
    ),
    "upstream_forgotten_in_both": (
        "dmu, dlogvar = right(torch.ones_like(dz), logvar, eps)",
        "These are the slopes alone. Multiply both by dz.",
    ),
    "sign_of_dlogvar": (
        "...; dlogvar = -dlogvar",
        "dlogvar has the wrong sign: a larger logvar moves z in the direction of eps.",
    ),
    "dlogvar_zero": (
        "...; dlogvar = torch.zeros_like(logvar)",
        "dlogvar is 0 everywhere, as if drawing stopped the gradient. Given eps, z is a function of logvar: "
        "dlogvar = dz exp(logvar / 2) eps / 2.",
    ),
    "noise_drawn_anew": (
        "dmu, dlogvar = right(dz, logvar, torch.randn_like(eps))",
        "The noise is drawn anew. The gradient belongs to the codes of the forward pass: use the eps that "
        "is given.",
    ),
    "dmu_with_deviation": (
        "...; dmu = dz * torch.exp(logvar / 2)",
        "dmu is multiplied by the deviation. mu is added to the code as it is, so dmu = dz.",
    ),
    "dmu_with_noise": (
        "...; dmu = dz * eps",
        "dmu is multiplied by the noise. mu is added to the code as it is, so dmu = dz.",
    ),
    "dmu_averaged": (
        "...; dmu = dz / len(dz)",
        "dmu is divided by the batch size. dz has this factor already, from the loss: dmu = dz.",
    ),
    "both_averaged": (
        "...; dmu, dlogvar = dmu / len(dz), dlogvar / len(dz)",
        "Both gradients are divided by the batch size. dz has this factor already, from the loss.",
    ),
    "both_summed_over_batch": (
        "...; dmu, dlogvar = dmu.sum(0), dlogvar.sum(0)",
        "The gradients are summed over the batch. Every sample has a mu and a logvar of its own: keep the "
        "shape (N, L).",
    ),
    "exchanged": (
        "...; dmu, dlogvar = dlogvar, dmu",
        "dmu and dlogvar are exchanged. Return (dmu, dlogvar).",
    ),
    "kl_added": (
        "...; dlogvar = dlogvar + (logvar.exp() - 1) / (2 * len(logvar))",
        "The gradient of the KL is added to dlogvar here. The layer adds it, from kl_backward: return what "
        "comes through z alone.",
    ),
    "clamped": (
        "...; dlogvar = dz * torch.exp(logvar.clamp(-10, 10) / 2) * eps / 2",
        "logvar is clamped in the backward pass, but not in the forward pass, so the gradient is not that "
        "of z. Omit the clamp.",
    ),
    "cut_outside_of_a_clamp": (
        "...; dlogvar = dlogvar * (logvar.abs() <= 10)",
        "dlogvar is 0 where logvar is outside of [-10, 10]. That is the gradient of a clamp, which the "
        "forward pass does not have.",
    ),
    "dmu_is_dz_itself": (
        "...; dmu = dz",
        "The numbers are right, but dmu is the caller's dz itself. If the KL's gradient is added to dmu, "
        "dz changes too. Return dz.clone().",
    ),
    "written_into_dz": (
        "dmu, dlogvar = dz.clone(), dz.mul_(torch.exp(logvar / 2) * eps / 2).clone()",
        "The gradients are right, but dlogvar was computed in dz, which belongs to the caller. Write "
        "dz * ..., not *= or mul_.",
    ),
}

MISTAKES = {"sampling_forward": FORWARD, "sampling_backward": BACKWARD}
