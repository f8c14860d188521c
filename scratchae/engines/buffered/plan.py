"""Plan: a whole step for one batch size, laid out from the layers of a model."""

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

FORMS: dict[type[Layer], Callable[..., Node]] = {  # of layer, x, buffers, free
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
    """Forward, loss and backward of a batch of that shape; `x` is where the batch has to lie.

    picked: memory for a batch in torch's order, until the step; for vectors it is that of x.

    Raises NoFormError where a layer has no buffered form, and the layers' own errors where the shape
    does not fit.

    >>> model = Sequential(Linear(4, 2), ReLU(), Linear(2, 4))
    >>> plan = Plan(model, (3, 4), Buffers(3, torch.zeros(0)))
    >>> [type(node).__name__ for node in plan.nodes]
    ['BufferedLinear', 'BufferedReLU', 'BufferedLinear']
    """

    def __init__(self, model: Sequential, shape: tuple[int, ...], buffers: Buffers) -> None:
        if len(shape) not in (2, 4):
            raise NoFormError(f"for batches of shape {tuple(shape)}")
        loss = loss_of(model)
        if type(loss) is not MSELoss or loss.reduction != "mean":
            raise NoFormError(f"of {loss!r}")
        y = copy_for_evaluation(model).forward(buffers.example.new_zeros(shape))
        if y.shape != shape:
            raise NoFormError(f"for a model that turns {tuple(shape)} into {tuple(y.shape)}")
        buffers.start(shape[0])
        self.x = buffers.place(*shape[1:])
        self.picked = self.x.rows
        if self.x.blocks:
            self.picked = buffers.scratch(*shape)
        self.nodes: list[Node] = []
        self.refills: dict[Node, list[Node]] = {}  # before whose backward whose y is filled anew
        run: list[Node] = []  # the latest that share the passing buffer
        place, free = self.x, False  # the loss will compare with x
        for layer in rows_of(model):
            if type(layer) not in FORMS:
                raise NoFormError(f"of {layer!r}")
            node = FORMS[type(layer)](layer, place, buffers, free)
            self.nodes.append(node)
            if run and node.y is not place:
                self.refills[node], run = run, []
            if buffers.is_passing(node.y):
                run.append(node)
            place, free = node.y, not node.needs_output
        self.y = place
        if self.refills and not run:
            self.refills.popitem()  # nobody has written over the last
        self.difference = buffers.gradient(self.y, other_than=self.x)
        self.loss = buffers.own()
        dy: Place | None = self.difference
        for node in reversed(self.nodes):
            assert dy is not None, "only the first layer gives no dx"
            dy = node.link(dy, buffers, wanted=node is not self.nodes[0])

    def run(self) -> None:
        """Fill `loss` and every parameter's gradient."""
        for node in self.nodes:
            node.forward()
        difference = self.difference.flat
        torch.sub(self.y.flat, self.x.flat, out=difference)
        torch.dot(difference, difference, out=self.loss).div_(len(difference))
        difference.mul_(2 / len(difference))
        for node in reversed(self.nodes):
            for earlier in self.refills.get(node, ()):
                earlier.refill()
            node.backward()


def rows_of(model: Sequential) -> list[Layer]:
    """The layers in order; raises NoFormError where some Sequential does more than to call them in a row."""
    found = []
    for layer in model:
        if isinstance(layer, Sequential):
            found += rows_of(layer)
        else:
            found.append(layer)
    kind = type(model)
    if (kind.forward, kind.backward) != (Sequential.forward, Sequential.backward):
        raise NoFormError(f"of {kind.__name__}, which has a forward or backward of its own")
    return found
