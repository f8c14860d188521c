"""BufferedEngine: makes a plan for each batch size, and runs it in every step."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from scratchae.engines.base import Engine
from scratchae.engines.buffered.adam import buffered_adam_update, has_buffered_form
from scratchae.engines.buffered.buffers import Buffers
from scratchae.engines.buffered.plan import NoFormError, Plan
from scratchae.engines.registry import register_engine
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, Sequential
from scratchae.optim import Adam, Optimizer

SCRATCH = 100_000  # the number of parameters that Adam updates at a time


@register_engine
class BufferedEngine(Engine):
    """The step of `eager` in memory that is allocated once, before the first step of a batch size.

    The step is built from the model's layers. Each type of layer has a buffered form in a short file
    of scratchae/engines/buffered. If something has no buffered form, the engine names it in a
    warning and makes the steps of `eager`.

    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import Adam
    >>> model = Sequential(Linear(2, 2, bias=False))
    >>> model[0].weight.copy_(torch.tensor([[2.0, 0.0], [0.0, 1.0]])).tolist()
    [[2.0, 0.0], [0.0, 1.0]]
    >>> BufferedEngine(model, Adam(model.parameters())).step(torch.tensor([[2.0, 3.0]])).item()
    2.0
    """

    name = "buffered"
    frugal = False

    def __init__(self, model: Sequential, optimizer: Optimizer, precision: str = "float32") -> None:
        super().__init__(model, optimizer, precision)
        self.buffers: Buffers | None = None
        self.plans: dict[tuple[int, ...], Plan] = {}
        self.scratch = torch.empty_like(optimizer.value[:SCRATCH])
        self.eager = False  # True if something has no buffered form

    def halves(self) -> dict[str, Any]:
        return {"gradients": self.gradients, "update": self.update}

    def gradients(
        self,
        model: Layer,
        optimizer: Optimizer,
        x: Tensor,
        target: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor:
        if target is not None and target is not x:
            self.fall_back("a target that is not the input")
        plan = self.plan(x.shape)
        if plan is None:
            return super().gradients(model, optimizer, x, target, keys)
        if x is not plan.x.rows:
            plan.x.take(x)
        plan.run()
        return plan.loss

    def update(self, optimizer: Optimizer, loss: Tensor) -> None:
        if not isinstance(optimizer, Adam) or not has_buffered_form(optimizer):
            super().update(optimizer, loss)
        elif math.isfinite(loss.item()):
            buffered_adam_update(optimizer, self.scratch)

    def pick(self, images: Tensor, index: Tensor) -> Tensor:
        plan = self.plan(torch.Size((len(index), *images.shape[1:])))
        if plan is None:
            return super().pick(images, index)
        return torch.index_select(images, 0, index, out=plan.picked)

    def plan(self, shape: torch.Size) -> Plan | None:
        """Return the plan for batches of this shape; None if they have no buffered form."""
        if not all(node.layer.training for plan in self.plans.values() for node in plan.nodes):
            raise ScratchaeError(
                "the buffered engine trains every layer, but one is in evaluation mode: "
                "call model.train(), or use the eager engine"
            )
        if shape in self.plans or self.eager:
            return self.plans.get(shape)
        if self.buffers is None or shape[0] > self.buffers.most:
            self.plans.clear()  # they use the smaller buffers
            self.buffers = Buffers(shape[0], self.optimizer.value, self.frugal)
        self.optimizer._relink()  # the plan keeps views of the parameters: check where they are
        try:
            self.plans[shape] = Plan(self.model, shape, self.buffers)
        except NoFormError as reason:
            self.fall_back(str(reason))
        return self.plans.get(shape)

    def fall_back(self, reason: str) -> None:
        """Make the steps of `eager` from here on. Warn once, with the reason."""
        if not self.eager:
            warnings.warn(
                f"the {self.name} engine does not support {reason}: the eager engine is used instead",
                stacklevel=2,
            )
        self.plans.clear()
        self.eager, self.buffers = True, None


@register_engine
class FrugalEngine(BufferedEngine):
    """The buffered step in less memory: it computes some results again instead of keeping them.

    These are the patches of convolutions, and the outputs of BatchNorm and of a ReLU after it.
    Convolutions do not use the method of winograd.py, which needs more memory.

    >>> from scratchae.models import build
    >>> from scratchae.optim import Adam
    >>> def memory(kind):
    ...     model = build("conv")
    ...     engine = kind(model, Adam(model.parameters()))
    ...     engine.step(torch.zeros(64, 1, 28, 28))
    ...     return engine.buffers.bytes()
    >>> memory(FrugalEngine) < 0.7 * memory(BufferedEngine)
    True
    """

    name = "frugal"
    frugal = True
