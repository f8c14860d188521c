"""Mistakes in SiLU, GELU and Softplus: y = x g(x) with the gates σ and Φ; y = log(1 + e^(βx)) / β."""

from __future__ import annotations

CHAPTER = 0

SILU_FORWARD = {
    "gate_alone": (
        "y = sigmoid_forward(x)",
        "This is σ(x), the gate alone. SiLU multiplies x by it: y = x σ(x).",
    ),
    "gate_reversed": (
        "y = x * sigmoid_forward(-x)",
        "The gate closes as x grows: this is x σ(−x). The gate of SiLU is σ(x), near 1 for large x.",
    ),
    "tanh_gate": (
        "y = x * torch.tanh(x)",
        "The gate is tanh x, from −1 to 1. The gate of SiLU is σ(x), from 0 to 1.",
    ),
    "divided_by_gate": (
        "y = x / sigmoid_forward(x)",
        "x is divided by σ(x). Multiply: y = x σ(x), which is x / (1 + e⁻ˣ).",
    ),
    "relu_for_silu": (
        "y = x.clamp(min=0)",
        "This is ReLU, whose gate jumps from 0 to 1 at x = 0. The gate of SiLU is σ(x).",
    ),
    "gelu_for_silu": (
        "y = gelu_forward(x)",
        "This is GELU, x Φ(x). The gate of SiLU is the sigmoid: y = x σ(x).",
    ),
    "softplus_for_silu": (
        "y = softplus_forward(x)",
        "This is softplus, log(1 + eˣ). SiLU is x σ(x), which is 0 at x = 0.",
    ),
    "silu_in_place": (
        "y = x.mul_(sigmoid_forward(x))",
        "y is right, but the caller's x has been overwritten. Use x * sigmoid(x), not x.mul_.",
    ),
}

SILU_BACKWARD = {
    "gate_held_constant": (
        "dx = dy * sigmoid_forward(x)",
        "dx = dy σ(x) treats the gate as a constant. It depends on x too: add the second term of the "
        "product rule, x σ (1 − σ).",
    ),
    "gate_only": (
        "s = sigmoid_forward(x); dx = dy * x * s * (1 - s)",
        "This has the second term of the product rule only, x σ (1 − σ). Add the first one, σ.",
    ),
    "x_forgotten": (
        "s = sigmoid_forward(x); dx = dy * (s + s * (1 - s))",
        "The second term of the product rule lacks its factor x: it is x σ (1 − σ).",
    ),
    "tanh_slope_of_gate": (
        "s = sigmoid_forward(x); dx = dy * (s + x * (1 - s * s))",
        "The derivative of the gate is that of tanh, 1 − s². That of σ is σ (1 − σ).",
    ),
    "terms_subtracted": (
        "s = sigmoid_forward(x); dx = dy * (s - x * s * (1 - s))",
        "The second term of the product rule is subtracted. Add it: σ + x σ (1 − σ).",
    ),
    "gate_not_multiplied": (
        "s = sigmoid_forward(x); dx = dy * (s + x * (1 - s))",
        "The second term is x (1 − σ). A factor σ is missing: it is x σ (1 − σ).",
    ),
    "silu_dy_forgotten": (
        "dx = right(torch.ones_like(dy), x)",
        "This is the slope σ + x σ (1 − σ) alone. Multiply it by dy.",
    ),
    "silu_dy_overwritten": (
        "dx = dy.copy_(right(dy, x))",
        "dx is right, but it was written into the caller's dy. Make a new tensor.",
    ),
}

GELU_FORWARD = {
    "root_forgotten": (
        "torch.erf(x / math.sqrt(2)) → torch.erf(x)",
        "erf is applied to x. Divide x by √2 first: Φ(x) = (1 + erf(x / √2)) / 2.",
    ),
    "half_forgotten": (
        """
        (1 + torch.tanh(u)) / 2 → 1 + torch.tanh(u)
        (1 + torch.erf(x / math.sqrt(2))) / 2 → 1 + torch.erf(x / math.sqrt(2))
        """,
        "The gate goes from 0 to 2, so y is twice too large. Divide 1 + erf(x / √2) by 2.",
    ),
    "one_forgotten": (
        """
        (1 + torch.tanh(u)) / 2 → torch.tanh(u)
        (1 + torch.erf(x / math.sqrt(2))) / 2 → torch.erf(x / math.sqrt(2))
        """,
        "The gate is erf or tanh alone, from −1 to 1. Add 1 and divide by 2, so that it goes from 0 to 1.",
    ),
    "always_exact": (
        "y = right(x)",
        'approximate="tanh" is ignored. It replaces Φ(x) by (1 + tanh u) / 2.',
    ),
    "always_approximate": (
        'y = right(x, "tanh")',
        'This is the approximation with tanh. For approximate="none" use Φ(x) = (1 + erf(x / √2)) / 2.',
    ),
    "quick_gelu": (
        "y = x * sigmoid_forward(1.702 * x)",
        "This is x σ(1.702 x), another approximation. Here the gate is Φ(x), or (1 + tanh u) / 2.",
    ),
    "square_for_cube": (
        "x**3 → x**2",
        "The polynomial in u has x² instead of x³: u = √(2/π) (x + 0.044715 x³).",
    ),
    "factor_of_x_alone": (
        "math.sqrt(2 / math.pi) * (x + CUBIC * x**3) → math.sqrt(2 / math.pi) * x + CUBIC * x**3",
        "√(2/π) multiplies x alone. It multiplies the whole polynomial: u = √(2/π) (x + 0.044715 x³).",
    ),
    "gelu_gate_alone": (
        "x * gate → gate",
        "This is the gate alone. GELU multiplies x by it: y = x Φ(x).",
    ),
    "gelu_in_place": (
        "return x * gate → return x.mul_(gate)",
        "y is right, but the caller's x has been overwritten. Use x * gate, not x.mul_(gate).",
    ),
}

GELU_BACKWARD = {
    "cdf_held_constant": (
        "gate + x * dgate → gate",
        "dx = dy · gate treats the gate as a constant. It depends on x too: add the second term of the "
        "product rule, x times the gate's derivative.",
    ),
    "density_alone": (
        "(gate + x * dgate) → (x * dgate)",
        "This has the second term of the product rule only. Add the first one, the gate.",
    ),
    "density_without_x": (
        "x * dgate → dgate",
        "The second term of the product rule lacks its factor x: the slope is Φ(x) + x φ(x).",
    ),
    "density_not_normalised": (
        " / math.sqrt(2 * math.pi) → ",
        "The density lacks its factor 1/√(2π): φ(x) = e^(−x²/2) / √(2π).",
    ),
    "half_of_exponent_forgotten": (
        "torch.exp(-(x**2) / 2) → torch.exp(-(x**2))",
        "The exponent of the density is −x². It is −x²/2: φ(x) = e^(−x²/2) / √(2π).",
    ),
    "slope_always_exact": (
        "dx = right(dy, x)",
        'approximate="tanh" is ignored. The gate is then (1 + tanh u) / 2, with another derivative.',
    ),
    "slope_always_approximate": (
        'dx = right(dy, x, "tanh")',
        'This is the derivative of the tanh approximation. For approximate="none" it is Φ(x) + x φ(x).',
    ),
    "inner_derivative_forgotten": (
        "(1 - t**2) * du / 2 → (1 - t**2) / 2",
        "The chain rule needs the derivative of u too: u' = √(2/π) (1 + 3 · 0.044715 x²).",
    ),
    "three_forgotten": (
        "3 * CUBIC → CUBIC",
        "The derivative of x³ is 3 x²: u' = √(2/π) (1 + 3 · 0.044715 x²). The 3 is missing.",
    ),
    "gelu_dy_forgotten": (
        "return dy * (gate → return (gate",
        "This is the slope alone, gate + x · gate'. Multiply it by dy.",
    ),
}

SOFTPLUS_FORWARD = {
    "one_plus_twice": (
        "torch.log1p( → torch.log1p(1 + ",
        "This is log(2 + e^(βx)). log1p adds the 1 itself: log1p(z) = log(1 + z).",
    ),
    "beta_not_divided": (
        " / beta → ",
        "The division by β is missing, so the slope of y for large x is β, not 1.",
    ),
    "beta_ignored": (
        "beta = 1.0; ...",
        "beta is ignored. y = log(1 + e^(βx)) / β.",
    ),
    "beta_outside_only": (
        "torch.exp(z) → torch.exp(x)",
        "x in the exponent is not multiplied by β: y = log(1 + e^(βx)) / β.",
    ),
    "sign_of_exponent": (
        "torch.exp(z) → torch.exp(-z)",
        "The exponent has the wrong sign: this is log(1 + e^(−βx)) / β, which falls as x grows.",
    ),
    "threshold_without_beta": (
        "z > threshold → x > threshold",
        "x is compared with the threshold. Compare βx: y = x where βx > threshold.",
    ),
    "threshold_ignored": (
        'threshold = float("inf"); ...',
        "The threshold is ignored. Where βx > threshold, y = x: there e^(βx) could overflow.",
    ),
    "straight_part_times_beta": (
        "torch.where(z > threshold, x, → torch.where(z > threshold, z,",
        "Where βx > threshold, y is βx. It must be x: log(e^(βx)) / β = x.",
    ),
    "relu_for_softplus": (
        "y = x.clamp(min=0)",
        "This is ReLU, max(x, 0). Softplus is log(1 + e^(βx)) / β, which is smooth and above it.",
    ),
}

SOFTPLUS_BACKWARD = {
    "beta_in_front": (
        "dy * sigmoid_forward(z) → dy * beta * sigmoid_forward(z)",
        "dx has a factor β too much. The β from the exponent and the 1/β of y cancel: dx = dy σ(βx).",
    ),
    "divided_by_beta": (
        "dy * sigmoid_forward(z) → dy * sigmoid_forward(z) / beta",
        "dx is divided by β. The chain rule gives a factor β as well, and the two cancel: dx = dy σ(βx).",
    ),
    "sigmoid_without_beta": (
        "sigmoid_forward(z) → sigmoid_forward(x)",
        "The sigmoid is taken of x. The slope is σ(βx).",
    ),
    "slope_of_the_sigmoid": (
        "dy * sigmoid_forward(z) → dy * sigmoid_forward(z) * (1 - sigmoid_forward(z))",
        "This is dy σ (1 − σ), the derivative of the sigmoid. The derivative of softplus is the sigmoid "
        "itself: dy σ(βx).",
    ),
    "sigmoid_reversed": (
        "sigmoid_forward(z) → sigmoid_forward(-z)",
        "The slope falls as x grows: this is σ(−βx). It is σ(βx), near 1 for large βx.",
    ),
    "slope_threshold_ignored": (
        'threshold = float("inf"); ...',
        "The threshold is ignored. Where βx > threshold, y = x, so dx = dy.",
    ),
    "slope_threshold_without_beta": (
        "z > threshold → x > threshold",
        "x is compared with the threshold. Compare βx: dx = dy where βx > threshold.",
    ),
    "straight_part_forgotten": (
        "threshold, dy, → threshold, torch.zeros_like(dy),",
        "dx is 0 where βx > threshold. There y = x, so dx = dy.",
    ),
    "softplus_dy_forgotten": (
        "dy = torch.ones_like(dy); ...",
        "This is the slope σ(βx) alone. Multiply it by dy.",
    ),
}

MISTAKES = {
    "silu_forward": SILU_FORWARD,
    "silu_backward": SILU_BACKWARD,
    "gelu_forward": GELU_FORWARD,
    "gelu_backward": GELU_BACKWARD,
    "softplus_forward": SOFTPLUS_FORWARD,
    "softplus_backward": SOFTPLUS_BACKWARD,
}
