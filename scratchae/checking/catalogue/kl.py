"""Mistakes in the KL divergence from N(0, 1): L = 1/N Σ 1/2 (μ² + eᵛ − 1 − v), and its gradients."""

from __future__ import annotations

CHAPTER = 12

FORWARD = {
    "wrong_sign": (
        "...; loss = -loss",
        "The KL has the wrong sign. A divergence is never negative: it is 1/2 Σ (μ² + eᵛ − 1 − v), and it "
        "is added to the loss.",
    ),
    "averaged_over_code": (
        "...; loss = loss / mu.shape[1]",
        "The KL is averaged over the numbers of the code too. Sum them, and divide by the batch size "
        "alone.",
    ),
    "summed_over_batch": (
        "...; loss = loss * len(mu)",
        "The KL is summed over the batch. Divide by N, the number of samples.",
    ),
    "half_missing": (
        "...; loss = 2 * loss",
        "The factor 1/2 is missing, so the KL is counted twice.",
    ),
    "logvar_taken_for_log_sigma": (
        "loss = right(mu, 2 * logvar)",
        "logvar is used as log σ: the formula has exp(2v) and 2v. It is the logarithm of the variance: "
        "eᵛ and v.",
    ),
    "sigma_for_variance": (
        "torch.expm1(logvar) → torch.expm1(logvar / 2)",
        "exp(v / 2) is σ. The KL has the variance: exp(v).",
    ),
    "variance_squared": (
        "torch.expm1(logvar) → torch.expm1(2 * logvar)",
        "exp(v) is squared. It is the variance already: exp(v) = σ².",
    ),
    "mean_not_squared": (
        "mu.square() → mu",
        "μ is not squared. The KL has μ².",
    ),
    "mean_missing": (
        "loss = right(torch.zeros_like(mu), logvar)",
        "μ² is missing, so the means may lie anywhere. Add it: 1/2 Σ (μ² + eᵛ − 1 − v).",
    ),
    "one_missing": (
        "torch.expm1(logvar) → torch.exp(logvar)",
        "The −1 is missing. Without it the KL is 1/2 for each number of the code, not 0, if q is N(0, 1).",
    ),
    "logvar_missing": (
        "torch.expm1(logvar) - logvar → torch.expm1(logvar)",
        "The term −v is missing. Without it the smallest variance would be best.",
    ),
    "logvar_added": (
        "torch.expm1(logvar) - logvar → torch.expm1(logvar) + logvar",
        "v is added. Subtract it: 1/2 Σ (μ² + eᵛ − 1 − v).",
    ),
    "other_direction": (
        "loss = (logvar + (1 + mu.square()) * torch.exp(-logvar) - 1).sum() / (2 * len(mu))",
        "This is the divergence in the other direction, KL(p ‖ q). The ELBO has KL(q ‖ p), with the mean "
        "under q.",
    ),
    "logvar_clamped": (
        "logvar = logvar.clamp(-1, 1); ...",
        "v is clamped. The formula needs no clamp: outside of it the gradient for v would be 0.",
    ),
    "one_number_a_sample": (
        "loss = (mu.square() + torch.expm1(logvar) - logvar).sum(1) / 2",
        "There is one divergence for each sample. Average them, so that the result has shape ().",
    ),
}

BACKWARD = {
    "wrong_sign": (
        "...; dmu, dlogvar = -dmu, -dlogvar",
        "Both gradients have the wrong sign. The KL is added to the loss: dμ = μ / N, dv = (eᵛ − 1) / (2N).",
    ),
    "summed_over_batch": (
        "...; dmu, dlogvar = dmu * len(mu), dlogvar * len(mu)",
        "The gradients are those of a sum over the batch. Divide both by N, the number of samples.",
    ),
    "averaged_over_code": (
        "...; L = mu.shape[1]; dmu, dlogvar = dmu / L, dlogvar / L",
        "Both gradients are divided by the size of the code too. The KL is a sum over the code: divide by "
        "N alone.",
    ),
    "dmu_halved": (
        "...; dmu = dmu / 2",
        "dμ is halved. The 2 of the square cancels with the 1/2 in front: dμ = μ / N.",
    ),
    "dmu_doubled": (
        "...; dmu = 2 * dmu",
        "dμ is twice too large: the 1/2 in front of the KL is missing.",
    ),
    "dmu_missing": (
        "...; dmu = torch.zeros_like(mu)",
        "dμ is 0, as if μ² were not in the KL. Its half has the derivative μ: dμ = μ / N.",
    ),
    "dlogvar_not_halved": (
        "...; dlogvar = 2 * dlogvar",
        "dv is twice too large: the 1/2 in front of the KL is missing.",
    ),
    "one_missing": (
        "torch.expm1(logvar) → torch.exp(logvar)",
        "dv lacks its −1, the derivative of −v. It is (eᵛ − 1) / (2N), which is 0 for σ = 1.",
    ),
    "variance_missing": (
        "...; dlogvar = dlogvar * 0 - 1 / (2 * len(mu))",
        "dv is −1 / (2N), the derivative of −v alone. eᵛ depends on v too: (eᵛ − 1) / (2N).",
    ),
    "gradient_of_sigma": (
        "...; dlogvar = 2 * dlogvar * torch.exp(-logvar / 2)",
        "This is σ − 1/σ, the derivative for σ. For v = log σ² multiply it by σ / 2.",
    ),
    "gradient_of_variance": (
        "...; dlogvar = dlogvar * torch.exp(-logvar)",
        "This is the derivative for the variance. For its logarithm v multiply it by eᵛ.",
    ),
    "sigma_for_variance": (
        "torch.expm1(logvar) → torch.expm1(logvar / 2)",
        "dv has exp(v / 2), which is σ. It needs the variance: (eᵛ − 1) / (2N).",
    ),
    "logvar_taken_for_log_sigma": (
        "dmu, dlogvar = right(mu, 2 * logvar); dlogvar = 2 * dlogvar",
        "logvar is used as log σ. It is the logarithm of the variance: dv = (eᵛ − 1) / (2N).",
    ),
    "logvar_clamped": (
        "logvar = logvar.clamp(-1, 1); ...",
        "v is clamped, but the forward pass is not. If you clamp in both, the gradient outside of the "
        "limits must be 0.",
    ),
    "order_swapped": (
        "...; dmu, dlogvar = dlogvar, dmu",
        "The two gradients are exchanged. Return dmu first, then dlogvar.",
    ),
}

MISTAKES = {"kl_forward": FORWARD, "kl_backward": BACKWARD}
