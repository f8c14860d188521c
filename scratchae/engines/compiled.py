"""CompiledEngine: the device step put through torch.compile as one function.

The layers are not compiled as they are written, in Python, but as what they do: the step is run
once and its operations on tensors are listed (a graph of torch.fx), forward pass, loss, backward
pass and update in one. The compiler fuses what lies side by side in that list. (The few factors
that depend on the number of the step stay outside: see device/updates.py.)
"""

from __future__ import annotations

import warnings
from functools import partial

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from scratchae.engines.device import DeviceEngine
from scratchae.engines.device.flat import Net
from scratchae.engines.device.step import Step, count, move
from scratchae.errors import ScratchaeError
from scratchae.layers import Sequential
from scratchae.optim import Optimizer


class CompiledEngine(DeviceEngine):
    """The steps of `eager`, up to rounding, compiled; on CUDA then recorded as a CUDA graph too.

    Each batch size is compiled by itself, which takes tens of seconds on a CPU the first time
    (torch keeps what it compiled on disk); the one short batch at the end of an epoch is not.
    Where that cannot be done, for want of a C++ compiler or because a layer asks for a number that
    only the step itself can tell, a warning says so in a sentence, and the steps are those of
    `eager`. Layers of your own must not count or draw numbers in Python.
    """

    name = "compile"

    def __init__(self, model: Sequential, optimizer: Optimizer, precision: str = "float32") -> None:
        super().__init__(model, optimizer, precision)
        self.captured = optimizer.value.is_cuda

    def prepare(self, net: Net, images: Tensor, order: Tensor) -> Step | None:
        if len(order) == 1 and order.numel() < len(images):
            return super().prepare(
                net, images, order
            )  # the short last batch: compiling would take longer than it can save
        names = list(self.tensors)
        step = partial(move, net, self.optimizer)
        try:
            listed = operations_of(step, self.tensors, images, order)
            compiled = torch.compile(listed, fullgraph=True, dynamic=False)
            copies = [self.tensors[name].clone() for name in names]
            with warnings.catch_warnings():  # the compiler's own, about parts of torch it uses
                warnings.simplefilter("ignore", DeprecationWarning)
                compiled(copies, images, order)  # so that it is known to work
        except ScratchaeError:
            raise  # what a layer has to say about its input
        except Exception as error:  # the compiler's own are of many kinds
            self.fall_back(f"cannot compile this step ({first_line(error)})")
            return None

        def count_and_move(tensors: dict[str, Tensor], images: Tensor, order: Tensor) -> Tensor:
            count(self.optimizer, tensors)
            return compiled([tensors[name] for name in names], images, order)

        return count_and_move


def operations_of(
    step: Step, tensors: dict[str, Tensor], images: Tensor, order: Tensor
) -> GraphModule:
    """What a step does, as a list of operations on its tensors; it is carried out on copies.

    >>> from scratchae.engines.device.flat import Net
    >>> from scratchae.layers import ReLU
    >>> def step(tensors, images, order):
    ...     return ReLU().forward(images[order] + tensors["total"])
    >>> found = operations_of(step, {"total": torch.ones(())}, torch.ones(2, 1), torch.tensor([0, 1]))
    >>> [node.name for node in found.graph.nodes if node.op == "call_function"]
    ['index', 'add', 'clamp']
    """
    names = list(tensors)
    copies = [tensor.clone() for tensor in tensors.values()]

    def of_a_list(values: list[Tensor], images: Tensor, order: Tensor) -> Tensor:
        return step(dict(zip(names, values, strict=True)), images, order)

    return make_fx(of_a_list)(copies, images, order)


def first_line(error: Exception) -> str:
    """The first line of what an exception says, or its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
