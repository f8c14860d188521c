"""The training step as a function of tensors alone: nothing in it asks Python for a number.

So it can be recorded once and be carried out again and again, by a CUDA graph or a compiler. What
changes from step to step lies in tensors on the device: which batch is next, the sum of the
losses. So does the answer to whether all is well: once a loss is not finite the sum no longer is,
and then no step moves anything.
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
Step = Callable[[Tensors], Tensor]  # changes tensors in place; the loss


def device_step(net: Net, optimizer: Optimizer, tensors: Tensors) -> Tensor:
    """One step on the images (B, ...) at order[row]; the loss before it, shape ().

    net: says how, and owns nothing. optimizer: for its kind and settings alone. tensors, by name:

        images (N, ...); order int64 (K, B), the batches; factors (K, F) of updates.py
        value, grad (P,), the optimiser's state and the flat buffers: changed in place
        row int64 (1,), the step that is next, of K; total float64 (), the sum of the losses of
        all images so far: changed in place

    A step whose loss is not finite, and every one after it, changes nothing but grad and total,
    which then is not finite either.

    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import SGD
    >>> net, sgd = Net(Sequential(Linear(1, 1, bias=False))), SGD([torch.tensor([3.0])])
    >>> tensors = {"images": torch.tensor([[7.0], [1.0]]), "order": torch.tensor([[1], [0]])}
    >>> tensors |= {"factors": torch.tensor([[0.25, 1.0]]), "value": sgd.value, "grad": sgd.grad}
    >>> tensors |= counters(torch.device("cpu"))
    >>> device_step(net, sgd, tensors).item()  # (3 − 1)²
    4.0
    >>> tensors["value"].item(), tensors["total"].item(), tensors["row"].item()  # 3 − 0.25 · 4
    (2.0, 4.0, 1)
    """
    row = tensors["row"]
    index = tensors["order"].index_select(0, row).view(-1)  # (B,)
    x = tensors["images"].index_select(0, index)
    buffers = {name: tensors[name].clone() for name in tensors if name.endswith(" buffers")}
    net.link(tensors)
    y = net.forward(x)
    loss = mse_forward(y, x)
    net.backward(mse_backward(y, x))
    tensors["grad"].copy_(net.gradient())
    net.forget()
    tensors["total"].add_(loss, alpha=len(x))
    fine = tensors["total"] < torch.inf  # false for NaN
    factors = tensors["factors"].index_select(0, row).view(-1).unbind()
    for name, new in MOVED[type(optimizer)](optimizer, tensors, *factors).items():
        tensors[name].copy_(torch.where(fine, new, tensors[name]))
    for name, old in buffers.items():
        tensors[name].copy_(torch.where(fine, tensors[name], old))
    row.add_(fine)
    return loss


def counters(device: torch.device) -> Tensors:
    """row and total, at 0."""
    row = torch.zeros(1, dtype=torch.int64, device=device)
    return {"row": row, "total": torch.zeros((), dtype=torch.float64, device=device)}


def copies(tensors: Tensors) -> Tensors:
    """A step on these leaves `tensors` as they are; the images are not copied, no step changes them."""
    return {name: t if name == "images" else t.clone() for name, t in tensors.items()}
