"""Mistakes in BatchNorm, backward. The rows with an arrow change the text of the library's function."""

from __future__ import annotations

CHAPTER = 7

DX = {
    "statistics_as_constants": (
        "dy - db_over_m - xhat * dw_over_m → dy",
        "dx = weight·dy / √(σ² + ε) treats μ and σ² as constants. Both depend on x: subtract mean(dy) "
        "and x̂·mean(dy·x̂) from dy first.",
    ),
    "variance_path_missing": (
        "db_over_m - xhat * dw_over_m → db_over_m",
        "dx takes into account that μ depends on x, but not that σ² does. Subtract x̂·mean(dy·x̂) from dy "
        "too.",
    ),
    "mean_path_missing": (
        "dy - db_over_m - → dy -",
        "dx takes into account that σ² depends on x, but not that μ does. Subtract mean(dy) of each "
        "channel from dy too.",
    ),
    "direct_path_missing": (
        "(dy - db_over_m - → (-db_over_m -",
        "dx contains the paths through μ and σ², but not the direct one through x̂. dy itself is "
        "missing in weight / s·(dy − mean(dy) − x̂·mean(dy·x̂)).",
    ),
    "variance_path_doubled": (
        "xhat * dw_over_m → 2 * xhat * dw_over_m",
        "The part of dx that comes through σ² is twice too large. The root gives a factor 1/2: "
        "dσ² = −Σ dx̂·x̂ / (2 s²).",
    ),
    "variance_path_halved": (
        "xhat * dw_over_m → xhat * dw_over_m / 2",
        "The part of dx that comes through σ² is half as large as it should be. The square gives a "
        "factor 2: ∂σ²/∂x = 2 (x − μ) / m.",
    ),
    "variance_path_added": (
        "- xhat * dw_over_m → + xhat * dw_over_m",
        "The part of dx that comes through σ² has the wrong sign. Subtract x̂·mean(dy·x̂) from dy, do not "
        "add it.",
    ),
    "mean_path_added": (
        "dy - db_over_m → dy + db_over_m",
        "The part of dx that comes through μ has the wrong sign. Subtract mean(dy) from dy, do not add "
        "it.",
    ),
    "variance_path_without_xhat": (
        "xhat * dw_over_m → dw_over_m",
        "In dx the mean of dy·x̂ is subtracted as it is. Multiply it by x̂ once more: "
        "dy − mean(dy) − x̂·mean(dy·x̂).",
    ),
    "sums_for_means": (
        "db / m, dw / m → db, dw",
        "dx subtracts the sums of dy and dy·x̂ instead of their means. Divide both by m, the number of "
        "values per channel.",
    ),
    "m_is_batch_size": (
        "values_per_channel(dy) → len(dy)",
        "In dx the sums are divided by N alone. For (N, C, H, W) a channel has m = N·H·W values.",
    ),
    "m_less_one": (
        "values_per_channel(dy) → values_per_channel(dy) - 1",
        "In dx the sums are divided by m − 1. The forward pass uses means over m, so the gradients "
        "divide by m.",
    ),
    "dx_without_weight": (
        "...; dx = right(dy, xhat, None, var, eps)[0]",
        "dx lacks the weight. y = weight·x̂ + bias, so start from dx̂ = weight·dy.",
    ),
    "means_without_weight": (
        """
        w_over_s * (dy - db_over_m - xhat * dw_over_m) → w_over_s * dy - means
        dx = → means = per_channel((var + eps).rsqrt(), dy) * (db_over_m + xhat * dw_over_m); dx =
        """,
        "In dx only the direct term has the weight. dx = (dx̂ − mean(dx̂) − x̂·mean(dx̂·x̂)) / s, with "
        "dx̂ = weight·dy in all three places.",
    ),
    "dx_without_deviation": (
        "...; dx = dx * per_channel((var + eps).sqrt(), dx)",
        "dx lacks the factor 1/s. x̂ = (x − μ) / s with s = √(σ² + ε), so everything that goes back to x "
        "is divided by s.",
    ),
    "dx_divided_by_variance": (
        "...; dx = dx * per_channel((var + eps).rsqrt(), dx)",
        "dx is divided by the variance σ² + ε. Divide by its root, s = √(σ² + ε).",
    ),
    "eps_missing": (
        "...; dx = dx * per_channel(((var + eps) / var).sqrt(), dx)",
        "dx is divided by √σ². Put eps under the root, as in the forward pass: s = √(σ² + ε).",
    ),
    "eps_outside_root": (
        "...; dx = dx * per_channel((var + eps).sqrt() / (var.sqrt() + eps), dx)",
        "dx is divided by √σ² + ε. Put eps under the root, beside the variance: s = √(σ² + ε).",
    ),
    "dx_written_into_dy": (
        "...; dx = dy.copy_(dx)",
        "The gradients are right, but dx was written into dy, which belongs to the caller. Write "
        "it into a new tensor.",
    ),
}

PARAMETERS = {
    "dweight_without_xhat": (
        "...; dweight = dbias.clone()",
        "dweight is the sum of dy alone, which is dbias. weight multiplies x̂, so dweight = Σ dy·x̂.",
    ),
    "dweight_with_centred_x": (
        "...; dweight = dweight * (var + eps).sqrt()",
        "dweight is summed with x − μ instead of x̂. weight multiplies the normalised x̂, so "
        "dweight = Σ dy·x̂, without the factor s.",
    ),
    "dweight_from_dxhat": (
        "...; dweight = dweight if weight is None else dweight * weight",
        "dweight is computed from dx̂ = weight·dy. Use dy itself: dweight = Σ dy·x̂.",
    ),
    "dbias_from_dxhat": (
        "...; dbias = dbias if weight is None else dbias * weight",
        "dbias is the sum of dx̂ = weight·dy. The bias is added after the weight, so dbias = Σ dy.",
    ),
    "dweight_averaged": (
        "...; dweight = dweight / values_per_channel(dy)",
        "dweight is the mean of dy·x̂. weight is used m times, so its gradient is the sum.",
    ),
    "dbias_averaged": (
        "...; dbias = dbias / values_per_channel(dy)",
        "dbias is the mean of dy. bias is added m times, so its gradient is the sum.",
    ),
    "sums_over_batch_only": (
        "...; dweight, dbias = (dy * xhat).sum(0), dy.sum(0)",
        "dweight and dbias are summed over the batch alone and keep the positions. For images sum "
        "over axes (0, 2, 3), which gives the shape (C,).",
    ),
    "dweight_and_dbias_exchanged": (
        "...; dweight, dbias = dbias, dweight",
        "dweight and dbias are exchanged. Return (dx, dweight, dbias): Σ dy·x̂ is dweight.",
    ),
}

MISTAKES = {"batchnorm_backward": DX | PARAMETERS}
