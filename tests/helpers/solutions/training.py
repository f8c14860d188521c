"""Right solutions: Adam and the training step."""

import math

import numpy as np
import torch

from scratchae.losses import mse_backward, mse_forward


# ---------------------------------------------------------------------------------- Adam
def averages(value, grad, m, v, betas, decay):
    g = grad + decay * value
    m.copy_(betas[0] * m + (1 - betas[0]) * g)
    v.copy_(betas[1] * v + (1 - betas[1]) * g * g)


def adam_with_hats(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    averages(value, grad, m, v, betas, wd)
    second = v
    if largest is not None:
        largest.copy_(torch.max(largest, v))
        second = largest
    mhat, vhat = m / (1 - betas[0] ** t), second / (1 - betas[1] ** t)
    value -= lr * mhat / (vhat.sqrt() + eps)


def adam_number_by_number(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    for i in range(len(value)):
        g = grad[i] + wd * value[i]
        m[i] = betas[0] * m[i] + (1 - betas[0]) * g
        v[i] = betas[1] * v[i] + (1 - betas[1]) * g**2
        second = v[i]
        if largest is not None:
            largest[i] = max(largest[i], v[i])
            second = largest[i]
        step = m[i] / (1 - betas[0] ** t) / ((second / (1 - betas[1] ** t)) ** 0.5 + eps)
        value[i] = value[i] - lr * step


def adam_with_one_step_size(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    averages(value, grad, m, v, betas, wd)
    if largest is not None:
        torch.maximum(largest, v, out=largest)
    second = largest if largest is not None else v
    c = math.sqrt(1 - betas[1] ** t)
    value.sub_(lr * c / (1 - betas[0] ** t) * m / (second.sqrt() + eps * c))


def adam_in_numpy(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    a, g, m_, v_ = (t_.numpy() for t_ in (value, grad, m, v))  # views: edits show in the tensors
    g = g + wd * a
    m_[:] = betas[0] * m_ + (1 - betas[0]) * g
    v_[:] = betas[1] * v_ + (1 - betas[1]) * g**2
    second = v_
    if largest is not None:
        second = largest.numpy()
        np.maximum(second, v_, out=second)
    a -= lr * (m_ / (1 - betas[0] ** t)) / (np.sqrt(second / (1 - betas[1] ** t)) + eps)


def adam_in_float64(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    wide = [x if x is None else x.double().clone() for x in (value, grad, m, v, largest)]
    adam_with_hats(*wide[:4], t, lr, betas, eps, wd, wide[4])
    for tensor, new in zip((value, m, v, largest), (wide[0], *wide[2:]), strict=True):
        if tensor is not None:
            tensor.copy_(new)


def adam_by_slices(
    value, grad, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, wd=0.0, largest=None
):
    m, v, g = m[:], v[:], grad.clone()
    if wd:
        g += wd * value
    m[...] = torch.lerp(g, m, betas[0])
    v[...] = betas[1] * v + (g * (1 - betas[1])) * g
    if largest is None:
        root = v.sqrt()
    else:
        torch.maximum(largest, v, out=largest)
        root = largest.sqrt()
    root = root / (1 - betas[1] ** t) ** 0.5 + eps
    value[...] = value - lr * m / (1 - betas[0] ** t) / root


# ---------------------------------------------------------------------------------- training step
def step_by_hand(model, optimizer, x):
    model.zero_grad()
    y = model(x)
    difference = y - x
    model.backward(2 * difference / difference.numel())
    optimizer.step()
    return difference.square().mean()


def step_with_the_gradients_emptied_late(model, optimizer, x):
    y = model.forward(x)
    optimizer.zero_grad()
    model.backward((y - x) * (2 / x.numel()))
    loss = ((y - x) ** 2).sum() / x.numel()
    optimizer.step()
    return loss


def step_with_the_gradients_emptied_afterwards(model, optimizer, x):
    y = model.forward(x)
    loss = mse_forward(y, x)
    model.backward(mse_backward(y, x))
    optimizer.step()
    optimizer.zero_grad()
    return loss


def step_with_a_loss_object(model, optimizer, x):
    from scratchae.losses import MSELoss

    loss = MSELoss()
    optimizer.zero_grad()
    value = loss(model.forward(x), x)
    model.backward(loss.backward())
    optimizer.step()
    return value


def step_layer_by_layer(model, optimizer, x):
    optimizer.zero_grad()
    y = x
    for layer in model:
        y = layer.forward(y)
    dy = (y - x).mul(2).div(x.numel())
    for layer in reversed(list(model)):
        dy = layer.backward(dy)
    optimizer.step()
    return (y - x).square().mean()


def step_that_gives_a_number(model, optimizer, x):
    for parameter in model.parameters():
        parameter.grad.zero_()
    y = model(x)
    loss = float(((y - x) ** 2).mean())
    model.backward(2 * (y - x) / y.numel())
    optimizer.step()
    return torch.tensor(loss, dtype=x.dtype)


def forward_and_loss(model, x):
    y = model.forward(x)
    return y, mse_forward(y, x)


def step_with_helpers(model, optimizer, x):
    optimizer.zero_grad()
    y, loss = forward_and_loss(model, x)
    if loss.isfinite():
        (lambda dy: model.backward(dy))(mse_backward(y, x))
        optimizer.step()
    return loss


SOLUTIONS = {
    "adam_update": {
        "hats": adam_with_hats,
        "loops": adam_number_by_number,
        "one step size": adam_with_one_step_size,
        "numpy": adam_in_numpy,
        "float64": adam_in_float64,
        "slices": adam_by_slices,
    },
    "train_step": {
        "by hand": step_by_hand,
        "emptied late": step_with_the_gradients_emptied_late,
        "emptied afterwards": step_with_the_gradients_emptied_afterwards,
        "loss object": step_with_a_loss_object,
        "layer by layer": step_layer_by_layer,
        "a number": step_that_gives_a_number,
        "helpers": step_with_helpers,
    },
}
