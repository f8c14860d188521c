"""Wrong versions of what chapters ask for beyond the library's exercises, with what the check must say."""

import torch


def numeric_grad_with(slope):
    """numeric_grad with slope(f, x, step, h) in place of the central difference."""

    def numeric_grad(f, x, h=1e-5):
        grad = torch.zeros_like(x)
        for k in range(x.numel()):
            step = torch.zeros_like(x)
            step.view(-1)[k] = h
            grad.view(-1)[k] = slope(f, x, step, h)
        return grad

    return numeric_grad


def moved_for_good(f, x, h=1e-5):
    grad = torch.zeros_like(x)
    for k in range(x.numel()):
        before = f(x)
        x.view(-1)[k] += h
        grad.view(-1)[k] = (f(x) - before) / h
    return grad


def one_number(f, x, h=1e-5):
    return (f(x + h) - f(x - h)) / (2 * h)


OWN_MISTAKES: dict = {  # (chapter, name): [(wrong version, words that its check must say)]
    ("ch01_loss", "numeric_grad"): [
        (numeric_grad_with(lambda f, x, s, h: (f(x + s) - f(x)) / h), "from one side"),
        (numeric_grad_with(lambda f, x, s, h: (f(x + s) - f(x - s)) / h), "divided by h"),
        (numeric_grad_with(lambda f, x, s, h: f(x + s) - f(x - s)), "nothing is divided"),
        (numeric_grad_with(lambda f, x, s, h: one_number(f, x, h)), "all elements moved at once"),
        (numeric_grad_with(lambda f, x, s, h: (f(x - s) - f(x + s)) / (2 * h)), "sign is wrong"),
        (moved_for_good, "x has been changed"),
        (one_number, "want a tensor like x"),
    ],
}
