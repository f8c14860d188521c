"""Mistakes in the mean squared error: L = mean((p − t)²) and dp = 2 (p − t) / n."""

from __future__ import annotations

CHAPTER = 1

FORWARD = {
    "summed": (
        "loss = (prediction - target).square().sum()",
        "The squares are summed, not averaged. Divide by the number of all elements, "
        "prediction.numel().",
    ),
    "averaged_over_samples_only": (
        "loss = (prediction - target).square().sum() / prediction.shape[0]",
        "The sum of squares is divided by the number of samples only. Divide by the number of all "
        "elements, prediction.numel().",
    ),
    "one_loss_a_sample": (
        "loss = (prediction - target).square().mean(dim=-1)",
        "There is one loss per sample: the mean is taken over the last axis only. Average over "
        "every axis, so that the result has shape ().",
    ),
    "not_averaged": (
        "loss = (prediction - target).square()",
        "The squares are not averaged, and the result has the shape of prediction. End with .mean().",
    ),
    "halved": (
        "...; loss = loss / 2",
        "The loss is halved. It is mean((p − t)²), without a factor 1/2.",
    ),
    "rooted": (
        "...; loss = loss.sqrt()",
        "A square root is taken at the end. Omit it.",
    ),
    "absolute_difference": (
        "loss = (prediction - target).abs().mean()",
        "This is mean(|p − t|), the absolute error. Square the differences: mean((p − t)²).",
    ),
    "square_forgotten": (
        "loss = (prediction - target).mean()",
        "The differences are averaged without a square, so positive and negative ones cancel. Square "
        "each difference first.",
    ),
    "squared_after_mean": (
        "loss = (prediction - target).mean().square()",
        "The mean is taken before the square, so positive and negative differences cancel. Square each "
        "difference, then average.",
    ),
    "squared_before_difference": (
        "loss = (prediction.square() - target.square()).mean()",
        "This is mean(p² − t²). Subtract first, then square: mean((p − t)²).",
    ),
    "python_number": (
        "...; loss = loss.item()",
        "The value is right, but it is a Python number. Omit .item(), so that the result is a "
        "tensor of shape ().",
    ),
    "prediction_overwritten": (
        "loss = prediction.sub_(target).square().mean()",
        "The loss is right, but the caller's prediction has become the difference. Use "
        "prediction - target, not -= or sub_.",
    ),
}

BACKWARD = {
    "two_forgotten": (
        "...; dprediction = dprediction / 2",
        "The factor 2 is missing. The derivative of d² is 2 d.",
    ),
    "sign_swapped": (
        "dprediction = right(target, prediction)",
        "The sign is wrong: this is the gradient for target. For prediction it is 2 (p − t) / n, with p "
        "first.",
    ),
    "n_forgotten": (
        "dprediction = 2 * (prediction - target)",
        "This is 2 (p − t), the gradient of the sum. The loss is the mean: divide by n, the number of "
        "all elements.",
    ),
    "difference_alone": (
        "dprediction = prediction - target",
        "This is p − t. The factor 2 is missing, and so is the division by n, the number of all "
        "elements.",
    ),
    "divided_by_samples_only": (
        "dprediction = 2 * (prediction - target) / prediction.shape[0]",
        "2 (p − t) is divided by the number of samples only. n counts all elements, "
        "prediction.numel().",
    ),
    "divided_by_last_axis_only": (
        "dprediction = 2 * (prediction - target) / prediction.shape[-1]",
        "2 (p − t) is divided by the size of the last axis only. n counts all elements, "
        "prediction.numel().",
    ),
    "still_squared": (
        "...; dprediction = dprediction * (prediction - target)",
        "The difference is still squared. The derivative of d² is 2 d, so the gradient is "
        "2 (p − t) / n.",
    ),
    "sign_alone": (
        "dprediction = (prediction - target).sign() / prediction.numel()",
        "Only the sign of p − t is used: that is the gradient of the absolute error. Here the gradient "
        "grows with the difference, 2 (p − t) / n.",
    ),
    "gradient_of_root": (
        "...; dprediction = dprediction / (2 * mse_forward(prediction, target).sqrt())",
        "This is the gradient of √L, which is the right one divided by 2 √L. The loss has no root: omit "
        "that factor.",
    ),
    "gradient_summed_over_samples": (
        "...; dprediction = dprediction.sum(dim=0)",
        "The gradient is summed over the samples. Every element of prediction has its own gradient: "
        "keep the shape of prediction.",
    ),
    "gradient_in_place": (
        "dprediction = prediction.sub_(target).mul_(2 / prediction.numel())",
        "The gradient is right, but it was written into the caller's prediction. Make a new tensor: "
        "prediction - target.",
    ),
}

MISTAKES = {"mse_forward": FORWARD, "mse_backward": BACKWARD}
