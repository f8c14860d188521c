"""Engine: a way to run a training step. The `eager` engine runs the layers as they are written.

Every engine makes the same step, `scratchae.step.train_step`, up to rounding. Engines differ in where
the tensors are stored and in how much of the step Python runs. All are tested against `eager`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from scratchae.engines.registry import register_engine
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, Sequential
from scratchae.optim import Optimizer
from scratchae.step import fill_gradients, train_step, update_if_finite


class NotFiniteError(ScratchaeError):
    """The loss of a step is NaN or infinite. step: counted from 1 in its epoch; batch: its images.

    >>> print(NotFiniteError(3, float("inf"), torch.zeros(2, 4)))
    the loss is inf in step 3
    """

    def __init__(self, step: int, loss: float, batch: Tensor) -> None:
        super().__init__(f"the loss is {loss} in step {step}")
        self.step, self.loss, self.batch = step, loss, batch


@register_engine
class Engine:
    """The `eager` engine, and the base of all engines.

    model: trained in place. optimizer: the one that holds the model's parameters. precision: one of
    the engine's own.

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
    in_halves = True  # can `gradients` and `update` be called separately?
    precisions: tuple[str, ...] = ("float32",)

    def __init__(self, model: Sequential, optimizer: Optimizer, precision: str = "float32") -> None:
        self.model, self.optimizer, self.precision = model, optimizer, precision

    @torch.inference_mode()
    def step(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        """Move the model once towards `target` (None: x); return the loss before the move, shape ().

        If the loss is not finite, nothing is moved. The loss is valid until the next step.
        """
        if target is None:
            return train_step(self.model, self.optimizer, x)
        return train_step(self.model, self.optimizer, x, target)

    def gradients(
        self, model: Layer, optimizer: Optimizer, x: Tensor, target: Tensor | None = None
    ) -> Tensor:
        """Fill every parameter's `.grad`; return the loss. The first half of this engine's step."""
        return fill_gradients(model, optimizer, x, target)

    def update(self, optimizer: Optimizer, loss: Tensor) -> None:
        """Move the parameters if the loss is finite. The second half of this engine's step."""
        update_if_finite(optimizer, loss)

    def pick(self, images: Tensor, index: Tensor) -> Tensor:
        """Return the images (B, ...) at index (B,), valid until the next step."""
        return images.index_select(0, index)

    def pick_targets(self, targets: Tensor, index: Tensor) -> Tensor:
        """Return the targets (B, ...) at index (B,)."""
        return targets.index_select(0, index)

    @torch.inference_mode()
    def epoch(
        self,
        images: Tensor,
        batches: Iterable[Tensor],
        progress: Callable[[], object] = lambda: None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """Make a step for each index (B,) of batches; return the sum of all images' losses.

        The sum is a float64 tensor of shape (). targets: one for each image; None means the images
        themselves. progress is called after every step. Raises NotFiniteError if the loss of a step
        is not finite.
        """
        total = torch.zeros((), dtype=torch.float64, device=images.device)
        for number, index in enumerate(batches, start=1):
            target = None if targets is None else self.pick_targets(targets, index)
            loss = self.step(self.pick(images, index), target)
            if not math.isfinite(loss.item()):
                raise NotFiniteError(number, loss.item(), images.index_select(0, index))
            total += loss.double() * len(index)
            progress()
        return total
