"""SGD as it is miswritten: nesterov and the weight decay. The right formulas are in sgd.py."""

from __future__ import annotations

from scratchae.checking.catalogue.sgd import direction, remember, wrong


@wrong(
    "Nesterov makes no difference: with nesterov=True the direction is g + momentum * v, here "
    "it is always v, the momentum_buffer."
)
def nesterov_forgotten(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = momentum_buffer
    value -= lr * g


@wrong(
    "The direction is g + momentum * v always: that is Nesterov's, with nesterov=False it has "
    "to be v, the momentum_buffer alone."
)
def nesterov_always(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = g + momentum * momentum_buffer
    value -= lr * g


@wrong(
    "With nesterov=True the direction is g + v: the momentum_buffer has to be multiplied by "
    "momentum once more, g + momentum * v."
)
def nesterov_without_factor(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = g + momentum_buffer if nesterov else momentum_buffer
    value -= lr * g


@wrong(
    "With nesterov=True the direction is momentum * v, without the gradient: it has to be g + "
    "momentum * v."
)
def nesterov_without_gradient(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = momentum * momentum_buffer if nesterov else momentum_buffer
    value -= lr * g


@wrong(
    "With nesterov=True the look-ahead g + momentum * v is written back into momentum_buffer, "
    "so that it is applied again in the next step: leave v there and use the look-ahead only "
    "for value."
)
def nesterov_into_buffer(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        if nesterov:
            momentum_buffer.mul_(momentum).add_(g)
        g = momentum_buffer
    value -= lr * g


@wrong(
    "weight_decay is not used: begin with g = grad + weight_decay * value and go on with g "
    "wherever the formula has the gradient."
)
def decay_forgotten(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g


@wrong(
    "The weight decay has the wrong sign: grad - weight_decay * value lets the weights grow; "
    "it is grad + weight_decay * value."
)
def decay_subtracted(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad - weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g


@wrong(
    "The weight decay goes straight to value, past the momentum, as AdamW does it: here "
    "momentum_buffer collects grad + weight_decay * value."
)
def decay_decoupled(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * (g + weight_decay * value)


@wrong(
    "The weight decay shrinks value by weight_decay * value at once, without the learning "
    "rate: add it to the gradient instead, g = grad + weight_decay * value."
)
def decay_without_lr(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g + weight_decay * value


@wrong(
    "The weight decay is added to grad in place, so the caller's gradient is changed: make a "
    "new tensor, g = grad + weight_decay * value, and leave grad as it is."
)
def decay_into_grad(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad.add_(weight_decay * value)
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g
