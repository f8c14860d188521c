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
from scratchae.engines.device.updates import FACTORS, MOVED
from scratchae.losses import mse_backward, mse_forward
from scratchae.optim import Optimizer

Tensors = dict[str, Tensor]
Step = Callable[[Tensors, Tensor, Tensor], Tensor]  # the loss, of tensors, images and order


def counters(like: Tensor) -> Tensors:
    """What is kept between steps besides the model and the optimiser's state, where `like` is.

    row: int64 (1,), the batch that is next.   steps: int64 (1,), steps the optimiser has made.
    lr: float64 ().   total: float64 (), the sum of the losses of all images of the epoch.
    rate, correction, shrink, first: the factors of updates.py, () of like's dtype.
    """
    device, names = like.device, ("rate", "correction", "shrink", "first")
    kept = {name: torch.zeros((), dtype=like.dtype, device=device) for name in names}
    for name in ("lr", "total"):
        kept[name] = torch.zeros((), dtype=torch.float64, device=device)
    for name in ("row", "steps"):
        kept[name] = torch.zeros(1, dtype=torch.int64, device=device)
    return kept


def count(optimizer: Optimizer, tensors: Tensors) -> None:
    """Before a step: work out the factors of its update."""
    t = tensors["steps"].double().squeeze() + 1
    for name, factor in FACTORS[type(optimizer)](optimizer, t, tensors["lr"]).items():
        tensors[name].copy_(factor)


def move(net: Net, optimizer: Optimizer, tensors: Tensors, images: Tensor, order: Tensor) -> Tensor:
    """The step itself, on the images (B, ...) at order[row]; the loss before it, shape ().

    net: says how, and owns nothing. optimizer: for its kind and settings alone. tensors: all that
    changes, in place: `counters`, value and grad (P,), the optimiser's state, the flat buffers.
    images (N, ...); order int64 (K, B). A step whose loss is not finite, and every one after
    it, changes nothing but total, which then is not finite either, and grad.

    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import SGD
    >>> net, sgd = Net(Sequential(Linear(1, 1, bias=False))), SGD([torch.tensor([3.0])])
    >>> tensors = counters(sgd.value) | {"value": sgd.value, "grad": sgd.grad}
    >>> tensors["lr"] += 0.25
    >>> count(sgd, tensors)
    >>> move(net, sgd, tensors, torch.tensor([[7.0], [1.0]]), torch.tensor([[1], [0]])).item()
    4.0
    >>> tensors["value"].item(), tensors["steps"].item(), tensors["row"].item()  # 3 − 0.25 · 4
    (2.0, 1, 1)
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
    for name, new in MOVED[type(optimizer)](optimizer, tensors).items():
        tensors[name].copy_(torch.where(fine, new, tensors[name]))
    for name, old in buffers.items():
        tensors[name].copy_(torch.where(fine, tensors[name], old))
    tensors["steps"].add_(fine)
    tensors["row"].add_(fine)
    return loss


def device_step(
    net: Net, optimizer: Optimizer, tensors: Tensors, images: Tensor, order: Tensor
) -> Tensor:
    """`count`, then `move`: a whole step, and its loss."""
    count(optimizer, tensors)
    return move(net, optimizer, tensors, images, order)
