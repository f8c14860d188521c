"""The training step as a function of tensors alone: nothing in it asks Python for a number.

So it can be recorded once and carried out again and again, by a CUDA graph or a compiler. What
changes from step to step lies in tensors on the device: which batch is next, the sum of the
losses. So does the answer to whether all is well: once a loss is not finite, the sum no longer is,
and then no step moves anything.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.engines.device.flat import Net
from scratchae.optim import Optimizer
from scratchae.step import train_step

Tensors = dict[str, Tensor]
Step = Callable[[Tensors], Tensor]  # changes tensors in place; returns the loss


def device_step(net: Net, optimizer: Optimizer, tensors: Tensors) -> Tensor:
    """Make one step on the images (B, ...) at order[row]; return the loss before it, shape ().

    net: the layers, without numbers of their own. optimizer: read for its kind and settings only.
    tensors, by name:

        images (N, ...), and targets (N, ...) if the targets are not the images
        order int64 (K, B), the batches; lr float64 () and done float64 (), the learning rate and
        the number of steps made before the first row
        value, grad (P,), the optimiser's state and the flat buffers: changed in place
        row int64 (1,), the step that is next, of K; total float64 (), the sum of the losses of
        all images so far: changed in place

    A step whose loss is not finite, and every one after it, changes only grad and total,
    which then is not finite either.

    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import SGD
    >>> net, sgd = Net(Sequential(Linear(1, 1, bias=False))), SGD([torch.tensor([3.0])], lr=0.25)
    >>> tensors = {"images": torch.tensor([[7.0], [1.0]]), "order": torch.tensor([[1], [0]])}
    >>> tensors |= {"value": sgd.value, "grad": sgd.grad, **counters(torch.device("cpu"), 0.25, 0)}
    >>> device_step(net, sgd, tensors).item()  # (3 − 1)²
    4.0
    >>> tensors["value"].item(), tensors["total"].item(), tensors["row"].item()  # 3 − 0.25 · 4
    (2.0, 4.0, 1)
    """
    index = tensors["order"].index_select(0, tensors["row"]).view(-1)  # (B,)
    x = tensors["images"].index_select(0, index)
    target = tensors["targets"].index_select(0, index) if "targets" in tensors else None
    on_tensors = OptimizerOnTensors(net, optimizer, tensors, len(x))
    return train_step(net, on_tensors, x, target, update=on_tensors.update_where_finite)


class OptimizerOnTensors:
    """The update of an optimiser, carried out on the tensors of a step and undone by them.

    "if the loss is finite" is a question to Python. Here the new tensors are always worked out,
    and `torch.where` takes the old or the new ones.
    """

    def __init__(self, net: Net, optimizer: Optimizer, tensors: Tensors, count: int) -> None:
        self.net, self.optimizer, self.tensors, self.count = net, optimizer, tensors, count
        self.before = {name: t.clone() for name, t in tensors.items() if name.endswith(" buffers")}

    def zero_grad(self) -> None:
        """Give the layers their parameters anew, without gradients."""
        self.net.link(self.tensors)

    def step(self) -> None:
        raise NotImplementedError("a step on tensors ends with update_where_finite")

    def update_where_finite(self, _: object, loss: Tensor) -> None:
        """Move value, state and buffers, and count the step, unless a loss was not finite."""
        tensors, optimizer = self.tensors, self.optimizer
        tensors["grad"].copy_(self.net.gradient())
        self.net.forget()
        tensors["total"].add_(loss, alpha=self.count)
        fine = tensors["total"] < torch.inf  # false for NaN
        new = {name: tensors[name].clone() for name in ("value", *optimizer.state)}
        state = {name: new[name] for name in optimizer.state}
        t = (tensors["done"] + tensors["row"] + 1).view(())
        optimizer.update(new["value"], tensors["grad"], t, tensors["lr"], state)
        for name, tensor in new.items():
            tensors[name].copy_(torch.where(fine, tensor, tensors[name]))
        for name, tensor in self.before.items():
            tensors[name].copy_(torch.where(fine, tensors[name], tensor))
        tensors["row"].add_(fine)


def counters(device: torch.device, lr: float, done: int) -> Tensors:
    """Return row and total, at 0, and lr and done, which are read only.

    lr and done are of float64: in float32, 1 − β₂ᵗ would be wrong by 3e-5 of itself in the first step.
    """

    def number(value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=device)

    row = torch.zeros(1, dtype=torch.int64, device=device)
    return {"row": row, "total": number(0), "lr": number(lr), "done": number(done)}


def copies(tensors: Tensors) -> Tensors:
    """Return copies for a step that must leave `tensors` as they are.

    Images and targets are not copied, because no step changes them.
    """
    kept = ("images", "targets")
    return {name: t if name in kept else t.clone() for name, t in tensors.items()}
