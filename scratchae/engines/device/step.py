"""The device step: a training step as a function of tensors only. Python reads no number from the device.

So a CUDA graph or a compiler can record the step once and repeat it many times. Everything that changes
from step to step is in tensors on the device, including the index of the next batch and the sum of the
losses. If a loss is NaN or inf, so is the sum from then on, and neither this step nor a later one changes
a parameter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scratchae.engines.device.flat import Net
from scratchae.optim import Optimizer
from scratchae.step import train_step

Tensors = dict[str, Tensor]
Step = Callable[[Tensors], Tensor]  # it changes tensors in place and returns the loss


def device_step(net: Net, optimizer: Optimizer, tensors: Tensors) -> Tensor:
    """Make one step on the images (B, ...) at order[row]; return the loss before it, shape ().

    net: the layers. optimizer: only its `clip`, `advance` and settings are used, not its tensors. tensors, by
    name:

        images (N, ...); targets (N, ...) if the targets are not the images; keys (N,) for random layers
        order int64 (K, B), the batches; lr float64 (K,), the learning rate of each row
        done float64 (), the number of steps made before the first row
        value, grad (P,), the optimiser's state and the flat buffers: changed in place
        row int64 (1,), the index of the next step, below K; total float64 (), the sum of the
        losses of all images so far: changed in place

    A step whose loss is NaN or inf, and every step after it, changes only grad and total. total is then
    NaN or inf, too.

    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import SGD
    >>> net, sgd = Net(Sequential(Linear(1, 1, bias=False))), SGD([torch.tensor([3.0])], lr=0.25)
    >>> tensors = {"images": torch.tensor([[7.0], [1.0]]), "order": torch.tensor([[1], [0]])}
    >>> tensors |= {"value": sgd.value, "grad": sgd.grad, **counters(torch.device("cpu"), [0.25] * 2, 0)}
    >>> device_step(net, sgd, tensors).item()  # (3 − 1)²
    4.0
    >>> tensors["value"].item(), tensors["total"].item(), tensors["row"].item()  # 3 − 0.25 · 4
    (2.0, 4.0, 1)
    """
    index = tensors["order"].index_select(0, tensors["row"]).view(-1)  # (B,)
    x = tensors["images"].index_select(0, index)
    target = tensors["targets"].index_select(0, index) if "targets" in tensors else None
    keys = tensors["keys"].index_select(0, index) if "keys" in tensors else None
    on_tensors = OptimizerOnTensors(net, optimizer, tensors, len(x))
    return train_step(net, on_tensors, x, target, keys, update=on_tensors.update_where_finite)


class OptimizerOnTensors:
    """The optimiser of a device step: it updates the tensors of the step.

    A recorded step cannot contain an `if`. So the new values are always computed, and then `torch.where`
    selects the new values if the loss is finite, and otherwise the old values.
    """

    def __init__(self, net: Net, optimizer: Optimizer, tensors: Tensors, count: int) -> None:
        self.net, self.optimizer, self.tensors, self.count = net, optimizer, tensors, count
        self.before = {name: t.clone() for name, t in tensors.items() if name.endswith(" buffers")}

    def zero_grad(self) -> None:
        """Link the net to the tensors of the step again. The new views have no gradients yet."""
        self.net.link(self.tensors)

    def step(self) -> None:
        raise NotImplementedError("a step on tensors ends with update_where_finite")

    def update_where_finite(self, _: object, loss: Tensor) -> None:
        """Update value, state, buffers and row, unless this loss or an earlier one is NaN or inf."""
        tensors, optimizer = self.tensors, self.optimizer
        tensors["grad"].copy_(self.net.gradient())
        optimizer.clip(tensors["grad"])
        self.net.forget()
        # fine: no loss so far is NaN or inf, so their sum is not, either
        tensors["total"].add_(loss, alpha=self.count)
        fine = tensors["total"].abs() < torch.inf  # false for NaN
        # compute the new parameters and state on copies, then keep the new or the old ones
        new = {name: tensors[name].clone() for name in ("value", *optimizer.state)}
        state = {name: new[name] for name in optimizer.state}
        t = (tensors["done"] + tensors["row"] + 1).view(())
        lr = tensors["lr"].index_select(0, tensors["row"]).view(())
        optimizer.advance(new["value"], tensors["grad"], t, lr, state)
        for name, tensor in new.items():
            tensors[name].copy_(torch.where(fine, tensor, tensors[name]))
        for name, tensor in self.before.items():
            tensors[name].copy_(torch.where(fine, tensors[name], tensor))
        tensors["row"].add_(fine)


def counters(device: torch.device, rates: list[float], done: int) -> Tensors:
    """Return the tensors row and total, which are 0, and lr and done, which no step changes.

    rates: the learning rate of each row. lr and done are float64: in float32, 1 − β₂ᵗ has a relative
    error of 3e-5 in the first step.
    """

    def number(value: float | list[float]) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=device)

    row = torch.zeros(1, dtype=torch.int64, device=device)
    return {"row": row, "total": number(0), "lr": number(rates), "done": number(done)}


def copies(tensors: Tensors) -> Tensors:
    """Return copies of the tensors, for a step that must not change the original ones.

    Images, targets and keys are not copied, because no step changes them.
    """
    kept = ("images", "targets", "keys")
    return {name: t if name in kept else t.clone() for name, t in tensors.items()}
