"""Engine: how a training step is carried out. The plain one runs the layers as they are written.

Every engine makes the same step, up to rounding; they differ in where the numbers lie and in how
often Python is asked. `eager` is the one that the others are checked against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import Sequential
from scratchae.optim import Optimizer
from scratchae.step import fill_gradients


class NotFiniteError(ScratchaeError):
    """The loss of a step is NaN or infinite. step: counted from 1 in its epoch; batch: its images.

    >>> print(NotFiniteError(3, float("inf"), torch.zeros(2, 4)))
    the loss is inf in step 3
    """

    def __init__(self, step: int, loss: float, batch: Tensor) -> None:
        super().__init__(f"the loss is {loss} in step {step}")
        self.step, self.loss, self.batch = step, loss, batch


class Engine:
    """The `eager` engine, and what all engines have in common.

    model: trained in place; optimizer: the one that holds the model's parameters.

    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import SGD
    >>> model = Sequential(Linear(1, 1, bias=False))
    >>> model[0].weight.fill_(3.0)
    tensor([[3.]])
    >>> engine = Engine(model, SGD(model.parameters(), lr=0.25))
    >>> engine.step(torch.ones(1, 1)).item(), model[0].weight.item()  # (3 - 1)², 3 - 0.25 · 4
    (4.0, 2.0)
    """

    name = "eager"

    def __init__(self, model: Sequential, optimizer: Optimizer) -> None:
        self.model, self.optimizer = model, optimizer

    @torch.inference_mode()
    def step(self, x: Tensor) -> Tensor:
        """Move the model once towards giving back x (N, ...); the loss before the move, shape ().

        Where the loss is not finite nothing is moved. The loss is good until the next step.
        """
        loss = self.fill_gradients(x)
        if math.isfinite(loss.item()):
            self.update()
        return loss

    def fill_gradients(self, x: Tensor) -> Tensor:
        """The loss of x (N, ...), shape (), and, where it is finite, every parameter's `.grad`."""
        return fill_gradients(self.model, self.optimizer, x)

    def update(self) -> None:
        """Move the parameters along their gradients."""
        self.optimizer.step()

    def pick(self, images: Tensor, index: Tensor) -> Tensor:
        """The images (B, ...) at index (B,), good until the next step."""
        return images.index_select(0, index)

    @torch.inference_mode()
    def epoch(
        self,
        images: Tensor,
        batches: Iterable[Tensor],
        progress: Callable[[], object] = lambda: None,
    ) -> Tensor:
        """A step for each index (B,) of batches; the sum of all images' losses, float64, shape ().

        progress is called after every step. Raises NotFiniteError where the loss of a step is.
        """
        total = torch.zeros((), dtype=torch.float64, device=images.device)
        for number, index in enumerate(batches, start=1):
            loss = self.step(self.pick(images, index))
            if not math.isfinite(loss.item()):
                raise NotFiniteError(number, loss.item(), images.index_select(0, index))
            total += loss.double() * len(index)
            progress()
        return total
