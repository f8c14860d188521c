"""Mistakes in the Gaussian likelihood: ℓ = e²/2 + s + 1/2 log 2π with e = (t − p) / σ and s = log σ."""

from __future__ import annotations

CHAPTER = 0

FORWARD = {
    "log_sigma_missing": (
        "...; terms = terms - log_sigma",
        "The term log σ is missing. Without it the loss falls for ever as σ grows, whatever the "
        "prediction.",
    ),
    "constant_missing": (
        "math.log(2 * math.pi) / 2 → 0",
        "The constant 1/2 log 2π is missing. It does not change the gradients, but the value is then not "
        "a likelihood that can be compared.",
    ),
    "constant_not_halved": (
        "math.log(2 * math.pi) / 2 → math.log(2 * math.pi)",
        "The constant is log 2π. It is half of that: log √(2π).",
    ),
    "square_not_halved": (
        "error.square() / 2 → error.square()",
        "The square is not halved: the exponent of a normal distribution is −(t − p)² / (2σ²).",
    ),
    "log_sigma_taken_for_log_variance": (
        "torch.exp(-log_sigma) → torch.exp(-log_sigma / 2)",
        "(t − p)² is divided by σ, as if log_sigma were the logarithm of σ². It is that of σ: divide by "
        "exp(2 log_sigma).",
    ),
    "divided_by_variance_first": (
        "torch.exp(-log_sigma) → torch.exp(-2 * log_sigma)",
        "t − p is divided by σ² and then squared, which gives σ⁴. Divide by σ before the square.",
    ),
    "multiplied_by_sigma": (
        "torch.exp(-log_sigma) → torch.exp(log_sigma)",
        "The difference is multiplied by σ. Divide it: e = (t − p) exp(−log_sigma).",
    ),
    "log_of_variance_added": (
        "...; terms = terms + log_sigma",
        "2 log σ = log σ² is added. The root of the variance halves it: add log σ once.",
    ),
    "log_sigma_halved": (
        "...; terms = terms - log_sigma / 2",
        "log σ is halved. Only log σ², the logarithm of the variance, has a factor 1/2.",
    ),
    "log_sigma_subtracted": (
        "...; terms = terms - 2 * log_sigma",
        "log σ is subtracted. The density is divided by σ, so −log p has + log σ.",
    ),
    "square_forgotten": (
        "error.square() / 2 → error.abs()",
        "This is |t − p| / σ, as for a Laplace distribution. A normal distribution has the square: e²/2.",
    ),
    "log_likelihood": (
        "...; terms = -terms",
        "This is the log-likelihood. The loss is its negative.",
    ),
    "sigma_of_one": (
        "terms = right(prediction, target, torch.zeros_like(log_sigma))",
        "σ is not used: this is the loss for σ = 1. Divide t − p by exp(log_sigma), and add log_sigma.",
    ),
    "terms_averaged": (
        "...; terms = terms.mean()",
        "The terms are averaged already. Return one for every pixel: the reduction comes later.",
    ),
}

BACKWARD = {
    "dprediction_sign_swapped": (
        "...; dprediction = -dprediction",
        "dprediction has the wrong sign: it is (p − t) / σ², with p first.",
    ),
    "dprediction_divided_by_sigma": (
        "-error * torch.exp(-log_sigma) → -error",
        "dprediction is divided by σ only. The square brings 1/σ twice: (p − t) / σ².",
    ),
    "dprediction_without_sigma": (
        "...; dprediction = prediction - target",
        "dprediction is p − t, the gradient for σ = 1. Divide it by σ².",
    ),
    "dprediction_doubled": (
        "...; dprediction = 2 * dprediction",
        "dprediction is twice too large: the 2 of the square cancels with the 1/2 in front of it.",
    ),
    "dlog_sigma_sign_swapped": (
        "...; dlog_sigma = -dlog_sigma",
        "dlog_sigma has the wrong sign: it is 1 − e². If the errors are large, σ must grow.",
    ),
    "one_missing": (
        "1 - error.square() → -error.square()",
        "dlog_sigma lacks its 1, the derivative of the term log σ. It is 1 − e².",
    ),
    "error_missing": (
        "...; dlog_sigma = dlog_sigma * 0 + 1",
        "dlog_sigma is 1, the derivative of the term log σ alone. e = (t − p) exp(−s) depends on s too: "
        "subtract e².",
    ),
    "dlog_sigma_not_doubled": (
        "1 - error.square() → 1 - error.square() / 2",
        "dlog_sigma is 1 − e²/2. The derivative of e²/2 is e · ∂e/∂s = −e²: the 1/2 cancels.",
    ),
    "gradient_of_log_variance": (
        "...; dlog_sigma = dlog_sigma / 2",
        "dlog_sigma is halved: this is the derivative for log σ². The parameter is log σ.",
    ),
    "gradient_of_sigma": (
        "...; dlog_sigma = dlog_sigma * torch.exp(-log_sigma)",
        "This is the derivative for σ. For log σ multiply it by σ: 1 − e².",
    ),
    "error_without_sigma": (
        "...; dlog_sigma = 1 - (target - prediction).square()",
        "dlog_sigma uses t − p without σ. Divide by σ first: e = (t − p) / σ, and 1 − e².",
    ),
    "dlog_sigma_summed": (
        "...; dlog_sigma = dlog_sigma.sum()",
        "dlog_sigma is summed already. Return one derivative for every pixel: the loss weights them, then "
        "sums.",
    ),
    "divided_by_elements": (
        "...; n = prediction.numel(); dprediction, dlog_sigma = dprediction / n, dlog_sigma / n",
        "The derivatives are divided by the number of elements. They are those of single terms: the "
        "reduction comes later.",
    ),
}

MISTAKES = {"gaussian_nll_forward": FORWARD, "gaussian_nll_backward": BACKWARD}
