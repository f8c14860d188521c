"""Mistakes in SGD with momentum. The function below is right; the rows change its text."""

from __future__ import annotations

CHAPTER = 4


def sgd_update(value, grad, momentum_buffer, t, lr, momentum, dampening, weight_decay, nesterov):
    g = grad + weight_decay * value
    if momentum:
        v = momentum_buffer
        if t == 1:
            v.copy_(g)
        else:
            v.mul_(momentum).add_((1 - dampening) * g)
        g = g + momentum * v if nesterov else v
    value -= lr * g


MOMENTUM = {
    "uphill": (
        "value -= → value +=",
        "The step goes uphill: lr times the direction is added to value. The loss grows along the "
        "gradient: subtract, value -= lr * g.",
    ),
    "lr_forgotten": (
        "lr * g → g",
        "The learning rate is missing: the step is value -= g. Write value -= lr * g.",
    ),
    "lr_inside_buffer": (
        """
        grad + weight_decay * value → lr * (grad + weight_decay * value)
        value -= lr * g → value -= g
        """,
        "momentum_buffer accumulates lr * g; in torch it accumulates g. Multiply by lr only in the "
        "last line, value -= lr * v.",
    ),
    "momentum_ignored": (
        "if momentum: → if False:",
        "Momentum is not used: value moves by lr * g, and momentum_buffer does not change. Update "
        "the buffer and use it as the direction.",
    ),
    "running_mean": (
        """
        t == 1 → False
        1 - dampening → 1 - momentum
        """,
        "The new gradient enters momentum_buffer with the weight 1 - momentum, as in Adam. In SGD its "
        "weight is 1 - dampening, and 1 in the first step.",
    ),
    "momentum_around_both": (
        "v.mul_(momentum).add_((1 - dampening) * g) → v.add_((1 - dampening) * g).mul_(momentum)",
        "From the second step on, momentum multiplies the new gradient too. It belongs to the old "
        "buffer only: momentum * v + (1 - dampening) * g.",
    ),
    "dampening_in_first_step": (
        "t == 1 → False",
        "In the first step, t == 1, momentum_buffer becomes (1 - dampening) * g. It must be g "
        "itself there: dampening starts with the second step.",
    ),
    "dampening_forgotten": (
        "(1 - dampening) * g → g",
        "Dampening is not used: from the second step on, the new gradient enters momentum_buffer with "
        "the weight 1. Its weight is 1 - dampening.",
    ),
    "dampening_is_the_weight": (
        "1 - dampening → dampening",
        "From the second step on, the new gradient enters momentum_buffer with the weight dampening. "
        "Its weight is 1 - dampening.",
    ),
    "old_buffer": (
        """
        v = momentum_buffer → v, old = momentum_buffer, momentum_buffer.clone()
        g + momentum * v if nesterov else v → g + momentum * old if nesterov else old
        """,
        "The step uses momentum_buffer from before this gradient was added. Update the buffer first, "
        "then move value along it.",
    ),
    "buffer_not_kept": (
        "v = momentum_buffer → v = momentum_buffer.clone()",
        "The new momentum is a new tensor, so momentum_buffer does not change and the next step "
        "does not see it. Write into it, with copy_, mul_ and add_.",
    ),
    "value_replaced": (
        "value -= → value = value -",
        "value = value - lr * g makes a new tensor, which is lost when the function ends, and the "
        "caller's value does not change. Change it in place: value -= lr * g.",
    ),
}

NESTEROV = {
    "nesterov_forgotten": (
        "g + momentum * v if nesterov else v → v",
        "nesterov has no effect: the direction is always v, the momentum_buffer. With nesterov=True it "
        "is g + momentum * v.",
    ),
    "nesterov_always": (
        "momentum * v if nesterov else v → momentum * v",
        "The direction is always g + momentum * v, which is Nesterov's. With nesterov=False it is v, "
        "the momentum_buffer alone.",
    ),
    "nesterov_without_factor": (
        "momentum * v if → v if",
        "With nesterov=True the direction is g + v. Multiply the momentum_buffer by momentum once more: "
        "g + momentum * v.",
    ),
    "nesterov_without_gradient": (
        "g + momentum * v → momentum * v",
        "With nesterov=True the direction is momentum * v, without the gradient. It is "
        "g + momentum * v.",
    ),
    "nesterov_into_buffer": (
        "g + momentum * v if → v.mul_(momentum).add_(g) if",
        "With nesterov=True the direction g + momentum * v is written back into momentum_buffer, so the "
        "next step applies it again. Keep v in the buffer.",
    ),
}

DECAY = {
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
        lr * g → lr * (g + weight_decay * value)
        """,
        "The weight decay is applied to value directly, without momentum, as in AdamW. Here "
        "momentum_buffer accumulates grad + weight_decay * value.",
    ),
    "decay_without_lr": (
        """
        grad + weight_decay * value → grad
        lr * g → lr * g + weight_decay * value
        """,
        "The weight decay shrinks value by weight_decay * value, without the learning rate. Add it to "
        "the gradient: g = grad + weight_decay * value.",
    ),
    "decay_into_grad": (
        "grad + weight_decay * value → grad.add_(weight_decay * value)",
        "The weight decay is added to grad in place, which changes the caller's gradient. Make a new "
        "tensor: g = grad + weight_decay * value.",
    ),
}

MISTAKES = {"sgd_update": MOMENTUM | NESTEROV | DECAY}
