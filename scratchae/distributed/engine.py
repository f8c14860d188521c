"""DataParallel: the step of another engine on several workers, with one sum between its two halves.

The loss is a mean over images, so with shares of n_r images, N = Σ n_r in all,

    L = Σ n_r L_r / N        dL = Σ n_r dL_r / N

Every worker multiplies its gradients and its loss by n_r, puts n_r behind them, and one all-reduce of
that message gives all workers the three sums. All then divide by N, and move alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from scratchae.distributed.batchnorm import SyncBatchNorm
from scratchae.distributed.convert import convert_sync_batchnorm, revert_sync_batchnorm
from scratchae.distributed.sharding import share_of
from scratchae.distributed.workers import Workers
from scratchae.engines import Engine, NotFiniteError
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer
from scratchae.optim import Optimizer
from scratchae.step import train_step


class DataParallel(Engine):
    """Wraps an engine, whose model and optimizer have to start alike on all workers (`same_start`).

    `pick` and `epoch` take the indices of joined batches, and each worker finds its share of them;
    `step` and `gradients` take the share. Losses are those of joined batches. A share may be
    empty. The model's BatchNorms become SyncBatchNorms.

    Raises ScratchaeError for an engine that has no gap between gradients and update.

    >>> import torch
    >>> from scratchae.engines import make_engine
    >>> from scratchae.layers import Linear, Sequential
    >>> from scratchae.optim import SGD
    >>> model = Sequential(Linear(1, 1, bias=False))
    >>> model[0].weight.fill_(3.0)
    tensor([[3.]])
    >>> engine = DataParallel(make_engine("eager", model, SGD(model.parameters(), lr=0.25)), Workers())
    >>> engine.step(torch.ones(1, 1)).item(), model[0].weight.item()  # alone: as without it
    (4.0, 2.0)
    """

    def __init__(self, engine: Engine, workers: Workers) -> None:
        if not engine.in_halves:
            raise ScratchaeError(
                f"the {engine.name} engine makes whole steps at once, and several workers have to sum "
                "their gradients in the middle: use the eager or the buffered engine"
            )
        super().__init__(engine.model, engine.optimizer)
        self.engine, self.workers, self.name = engine, workers, engine.name
        convert_sync_batchnorm(self.model, workers)
        self.norms = [n for _, n in self.model.leaves() if isinstance(n, SyncBatchNorm)]
        self.message = with_room_behind(self.optimizer.grad, 2)

    @torch.inference_mode()
    def step(self, x: Tensor, target: Tensor | None = None) -> Tensor:
        return train_step(
            self.model,
            self.optimizer,
            x,
            target,
            gradients=self.gradients,
            update=self.engine.update,
        )

    def gradients(
        self, model: Layer, optimizer: Optimizer, x: Tensor, target: Tensor | None = None
    ) -> Tensor:
        n = len(x)
        for norm in self.norms:
            norm.share = n
        loss = self.engine.gradients(model, optimizer, x, target) if n else self.sit_out()
        self.message[-2], self.message[-1] = loss, 1.0
        self.workers.sum(self.message.mul_(n))
        self.message.div_(self.message[-1].clone())
        return self.message[-2]

    def sit_out(self) -> Tensor:
        """The part of a worker without images; its gradients and its loss are 0."""
        self.optimizer.zero_grad()
        for norm in self.norms:
            norm.sit_out_forward(self.message)
        self.sit_out_backward()
        return self.message.new_zeros(())

    def sit_out_backward(self) -> None:
        """What the others wait for in their backward pass: this worker makes none."""
        for norm in reversed(self.norms):
            norm.sit_out_backward(self.message)

    def epoch(
        self,
        images: Tensor,
        batches: Iterable[Tensor],
        progress: Callable[[], object] = lambda: None,
        targets: Tensor | None = None,
    ) -> Tensor:
        try:
            return super().epoch(images, batches, progress, targets)
        except BaseException as error:
            revert_sync_batchnorm(self.model)  # training is over, each worker is by itself again
            if isinstance(error, NotFiniteError):
                batch = images.index_select(0, self.joined)
                raise NotFiniteError(error.step, error.loss, batch) from error
            raise

    def pick(self, images: Tensor, index: Tensor) -> Tensor:
        self.joined = index
        own = share_of(index, self.workers.rank, self.workers.size)
        return self.engine.pick(images, own) if len(own) else images[:0]

    def pick_targets(self, targets: Tensor, index: Tensor) -> Tensor:
        return targets.index_select(0, share_of(index, self.workers.rank, self.workers.size))


def with_room_behind(flat: Tensor, more: int) -> Tensor:
    """A view of the tensor flat (P,), which has its storage to itself, and `more` numbers behind it.

    The storage grows in place, so that all views of it stay views of it.

    >>> import torch
    >>> flat = torch.ones(2)
    >>> longer = with_room_behind(flat, 1)
    >>> flat.zero_(), longer.shape
    (tensor([0., 0.]), torch.Size([3]))
    """
    count = len(flat) + more
    flat.untyped_storage().resize_(count * flat.element_size())
    return flat.as_strided((count,), (1,))
