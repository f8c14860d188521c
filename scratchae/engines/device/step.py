"""The training step as a function of tensors alone: nothing in it asks Python for a number.

So it can be recorded once and be carried out again and again, by a CUDA graph or a compiler. What
changes from step to step lies in tensors on the device: which batch is next, how many steps the
optimiser has made, the sum of the losses. So does the answer to whether all is well: once a
loss is not finite the sum no longer is, and then no step moves anything.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.engines.device.flat import Net
from scratchae.engines.device.updates import MOVED
from scratchae.losses import mse_backward, mse_forward
from scratchae.optim import Optimizer

Tensors = dict[str, Tensor]
Step = Callable[[Tensors, Tensor, Tensor], Tensor]  # the loss, of tensors, images and order


def counters(device: torch.device) -> Tensors:
    """What is kept between steps besides the model and the optimiser's state.

    row: int64 (1,), the batch that is next.   steps: int64 (1,), steps the optimiser has made.
    lr: float64 ().   total: float64 (), the sum of the losses of all images of the epoch.
    """
    numbers = {name: torch.zeros((), dtype=torch.float64) for name in ("lr", "total")}
    numbers |= {name: torch.zeros(1, dtype=torch.int64) for name in ("row", "steps")}
    return {name: tensor.to(device) for name, tensor in numbers.items()}


def device_step(
    net: Net, optimizer: Optimizer, tensors: Tensors, images: Tensor, order: Tensor
) -> Tensor:
    """One step on the images (B, ...) at order[row]; the loss before it, shape ().

    net: says how, and owns nothing. optimizer: for its kind and settings alone. tensors: all that
    changes, in place: `counters`, value and grad (P,), the optimiser's state, the flat buffers.
    images (N, ...); order int64 (K, B). A step whose loss is not finite, and every one after
    it, changes nothing but total, which then is not finite either, and grad.

    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import SGD
    >>> net, sgd = Net(Sequential(Linear(1, 1, bias=False))), SGD([torch.tensor([3.0])])
    >>> tensors = counters(torch.device("cpu")) | {"value": sgd.value, "grad": sgd.grad}
    >>> tensors["lr"] += 0.25
    >>> device_step(net, sgd, tensors, torch.tensor([[7.0], [1.0]]), torch.tensor([[1], [0]])).item()
    4.0
    >>> {name: tensor.item() for name, tensor in tensors.items()}  # 3 − 0.25 · 4
    {'lr': 0.25, 'total': 4.0, 'row': 1, 'steps': 1, 'value': 2.0, 'grad': 4.0}
    """
    x = images.index_select(0, order.index_select(0, tensors["row"]).view(-1))  # (B, ...)
    buffers = {name: tensors[name].clone() for name in tensors if name.endswith(" buffers")}
    net.link(tensors)
    y = net.forward(x)
    loss = mse_forward(y, x)
    net.backward(mse_backward(y, x))
    tensors["grad"].copy_(net.gradient())
    net.forget()
    tensors["total"].add_(loss, alpha=len(x))
    fine = tensors["total"] < torch.inf  # false for NaN
    t = (tensors["steps"] + 1).double().squeeze()
    moved = MOVED[type(optimizer)](optimizer, tensors, t, tensors["lr"])
    for name, new in moved.items():
        tensors[name].copy_(torch.where(fine, new, tensors[name]))
    for name, old in buffers.items():
        tensors[name].copy_(torch.where(fine, tensors[name], old))
    tensors["steps"].add_(fine)
    tensors["row"].add_(fine)
    return loss
