"""Plan: the forward pass, the loss and the backward pass of a model, for one batch size."""

from __future__ import annotations

from collections.abc import Callable

import torch

from scratchae.engines.buffered.activations import (
    BufferedLeakyReLU,
    BufferedReLU,
    BufferedSigmoid,
    BufferedTanh,
)
from scratchae.engines.buffered.batchnorm import BufferedBatchNorm
from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.linear import BufferedLinear
from scratchae.engines.buffered.node import Node, NoFormError
from scratchae.engines.buffered.place import Place
from scratchae.engines.buffered.reshape import BufferedReshape
from scratchae.engines.buffered.winograd import conv2d_form, conv_transpose2d_form
from scratchae.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    Unflatten,
)
from scratchae.layers.sequential import copy_for_evaluation
from scratchae.losses import MSELoss
from scratchae.step import loss_of

FORMS: dict[type[Layer], Callable[..., Node]] = {  # called with (layer, x, buffers, free)
    Linear: BufferedLinear,
    Conv2d: conv2d_form,
    ConvTranspose2d: conv_transpose2d_form,
    BatchNorm1d: BufferedBatchNorm,
    BatchNorm2d: BufferedBatchNorm,
    ReLU: BufferedReLU,
    LeakyReLU: BufferedLeakyReLU,
    Tanh: BufferedTanh,
    Sigmoid: BufferedSigmoid,
    Flatten: BufferedReshape,
    Unflatten: BufferedReshape,
}


class Plan:
    """The nodes of a model for batches of one shape, and the memory between them.

    x: the place to which the batch is copied before `run`. picked: memory in which a batch can be
    collected, in torch's order; `run` overwrites it. For vectors it is the memory of x.

    Raises NoFormError if a layer, the loss or the shape has no buffered form, and the layers' own
    errors if the shape does not fit the model.

    >>> model = Sequential(Linear(4, 2), ReLU(), Linear(2, 4))
    >>> plan = Plan(model, (3, 4), Buffers(3, torch.zeros(0)))
    >>> [type(node).__name__ for node in plan.nodes]
    ['BufferedLinear', 'BufferedReLU', 'BufferedLinear']
    """

    def __init__(self, model: Sequential, shape: tuple[int, ...], buffers: Buffers) -> None:
        if len(shape) not in (2, 4):
            raise NoFormError(f"batches of shape {tuple(shape)}")
        loss = loss_of(model)
        if type(loss) is not MSELoss or loss.reduction != "mean":
            raise NoFormError(f"{loss!r}")
        y = copy_for_evaluation(model).forward(buffers.example.new_zeros(shape))
        if y.shape != shape:
            raise NoFormError(f"a model that turns {tuple(shape)} into {tuple(y.shape)}")

        # the input
        buffers.start(shape[0])
        self.x = buffers.place(*shape[1:])
        self.picked = self.x.rows
        if self.x.blocks:
            self.picked = buffers.scratch(*shape)

        # The nodes, in the order of the forward pass. An output in the passing buffer is overwritten
        # by the next such output, so it is computed again before the backward pass reads it.
        self.nodes: list[Node] = []
        self.refills: dict[Node, list[Node]] = {}  # node: the nodes to refill before its backward
        run: list[Node] = []  # the latest nodes whose y is in the passing buffer
        place, free = self.x, False  # x must stay: the loss compares the output with it
        for layer in rows_of(model):
            if type(layer) not in FORMS:
                raise NoFormError(f"{layer!r}")
            node = FORMS[type(layer)](layer, place, buffers, free)
            self.nodes.append(node)
            if run and node.y is not place:  # node reads the last of their outputs
                self.refills[node], run = run, []
            if buffers.is_passing(node.y):
                run.append(node)
            place, free = node.y, not node.needs_output
        self.y = place
        if self.refills and not run:
            self.refills.popitem()  # nothing has overwritten the last outputs

        # the loss, and the gradients in the order of the backward pass
        self.difference = buffers.gradient(self.y, other_than=self.x)
        self.loss = buffers.own()
        dy: Place | None = self.difference
        for node in reversed(self.nodes):
            assert dy is not None, "only the first layer has no dx"
            dy = node.link(dy, buffers, wanted=node is not self.nodes[0])

    def run(self) -> None:
        """Fill `loss` and every parameter's gradient from x."""
        for node in self.nodes:
            node.forward()
        # the mean squared error, and its gradient 2 (y − x) / (number of elements)
        difference = self.difference.flat
        torch.sub(self.y.flat, self.x.flat, out=difference)
        torch.dot(difference, difference, out=self.loss).div_(len(difference))
        difference.mul_(2 / len(difference))  # the dy of the last node
        for node in reversed(self.nodes):
            for earlier in self.refills.get(node, ()):
                earlier.refill()
            node.backward()


def rows_of(model: Sequential) -> list[Layer]:
    """Return the layers of a model in their order, including those inside a Sequential in it.

    Raises NoFormError if a Sequential has its own forward or backward.
    """
    found = []
    for layer in model:
        if isinstance(layer, Sequential):
            found += rows_of(layer)
        else:
            found.append(layer)
    kind = type(model)
    if (kind.forward, kind.backward) != (Sequential.forward, Sequential.backward):
        raise NoFormError(f"{kind.__name__}, which has its own forward or backward")
    return found
