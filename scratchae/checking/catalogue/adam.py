"""Mistakes in Adam. The function below is the paper's algorithm; the rows change its text."""

from __future__ import annotations

import torch

CHAPTER = 4


def adam_update(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    (beta1, beta2), m, v = betas, exp_avg, exp_avg_sq
    g = grad + weight_decay * value
    m.mul_(beta1).add_((1 - beta1) * g)
    v.mul_(beta2).add_((1 - beta2) * g**2)
    if max_exp_avg_sq is not None:
        v = max_exp_avg_sq.copy_(torch.maximum(max_exp_avg_sq, v))
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    value -= lr * m_hat / (v_hat.sqrt() + eps)


STEP = {
    "uphill": (
        "value -= → value +=",
        "The step goes uphill: lr * m_hat / (sqrt(v_hat) + eps) is added to value. The loss grows along "
        "the gradient: subtract it.",
    ),
    "lr_forgotten": (
        "lr * m_hat → m_hat",
        "The learning rate is missing: value moves by m_hat / (sqrt(v_hat) + eps), however small lr is. "
        "Multiply by lr.",
    ),
    "lr_on_gradient": (
        """
        grad + weight_decay * value → lr * (grad + weight_decay * value)
        lr * m_hat → m_hat
        """,
        "The learning rate multiplies the gradient, so it cancels in m / sqrt(v). Put it into the last "
        "line: value -= lr * m_hat / (sqrt(v_hat) + eps).",
    ),
    "decay_forgotten": (
        "grad + weight_decay * value → grad",
        "weight_decay is not used. Begin with g = grad + weight_decay * value, and use g wherever the "
        "formula has the gradient.",
    ),
    "decay_subtracted": (
        "grad + → grad -",
        "The weight decay has the wrong sign: grad - weight_decay * value makes the weights grow. It is "
        "grad + weight_decay * value.",
    ),
    "decay_decoupled": (
        """
        grad + weight_decay * value → grad
        lr * m_hat / (v_hat.sqrt() + eps) → lr * (m_hat / (v_hat.sqrt() + eps) + weight_decay * value)
        """,
        "The weight decay shrinks value directly, by lr * weight_decay * value: that is AdamW. In Adam, "
        "both averages use g = grad + weight_decay * value.",
    ),
    "decay_only_in_m": (
        "g**2 → grad**2",
        "Only exp_avg contains the weight decay: exp_avg_sq averages grad**2. Use the square of "
        "g = grad + weight_decay * value there too.",
    ),
    "decay_into_grad": (
        "grad + weight_decay * value → grad.add_(weight_decay * value)",
        "The weight decay is added to grad in place, which changes the caller's gradient. Make a new "
        "tensor: g = grad + weight_decay * value.",
    ),
    "value_replaced": (
        "value -= → value = value -",
        "value = value - ... makes a new tensor, which is lost when the function ends, and the "
        "caller's value does not change. Change it in place: value -= ...",
    ),
    "direction_of_g": (
        "lr * m_hat → lr * g",
        "The step follows the gradient of this batch, lr * g / (sqrt(v_hat) + eps), and exp_avg has no "
        "effect. Use m_hat instead of g.",
    ),
    "amsgrad_forgotten": (
        "max_exp_avg_sq is not None → False",
        "max_exp_avg_sq is not used. If it is given, set it in place to the larger of itself and "
        "exp_avg_sq. Divide by its root.",
    ),
}

AVERAGES = {
    "betas_swapped": (
        "(beta1, beta2), m → (beta2, beta1), m",
        "The betas are exchanged. betas[0] belongs to exp_avg, the average of g; betas[1] to "
        "exp_avg_sq, the average of g².",
    ),
    "weights_swapped": (
        """
        m.mul_(beta1).add_((1 - beta1) * g) → m.mul_(1 - beta1).add_(beta1 * g)
        v.mul_(beta2).add_((1 - beta2) * g**2) → v.mul_(1 - beta2).add_(beta2 * g**2)
        """,
        "The weights of the old average and of the new gradient are exchanged. m becomes "
        "beta1 * m + (1 - beta1) * g, and v likewise.",
    ),
    "m_without_weight": (
        "(1 - beta1) * g → g",
        "exp_avg becomes beta1 * m + g, which is not an average. Give the new gradient the weight "
        "1 - beta1.",
    ),
    "v_without_weight": (
        "(1 - beta2) * g**2 → g**2",
        "exp_avg_sq becomes beta2 * v + g², which is not an average. Give the new square the "
        "weight 1 - beta2.",
    ),
    "averages_start_over": (
        """
        m.mul_(beta1) → m.zero_()
        v.mul_(beta2) → v.zero_()
        """,
        "The old averages are forgotten: exp_avg is only (1 - beta1) * g, and exp_avg_sq only (1 - "
        "beta2) * g². Add beta1 * m and beta2 * v, which come from earlier steps.",
    ),
    "averages_not_kept": (
        "exp_avg, exp_avg_sq → exp_avg.clone(), exp_avg_sq.clone()",
        "The new averages are new tensors, so exp_avg and exp_avg_sq do not change and the next "
        "step does not see them. Write into them, with mul_ and add_.",
    ),
    "m_of_squares": (
        "(1 - beta1) * g → (1 - beta1) * g**2",
        "exp_avg is the average of g², as exp_avg_sq is, so the sign is lost. It must be the "
        "average of g itself.",
    ),
    "v_not_squared": (
        "g**2 → g",
        "exp_avg_sq is the average of g, not of its square, so it can become negative and its root "
        "NaN. Add (1 - beta2) * g**2.",
    ),
    "v_of_m": (
        "g**2 → m**2",
        "exp_avg_sq is the average of the squares of exp_avg. Use the square of the gradient: (1 - "
        "beta2) * g**2.",
    ),
    "v_around_m": (
        "g**2 → (g - m) ** 2",
        "exp_avg_sq is the average of (g - m)**2, the squared distance to exp_avg. In Adam it is "
        "the average of g**2.",
    ),
}

HATS = {
    "corrections_forgotten": (
        """
        m / (1 - beta1**t) → m
        v / (1 - beta2**t) → v
        """,
        "Both bias corrections are missing. m and v start at zero and are too small at first: divide m "
        "by 1 - beta1**t and v by 1 - beta2**t.",
    ),
    "m_not_corrected": (
        "m / (1 - beta1**t) → m",
        "Only the bias correction of m is missing. The step needs m_hat: exp_avg divided by 1 - "
        "beta1**t.",
    ),
    "v_not_corrected": (
        "v / (1 - beta2**t) → v",
        "Only the bias correction of v is missing. Divide exp_avg_sq by 1 - beta2**t before the "
        "square root.",
    ),
    "t_from_zero": (
        """
        beta1**t → beta1 ** (t - 1)
        beta2**t → beta2 ** (t - 1)
        """,
        "The bias corrections use t - 1. In the first step t is 1, so 1 - beta**(t - 1) is zero. "
        "Use 1 - beta**t.",
    ),
    "t_plus_one": (
        """
        beta1**t → beta1 ** (t + 1)
        beta2**t → beta2 ** (t + 1)
        """,
        "The bias corrections use t + 1. t counts from 1, so the powers are beta1**t and beta2**t.",
    ),
    "corrections_without_power": (
        """
        beta1**t → beta1
        beta2**t → beta2
        """,
        "The bias corrections are the same in every step, 1 - beta1 and 1 - beta2. Raise the betas "
        "to the power t: 1 - beta1**t and 1 - beta2**t.",
    ),
    "correction_outside_root": (
        """
        v / (1 - beta2**t) → v
        v_hat.sqrt() → v_hat.sqrt() / (1 - beta2**t)
        """,
        "The bias correction of v is outside the square root: sqrt(v) / (1 - beta2**t). Divide "
        "first, then take the root: sqrt(v / (1 - beta2**t)).",
    ),
    "corrections_kept": (
        """
        m / (1 - beta1**t) → m.div_(1 - beta1**t)
        v / (1 - beta2**t) → v / (1 - beta2**t); exp_avg_sq.div_(1 - beta2**t)
        """,
        "The bias corrections are written into exp_avg and exp_avg_sq, so the next step corrects them "
        "again. Put m_hat and v_hat into new tensors.",
    ),
    "root_forgotten": (
        "v_hat.sqrt() → v_hat",
        "The square root is missing: the step divides by v_hat + eps. Divide by sqrt(v_hat) + eps.",
    ),
    "eps_inside_root": (
        "(v_hat.sqrt() + eps) → (v_hat + eps).sqrt()",
        "eps is inside the root, sqrt(v_hat + eps). Add it to the root: sqrt(v_hat) + eps.",
    ),
    "eps_before_correction": (
        """
        v / (1 - beta2**t) → v
        (v_hat.sqrt() + eps) → ((v_hat.sqrt() + eps) / (1 - beta2**t) ** 0.5)
        """,
        "eps is added before the bias correction, so it is divided by sqrt(1 - beta2**t) too. Correct v "
        "first, take its root, and add eps last.",
    ),
    "eps_forgotten": (
        "(v_hat.sqrt() + eps) → v_hat.sqrt()",
        "eps is missing: sqrt(v_hat) alone is zero for a weight whose gradients were all zero. "
        "Divide by sqrt(v_hat) + eps.",
    ),
}

MISTAKES = {"adam_update": STEP | AVERAGES | HATS}
