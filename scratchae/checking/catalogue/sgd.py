"""SGD as it is miswritten: the sign, the momentum's memory. Mistakes of nesterov and of the weight
decay are in sgd_decay.py.

Right is, with g = grad + weight_decay · value,

    v ← momentum · v + (1 − dampening) g      (v = g in the first step)
    value ← value − lr · v,   or with nesterov  value ← value − lr (g + momentum · v)
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from scratchae.checking.mistake import mistake

wrong = partial(mistake, "sgd_update", chapter=4)


def remember(v: Tensor, g: Tensor, t: int, momentum: float, dampening: float) -> None:
    """The momentum buffer as it should move."""
    if t == 1:
        v.copy_(g)
    else:
        v.mul_(momentum).add_((1 - dampening) * g)


def direction(g: Tensor, v: Tensor, momentum: float, nesterov: bool) -> Tensor:
    """Where to go, once the buffer has moved."""
    return g + momentum * v if nesterov else v


@wrong(
    "The step goes uphill: value grows by lr times the direction; the gradient points to "
    "where the loss grows, so subtract, value -= lr * g."
)
def uphill(value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value += lr * g


@wrong(
    "The step is value -= g, without the learning rate: every move is 1 / lr times too long; "
    "write value -= lr * g."
)
def lr_forgotten(value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= g


@wrong(
    "The learning rate is stored inside momentum_buffer: it collects lr * g where torch "
    "collects g; let the buffer collect g and multiply by lr only in value -= lr * v."
)
def lr_inside_buffer(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    step = lr * g
    if momentum:
        remember(momentum_buffer, lr * g, t, momentum, dampening)
        step = direction(lr * g, momentum_buffer, momentum, nesterov)
    value -= step


@wrong(
    "Momentum plays no part: value moves by lr * g and momentum_buffer stays as it came; "
    "update the buffer and let it be the direction."
)
def momentum_ignored(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    value -= lr * g


@wrong(
    "The new gradient enters momentum_buffer with the weight 1 - momentum, as in Adam; in SGD "
    "its weight is 1 - dampening, and 1 in the first step."
)
def running_mean(value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov):
    g = grad + weight_decay * value
    if momentum:
        momentum_buffer.mul_(momentum).add_((1 - momentum) * g)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g


@wrong(
    "From the second step on momentum multiplies the new gradient too, as in momentum * (v + "
    "g); it belongs only to the old buffer: momentum * v + (1 - dampening) * g."
)
def momentum_around_both(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum and t == 1:
        momentum_buffer.copy_(g)
    elif momentum:
        momentum_buffer.add_((1 - dampening) * g).mul_(momentum)
    if momentum:
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g


@wrong(
    "In the first step, t == 1, momentum_buffer is (1 - dampening) * g: it has to be g itself "
    "there, dampening begins with the second step."
)
def dampening_in_first_step(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        momentum_buffer.mul_(momentum).add_((1 - dampening) * g)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g


@wrong(
    "Dampening is not used: from the second step on the new gradient enters momentum_buffer "
    "with the weight 1 - dampening, here it enters with the weight 1."
)
def dampening_forgotten(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        momentum_buffer.mul_(momentum).add_(g)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g


@wrong(
    "From the second step on the new gradient enters momentum_buffer with the weight "
    "dampening: it has to be 1 - dampening."
)
def dampening_is_the_weight(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, 1 - dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g


@wrong(
    "The step uses momentum_buffer as it was before this gradient entered it: update the "
    "buffer first, then move value by it."
)
def old_buffer(value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov):
    g = grad + weight_decay * value
    if momentum:
        old = momentum_buffer.clone()
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, old, momentum, nesterov)
    value -= lr * g


@wrong(
    "The new momentum is computed into a tensor of its own, momentum_buffer stays as it was: "
    "write into it, with copy_, mul_ and add_, or the next step forgets this one."
)
def buffer_not_kept(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        momentum_buffer = momentum_buffer.clone()
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value -= lr * g


@wrong(
    "value = value - lr * g makes a new tensor that is lost when the function ends, and the "
    "caller's value stays: change it in place, value -= lr * g."
)
def value_replaced(
    value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov
):
    g = grad + weight_decay * value
    if momentum:
        remember(momentum_buffer, g, t, momentum, dampening)
        g = direction(g, momentum_buffer, momentum, nesterov)
    value = value - lr * g
