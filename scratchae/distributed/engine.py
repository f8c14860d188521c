"""DataParallel: run another engine on several workers, which sum their gradients before the update.

The loss is a mean over images. If worker r has n_r images, and all workers together have N = Σ n_r,

    L = Σ n_r L_r / N        dL = Σ n_r dL_r / N

Every worker multiplies its gradients and its loss by n_r and appends n_r itself. One all-reduce of this
message gives all workers the three sums. All workers divide by N and make the same update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from scratchae.distributed.batchnorm import joined
from scratchae.distributed.sharding import shard_of
from scratchae.distributed.workers import Workers
from scratchae.engines import Engine, NotFiniteError
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer
from scratchae.layers.batchnorm import BatchNorm
from scratchae.losses import Loss
from scratchae.optim import Optimizer
from scratchae.step import loss_of


class DataParallel(Engine):
    """An engine that runs another engine on several workers.

    The model and the optimizer must be equal on all workers: call `broadcast_state` first. `pick` and
    `epoch` take the indices of whole batches, and each worker uses its shard of them. `step` and
    `gradients` take a shard, which may be empty. The losses and BatchNorm's statistics are those of whole
    batches.

    Raises ScratchaeError if the engine cannot be interrupted between gradients and update, or if the loss
    is not a mean over images.

    >>> from scratchae.engines import make_engine
    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import SGD
    >>> model = Sequential(Linear(1, 1, bias=False))
    >>> model[0].weight.fill_(3.0)
    tensor([[3.]])
    >>> engine = DataParallel(make_engine("eager", model, SGD(model.parameters(), lr=0.25)), Workers())
    >>> engine.step(torch.ones(1, 1)).item(), model[0].weight.item()  # with one worker: as `eager`
    (4.0, 2.0)
    """

    def __init__(self, engine: Engine, workers: Workers) -> None:
        if not engine.in_halves:
            raise ScratchaeError(
                f"the {engine.name} engine makes whole steps, but several workers must sum their "
                "gradients before the update: use the eager or the buffered engine"
            )
        loss = loss_of(engine.model)
        if isinstance(loss, Loss) and not loss.is_mean_over_images():
            raise ScratchaeError(
                f"several workers need a loss that is a mean over images, not {loss!r}: "
                "use reduction='batchmean', or 'mean' with equal weights, or one worker"
            )
        super().__init__(engine.model, engine.optimizer)
        self.engine, self.workers, self.name = engine, workers, engine.name
        self.norms = [n for _, n in self.model.modules() if isinstance(n, BatchNorm)]
        self.message = with_room_behind(self.optimizer.grad, 2)

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
        n = len(x)
        with joined(self.norms, self.workers, counts=n > 0):
            if n:
                loss = self.engine.gradients(model, self.optimizer, x, target, keys)
                self.message[-2], self.message[-1] = loss, 1.0
            else:  # run one blank image, which does not count: the other workers' BatchNorms wait for it
                model.set_keys(None)
                y = model.forward(x.new_zeros(1, *x.shape[1:]))
                model.backward(torch.zeros_like(y))
                self.message.zero_()
        self.workers.sum(self.message.mul_(n))
        self.message.div_(self.message[-1].clone())
        return self.message[-2]

    def update(self, optimizer: Optimizer, loss: Tensor) -> None:
        self.engine.update(self.optimizer, loss)

    def epoch(
        self,
        images: Tensor,
        batches: Iterable[Tensor],
        progress: Callable[[], object] = lambda: None,
        targets: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor:
        try:
            return super().epoch(images, batches, progress, targets, keys)
        except NotFiniteError as error:
            batch = images.index_select(0, self.whole_batch)
            raise NotFiniteError(error.step, error.loss, batch) from error

    def pick(self, images: Tensor, index: Tensor) -> Tensor:
        self.whole_batch = index
        own = shard_of(index, self.workers.rank, self.workers.size)
        return self.engine.pick(images, own) if len(own) else images[:0]

    def pick_rows(self, rows: Tensor, index: Tensor) -> Tensor:
        return rows.index_select(0, shard_of(index, self.workers.rank, self.workers.size))


def with_room_behind(flat: Tensor, more: int) -> Tensor:
    """Make room for `more` numbers after the tensor flat (P,); return a view (P + more,) of both.

    flat must fill its storage, so that the new numbers come directly after it. The storage grows in place,
    so flat and all views of it remain valid.

    >>> flat = torch.ones(2)
    >>> longer = with_room_behind(flat, 1)
    >>> flat.zero_(), longer.shape
    (tensor([0., 0.]), torch.Size([3]))
    """
    count = len(flat) + more
    flat.untyped_storage().resize_(count * flat.element_size())
    return flat.as_strided((count,), (1,))
