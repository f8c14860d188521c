"""Mistakes in the ELBO: L = 1/N (Σ BCE + Σ KL), sums over pixels and code, a mean over the batch.

If one part is a mean where the other is a sum, the loss has another weight between them than 1.
"""

from __future__ import annotations

import torch  # noqa: F401 - rows use it

from scratchae.layers.activations import sigmoid_forward  # noqa: F401 - rows use it
from scratchae.losses.mse import mse_forward  # noqa: F401 - rows use it

CHAPTER = 12
LOSS = {
    "reconstruction_averaged": (
        "loss = bce_with_logits_forward(logits, target).mean() + kl_forward(mu, logvar)",
        "Your KL is weighted by the number of pixels, 784 for MNIST: it is summed while the reconstruction "
        "is a mean. Sum the BCE over the pixels and divide by N alone.",
    ),
    "mean_squared_error": (
        "loss = mse_forward(sigmoid_forward(logits), target) + kl_forward(mu, logvar)",
        "Your KL is weighted 392 (half of MNIST's 784 pixels): it is summed while the reconstruction is a "
        "mean squared error. Use BCE, summed over the pixels.",
    ),
    "squared_error_summed": (
        "error = (sigmoid_forward(logits) - target).square().sum() / len(mu)\n"
        "loss = error + kl_forward(mu, logvar)",
        "The reconstruction is a sum of squares, not BCE. It is twice the −log p of a Gaussian, so "
        "your KL is also weighted 1/2.",
    ),
    "everything_averaged": (
        "bce = bce_with_logits_forward(logits, target).mean()\n"
        "loss = bce + kl_forward(mu, logvar) / mu.shape[1]",
        "Both parts are means, over pixels and over the code. Your KL is weighted by pixels / code size, "
        "784 / 20 = 39 for example. Sum both, and divide by N alone.",
    ),
    "kl_averaged": (
        "...; loss = loss - kl_forward(mu, logvar) * (1 - 1 / mu.shape[1])",
        "Your KL is weighted 1 / L, with L the size of the code: it is a mean over the code while the "
        "reconstruction is a sum. Sum both.",
    ),
    "kl_divided_by_pixels": (
        "...; loss = loss - kl_forward(mu, logvar) * (1 - 1 / target[0].numel())",
        "Your KL is weighted 1 / pixels, 1/784 for MNIST: it is divided by the number of pixels while the "
        "reconstruction is summed. Divide both by N alone.",
    ),
    "averaged_over_pixels": (
        "...; loss = loss / target[0].numel()",
        "The loss is divided by the number of pixels. The parts are balanced, but it is no bound of log p "
        "of an image: divide by N alone.",
    ),
    "summed_over_batch": (
        "...; loss = loss * len(mu)",
        "The loss is summed over the batch. Divide both parts by N, so that the learning rate does not "
        "depend on the batch size.",
    ),
    "kl_summed_over_batch": (
        "...; loss = loss + kl_forward(mu, logvar) * (len(mu) - 1)",
        "Your KL is weighted N, the batch size: it is summed over the batch while the reconstruction is "
        "divided by N.",
    ),
    "reconstruction_summed_over_batch": (
        "loss = bce_with_logits_forward(logits, target).sum() + kl_forward(mu, logvar)",
        "Your KL is weighted 1 / N, with N the batch size: it is a mean over the batch while the "
        "reconstruction is summed. Divide both by N.",
    ),
    "kl_subtracted": (
        "...; loss = loss - 2 * kl_forward(mu, logvar)",
        "The KL is subtracted, so training makes it larger. The ELBO is log p(x|z) − KL; the loss is its "
        "negative, BCE + KL.",
    ),
    "elbo_not_negated": (
        "...; loss = -loss",
        "This is the ELBO itself. The loss is its negative, BCE + KL, because training makes a loss smaller.",
    ),
    "kl_doubled": (
        "...; loss = loss + kl_forward(mu, logvar)",
        "Your KL is weighted 2: the 1/2 in front of Σ (μ² + eᵛ − 1 − v) is missing.",
    ),
    "kl_missing": (
        "loss = bce_with_logits_forward(logits, target).sum() / len(mu)",
        "The KL is missing: this is the loss of a plain autoencoder, whose codes may lie anywhere.",
    ),
    "reconstruction_missing": (
        "loss = kl_forward(mu, logvar)",
        "The reconstruction is missing. The KL alone makes all codes N(0, 1), which say nothing of the "
        "image.",
    ),
    "logvar_taken_for_log_sigma": (
        "loss = right(logits, target, mu, 2 * logvar)",
        "logvar is used as log σ in the KL. It is the logarithm of the variance: eᵛ − 1 − v.",
    ),
    "sigma_for_variance": (
        "...; n = 2 * len(mu); loss = loss + (torch.exp(logvar / 2) - torch.exp(logvar)).sum() / n",
        "The KL has exp(logvar / 2), which is σ. It needs the variance: exp(logvar).",
    ),
    "tanh_output": (
        "logits = torch.tanh(logits); ...",
        "The logits go through tanh first, whose range is that of pixels in [-1, 1]. BCE takes logits and "
        "pixels in [0, 1]: omit the tanh.",
    ),
    "sigmoid_twice": (
        "logits = sigmoid_forward(logits); ...",
        "A sigmoid is applied to the logits, and then another one by BCE. Use the logits as they are.",
    ),
    "targets_from_minus_one_to_one": (
        "target = 2 * target - 1; ...",
        "The pixels are scaled to [-1, 1]. There BCE has no lower bound: keep them in [0, 1].",
    ),
    "logarithm_of_sigmoid": (
        "p = sigmoid_forward(logits)\n"
        "bce = -target * torch.log(p) - (1 - target) * torch.log(1 - p)\n"
        "loss = bce.sum() / len(mu) + kl_forward(mu, logvar)",
        "For large logits σ(z) is rounded to 0 or 1, and its logarithm is infinite. Use "
        "bce_with_logits_forward.",
    ),
    "one_number_a_sample": (
        "bce = bce_with_logits_forward(logits, target).flatten(1).sum(1)\n"
        "loss = bce + (mu.square() + torch.exp(logvar) - 1 - logvar).sum(1) / 2",
        "There is one number for each image. Average them, so that the result has shape ().",
    ),
}

MISTAKES = {"elbo_loss": LOSS}
