"""Engine: a way to run a training step. The `eager` engine calls the layers one by one.

Every engine makes the same step, `scratchae.step.train_step`, up to rounding. Engines differ in where
the tensors are stored, and in how much of the step runs in Python. All are tested against `eager`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from scratchae.engines.registry import register_engine
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, Sequential
from scratchae.optim import Optimizer
from scratchae.step import fill_gradients, train_step, update_if_finite


class NotFiniteError(ScratchaeError):
    """The loss of a step is NaN or infinite.

    step: the number of the step in its epoch, from 1. loss: its loss. batch: its images.

    >>> print(NotFiniteError(3, float("inf"), torch.zeros(2, 4)))
    the loss is inf in step 3
    """

    def __init__(self, step: int, loss: float, batch: Tensor) -> None:
        super().__init__(f"the loss is {loss} in step {step}")
        self.step, self.loss, self.batch = step, loss, batch


@register_engine
class Engine:
    """The `eager` engine, which is also the base class of all engines.

    model: the model to train, in place. optimizer: the optimizer of the model's parameters. precision:
    one of the engine's `precisions`.

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
    in_halves = True  # True if `gradients` and `update` can be called separately
    precisions: tuple[str, ...] = ("float32",)

    def __init__(self, model: Sequential, optimizer: Optimizer, precision: str = "float32") -> None:
        self.model, self.optimizer, self.precision = model, optimizer, precision

    @torch.inference_mode()
    def step(self, x: Tensor, target: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
        """Make one step for x (B, ...) and target (None: x itself); return the loss before it, shape ().

        keys: (B,), for random layers, as in `Layer.set_keys`. If the loss is not finite, no parameter
        changes. The next step may overwrite the returned tensor.
        """
        given = (x,) if target is None and keys is None else (x, target, keys)
        return train_step(self.model, self.optimizer, *given, **self.halves())

    def halves(self) -> dict[str, Any]:
        """Return the arguments `gradients` and `update` for `train_step`, if this engine replaces them."""
        return {}

    def gradients(
        self,
        model: Layer,
        optimizer: Optimizer,
        x: Tensor,
        target: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor:
        """Set every parameter's `.grad`; return the loss, shape (). This is the first half of a step."""
        return fill_gradients(model, optimizer, x, target, keys)

    def update(self, optimizer: Optimizer, loss: Tensor) -> None:
        """Update the parameters if the loss is finite. This is the second half of a step."""
        update_if_finite(optimizer, loss)

    def pick(self, images: Tensor, index: Tensor) -> Tensor:
        """Return the images (B, ...) at index (B,). The next step may overwrite this tensor."""
        return images.index_select(0, index)

    def pick_rows(self, rows: Tensor, index: Tensor) -> Tensor:
        """Return the targets or keys (B, ...) at index (B,)."""
        return rows.index_select(0, index)

    @torch.inference_mode()
    def epoch(
        self,
        images: Tensor,
        batches: Iterable[Tensor],
        progress: Callable[[], object] = lambda: None,
        targets: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor:
        """Make one step for each batch; return the sum of the losses of all images.

        images: (N, ...). batches: for each step the indices (B,) of its images. progress: called
        after every step. targets: (N, ...), one for each image; None means the images themselves.
        keys: (N,), one for each image, for random layers. The sum is a float64 tensor of shape ().
        Raises NotFiniteError if a loss is not finite.
        """
        total = torch.zeros((), dtype=torch.float64, device=images.device)
        for number, index in enumerate(batches, start=1):
            target = None if targets is None else self.pick_rows(targets, index)
            own_keys = None if keys is None else self.pick_rows(keys, index)
            loss = self.step(self.pick(images, index), target, own_keys)
            if not math.isfinite(loss.item()):
                raise NotFiniteError(number, loss.item(), images.index_select(0, index))
            total += loss.double() * len(index)
            progress()
        return total
