"""Adam as it is miswritten: the hats m̂ and v̂, the root and ε. The right formulas are in adam.py."""

from __future__ import annotations

from scratchae.checking.catalogue.adam import average, hats, largest, wrong


@wrong(
    "Both bias corrections are missing: m and v start at zero and are too small at first, so "
    "divide m by 1 - beta1**t and v by 1 - beta2**t."
)
def corrections_forgotten(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    v = largest(exp_avg_sq, max_exp_avg_sq)
    value -= lr * exp_avg / (v.sqrt() + eps)


@wrong(
    "The bias correction of m is missing, v has its own: divide exp_avg by 1 - beta1**t for "
    "the step."
)
def m_not_corrected(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    _, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * exp_avg / (v.sqrt() + eps)


@wrong(
    "The bias correction of v is missing, m has its own: divide exp_avg_sq by 1 - beta2**t "
    "before the square root."
)
def v_not_corrected(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, _ = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    v = largest(exp_avg_sq, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The bias corrections use t - 1: t is 1 in the first step already, so 1 - beta**(t - 1) "
    "is zero there and one step late ever after; use 1 - beta**t."
)
def t_from_zero(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t - 1, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The bias corrections use t + 1: t counts from 1 and is 1 in the first step already, so "
    "the powers are beta1**t and beta2**t."
)
def t_plus_one(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t + 1, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The bias corrections are the same in every step, 1 - beta1 and 1 - beta2: t has to be "
    "their power, 1 - beta1**t and 1 - beta2**t."
)
def corrections_without_power(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, 1, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The square root leaves out the bias correction of v: sqrt(v) / (1 - beta2**t) is not "
    "sqrt(v / (1 - beta2**t)); take the root of both."
)
def correction_outside_root(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    beta1, beta2 = betas
    m, v = exp_avg / (1 - beta1**t), largest(exp_avg_sq, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() / (1 - beta2**t) + eps)


@wrong(
    "The bias corrections are written into exp_avg and exp_avg_sq, so the next step corrects "
    "them again: keep the averages as they are and put m_hat and v_hat into new tensors."
)
def corrections_kept(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)
    beta1, beta2 = betas
    exp_avg /= 1 - beta1**t
    exp_avg_sq /= 1 - beta2**t


@wrong(
    "The square root is missing: the step divides by v_hat + eps, it has to divide by "
    "sqrt(v_hat) + eps."
)
def root_forgotten(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v + eps)


@wrong("eps stands inside the root, sqrt(v_hat + eps): add it to the root, sqrt(v_hat) + eps.")
def eps_inside_root(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v + eps).sqrt()


@wrong(
    "eps is added before the bias correction, so that (sqrt(v) + eps) is divided by sqrt(1 - "
    "beta2**t) as a whole: correct v first, take its root, and add eps last."
)
def eps_before_correction(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    beta1, beta2 = betas
    m, v = exp_avg / (1 - beta1**t), largest(exp_avg_sq, max_exp_avg_sq)
    value -= lr * m / ((v.sqrt() + eps) / (1 - beta2**t) ** 0.5)


@wrong(
    "eps is missing: the step divides by sqrt(v_hat) alone, which is zero where a weight "
    "never had a gradient; divide by sqrt(v_hat) + eps."
)
def eps_forgotten(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / v.sqrt()
