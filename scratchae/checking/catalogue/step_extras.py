"""Mistakes in schedules, clipping and averaged weights. Two functions are repeated in their plainest form."""

from __future__ import annotations

CHAPTER = 0


def clip_grad_norm(grad, max_norm):
    norm = grad.square().sum().sqrt()
    grad *= (max_norm / (norm + 1e-6)).clamp(max=1.0)


def ema_update(average, value, t, decay):
    if t == 1:
        average.copy_(value)
    else:
        average.mul_(decay).add_((1 - decay) * value)


COSINE = {
    "whole_wave": (
        "math.pi * step → 2 * math.pi * step",
        "The rate is back at lr after T_max steps: this is a whole wave. Use half a wave, "
        "cos(π · step / T_max).",
    ),
    "not_halved": (
        "(1 + math.cos(math.pi * step / T_max)) / 2 → 1 + math.cos(math.pi * step / T_max)",
        "The factor goes from 2 to 0. Divide 1 + cos(...) by 2, so that it goes from 1 to 0.",
    ),
    "cosine_alone": (
        "(1 + math.cos(math.pi * step / T_max)) / 2 → math.cos(math.pi * step / T_max)",
        "The factor is the cosine itself, which goes from 1 to −1. Use (1 + cos) / 2, which goes from "
        "1 to 0.",
    ),
    "rising": (
        "1 + math.cos → 1 - math.cos",
        "The rate rises from eta_min to lr. Use 1 + cos instead of 1 − cos.",
    ),
    "sine": (
        "math.cos → math.sin",
        "This is the sine, so the rate does not begin with lr. Use the cosine, which is 1 at step 0.",
    ),
    "straight": (
        "(1 + math.cos(math.pi * step / T_max)) / 2 → 1 - step / T_max",
        "The rate falls along a straight line. Use the factor (1 + cos(π · step / T_max)) / 2.",
    ),
    "eta_min_forgotten": (
        "result = right(step, lr, T_max, 0.0)",
        "eta_min has no effect, and the rate falls to 0. It is eta_min + (lr − eta_min) · factor.",
    ),
    "eta_min_added": (
        "(lr - eta_min) * → lr *",
        "The rate begins with lr + eta_min. Only the distance lr − eta_min shrinks: "
        "eta_min + (lr − eta_min) · factor.",
    ),
    "eta_min_as_floor": (
        "result = max(right(step, lr, T_max, 0.0), eta_min)",
        "The rate falls towards 0 and is cut off at eta_min. It must reach eta_min only at T_max: "
        "eta_min + (lr − eta_min) · factor.",
    ),
    "counted_from_one": (
        "math.pi * step → math.pi * (step + 1)",
        "The first rate is already below lr. Steps are counted from 0, so use step, not step + 1.",
    ),
    "one_step_too_fast": (
        "step / T_max → step / max(T_max - 1, 1)",
        "The lowest rate comes one step too early. Divide step by T_max, not by T_max − 1.",
    ),
    "stays_down": (
        "math.pi * step → math.pi * min(step, T_max)",
        "After T_max the rate stays at eta_min. The cosine goes up again there, as in torch: do not "
        "limit step.",
    ),
}

CLIPPING = {
    "always_scaled": (
        ".clamp(max=1.0) → ",
        "A short gradient is made longer, up to max_norm. Clipping only shortens: limit the factor to "
        "at most 1.",
    ),
    "by_value": (
        "grad.clamp_(-max_norm, max_norm)",
        "Each element is limited by itself, which changes the direction: that is clipping by value. "
        "Multiply the whole gradient by one factor.",
    ),
    "root_forgotten": (
        ".sqrt() → ",
        "The gradient is compared with its squared norm. Take the square root of the sum of squares.",
    ),
    "absolute_sum": (
        "grad.square().sum().sqrt() → grad.abs().sum()",
        "The norm is the sum of absolute values. Use the Euclidean norm, the root of the sum of squares.",
    ),
    "largest_element": (
        "grad.square().sum().sqrt() → grad.abs().max()",
        "The norm is the largest absolute value. Use the Euclidean norm, the root of the sum of squares.",
    ),
    "root_mean_square": (
        ".square().sum() → .square().mean()",
        "The squares are averaged, so the limit grows with the number of parameters. Add them up: the norm "
        "is √(Σ g²).",
    ),
    "norm_of_each_row": (
        ".square().sum() → .square().sum(dim=0)",
        "Each part has its own norm and its own factor, which changes the direction. Use one norm of "
        "the gradients of all parameters together.",
    ),
    "factor_inverted": (
        "(max_norm / (norm + 1e-6)) → ((norm + 1e-6) / max_norm)",
        "The factor is norm / max_norm, so a gradient that is too long stays so. Multiply by "
        "max_norm / norm.",
    ),
    "max_norm_forgotten": (
        "max_norm / → 1.0 /",
        "The gradient is limited to length 1, whatever max_norm is. The factor is max_norm / norm.",
    ),
    "eps_missing": (
        "norm + 1e-6 → norm",
        "10⁻⁶ is missing. Add it to the norm before the division, as torch does.",
    ),
    "grad_replaced": (
        "grad *= → grad = grad *",
        "grad = grad * factor makes a new tensor, so the caller's gradient does not change. Change it in "
        "place: grad *= factor.",
    ),
}

AVERAGE = {
    "weights_swapped": (
        "average.mul_(decay).add_((1 - decay) * value) → average.mul_(1 - decay).add_(decay * value)",
        "The new value has the weight decay. The old average has this weight, and the new value "
        "1 − decay.",
    ),
    "no_copy_in_first_step": (
        "t == 1 → False",
        "In the first step, t == 1, the average is mixed with what was there before. It must become value "
        "itself.",
    ),
    "always_copied": (
        "t == 1 → True",
        "The average is always the newest value. From the second step on it is "
        "decay · average + (1 − decay) · value.",
    ),
    "weight_forgotten": (
        "(1 - decay) * value → value",
        "The new value enters with the weight 1, so the average grows with every step. Multiply it by "
        "1 − decay.",
    ),
    "decay_forgotten": (
        "average.mul_(decay).add_ → average.add_",
        "The old average keeps the weight 1, so the average grows with every step. Multiply it by "
        "decay.",
    ),
    "mean_of_all": (
        "average.mul_(decay).add_((1 - decay) * value) → average.add_((value - average) / t)",
        "This is the plain mean of all steps, with the weight 1 / t. Use the weight 1 − decay in every "
        "step but the first.",
    ),
    "corrected_as_in_adam": (
        "right(average, value, t, decay); average /= 1 - decay**t",
        "The average is divided by 1 − decayᵗ, as in Adam. That corrects an average that begins with 0; "
        "this one begins with the first value.",
    ),
    "average_replaced": (
        "average.mul_(decay).add_((1 - decay) * value) → average = decay * average + (1 - decay) * value",
        "average = ... makes a new tensor, so the caller's average changes only in the first step. Change it "
        "in place, with mul_ and add_.",
    ),
}

MISTAKES = {
    "cosine_annealing_lr": COSINE,
    "clip_grad_norm": CLIPPING,
    "ema_update": AVERAGE,
}
