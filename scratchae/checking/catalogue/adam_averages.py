"""Adam as it is miswritten: the two averages m and v. The right formulas are in adam.py."""

from __future__ import annotations

from scratchae.checking.catalogue.adam import average, hats, wrong


@wrong(
    "The betas are exchanged: betas[0] belongs to exp_avg, the average of g, and betas[1] to "
    "exp_avg_sq, the average of g²."
)
def betas_swapped(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    betas = betas[1], betas[0]
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The old average and the new gradient have each other's weights: m is (1 - beta1) * m + "
    "beta1 * g here, but it is beta1 * m + (1 - beta1) * g, and v likewise."
)
def weights_swapped(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    beta1, beta2 = betas
    average(g, exp_avg, exp_avg_sq, (1 - beta1, 1 - beta2))
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "exp_avg is beta1 * m + g: the new gradient needs the weight 1 - beta1 to make that an average."
)
def m_without_weight(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_(g)
    exp_avg_sq.mul_(beta2).add_((1 - beta2) * g**2)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "exp_avg_sq is beta2 * v + g²: the new square needs the weight 1 - beta2 to make that an "
    "average."
)
def v_without_weight(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_((1 - beta1) * g)
    exp_avg_sq.mul_(beta2).add_(g**2)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The old averages are overwritten: exp_avg is only (1 - beta1) * g and exp_avg_sq only (1 "
    "- beta2) * g², without beta1 * m and beta2 * v from the steps before."
)
def averages_start_over(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    exp_avg.zero_()
    exp_avg_sq.zero_()
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The new averages are computed into tensors of their own, exp_avg and exp_avg_sq stay as "
    "they were: write into them, with mul_ and add_, or the next step forgets this one."
)
def averages_not_kept(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    exp_avg, exp_avg_sq = exp_avg.clone(), exp_avg_sq.clone()
    average(g, exp_avg, exp_avg_sq, betas)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "exp_avg averages g², as exp_avg_sq does, and so has lost the direction: m is the average "
    "of g itself, with its sign."
)
def m_of_squares(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    g = grad + weight_decay * value
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_((1 - beta1) * g**2)
    exp_avg_sq.mul_(beta2).add_((1 - beta2) * g**2)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "exp_avg_sq averages g, not its square, so it may turn negative and its root NaN: add (1 "
    "- beta2) * g**2."
)
def v_not_squared(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_((1 - beta1) * g)
    exp_avg_sq.mul_(beta2).add_((1 - beta2) * g)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "exp_avg_sq averages the square of m, the new exp_avg: it has to average the square of "
    "the gradient, (1 - beta2) * g**2."
)
def v_of_m(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    g = grad + weight_decay * value
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_((1 - beta1) * g)
    exp_avg_sq.mul_(beta2).add_((1 - beta2) * exp_avg**2)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "exp_avg_sq averages (g - m)**2, the spread around the new exp_avg: Adam averages g**2, "
    "without a mean taken off."
)
def v_around_m(value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq):
    g = grad + weight_decay * value
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_((1 - beta1) * g)
    exp_avg_sq.mul_(beta2).add_((1 - beta2) * (g - exp_avg) ** 2)
    m, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * m / (v.sqrt() + eps)


@wrong(
    "The step goes along the gradient of this batch, lr * g / (sqrt(v_hat) + eps), and "
    "exp_avg is kept for nothing: put m_hat in the place of g."
)
def direction_of_g(
    value, grad, exp_avg, exp_avg_sq, t, lr, betas, eps, weight_decay, max_exp_avg_sq
):
    g = grad + weight_decay * value
    average(g, exp_avg, exp_avg_sq, betas)
    _, v = hats(exp_avg, exp_avg_sq, t, betas, max_exp_avg_sq)
    value -= lr * g / (v.sqrt() + eps)
