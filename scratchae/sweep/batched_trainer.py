"""A family: models of one shape that are trained in one batched step, each as if it were alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scratchae.optim import Adam
from scratchae.sweep.adam import StackedAdam
from scratchae.sweep.batched_layers import stacked_mse_backward, stacked_mse_forward
from scratchae.sweep.pool import Pool
from scratchae.sweep.stack import stack, unstack
from scratchae.training import Run, evaluate
from scratchae.training.evaluation import reconstruct
from scratchae.training.run import COLUMNS


@dataclass
class Member:
    """One model of a sweep: its run, as `fit` would have left it.

    diverged: the epoch in which its train or test loss was no longer a finite number, or None. Then
    the run ends with the epoch before, and the model is the one that had that loss.

    >>> from scratchae.models import build
    >>> from scratchae.training import Settings
    >>> settings = Settings("fc", "sample", None, "", 20, 64, lr=1e-3, weight_decay=0.0, seed=0)
    >>> Member(Run(build("fc"), settings)).loss("test")
    nan
    """

    run: Run
    diverged: int | None = None

    def loss(self, which: str) -> float:
        """The "train" or "test" loss of the last epoch; NaN where it diverged or there is none."""
        if self.diverged is not None or not self.run.rows:
            return math.nan
        return self.run.rows[-1][f"{which}_loss"]


class Family:
    """Trains the models of all members together; they have to be built alike.

    A step is forward, loss, backward and Adam of all models at once. The models do not meet in it, so
    one whose numbers go astray is noted, kept as it was, and of no harm to the others.

    >>> from scratchae.models import build
    >>> from scratchae.training import Settings
    >>> rates = [1e-3, 1e-2]
    >>> settings = [Settings("fc", "sample", None, "", 1, 64, lr, 0.0, seed=0) for lr in rates]
    >>> family = Family([Member(Run(build("fc", own.seed), own)) for own in settings])
    >>> losses = family.step(torch.ones(2, 64, 784))  # equal weights, equal batches: equal losses
    >>> losses.shape, bool(losses[0] == losses[1])
    (torch.Size([2]), True)
    >>> losses = family.step(torch.ones(2, 64, 784))
    >>> bool(losses[0] > losses[1])  # the larger rate came further
    True
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members, self.epoch = list(members), 0
        self.settings = [member.run.settings for member in members]
        self.stacked = stack([member.run.model for member in members])
        self.optimizer = StackedAdam(
            self.stacked,
            lr=[own.lr for own in self.settings],
            weight_decay=[own.weight_decay for own in self.settings],
        )

    def step(self, x: Tensor) -> Tensor:
        """Move every model once towards giving back its own x[m]; the losses before the move, (M,)."""
        self.optimizer.zero_grad()
        y = self.stacked.forward(x)
        losses = stacked_mse_forward(y, x)
        if not losses.isfinite().all():
            self.take_out(losses)
        self.stacked.backward(stacked_mse_backward(y, x))
        self.optimizer.step()
        return losses

    def take_out(self, losses: Tensor) -> None:
        """Keep the models whose losses are not finite as they are, before they are moved."""
        for index, loss in enumerate(losses.tolist()):
            member = self.members[index]
            if not math.isfinite(loss) and member.diverged is None:
                member.diverged = self.epoch
                unstack(self.stacked, index, member.run.model)

    def train(self, pool: Pool, progress: Callable[[], object]) -> None:
        """One epoch. Afterwards the members' own models and histories are up to date.

        progress is called after each step.
        """
        started, self.epoch = time.perf_counter(), self.epoch + 1
        orders = pool.orders([own.seed for own in self.settings], self.epoch)  # (M, n)
        total = torch.zeros(len(self.members), dtype=torch.float64, device=orders.device)
        with torch.inference_mode():
            for index in orders.split(self.settings[0].batch_size, dim=1):  # (M, B)
                total += self.step(pool.batch(index)).double() * index.shape[1]
                progress()
        self.stacked.forget()
        for index, member in enumerate(self.members):
            if member.diverged is None:
                unstack(self.stacked, index, member.run.model)
        self.record((total / pool.n).tolist(), pool, started)

    def record(self, train_losses: list[float], pool: Pool, started: float) -> None:
        """Put down the epoch in the runs of those who still train; seconds: a member's share."""
        found = []
        for member, train_loss in zip(self.members, train_losses, strict=True):
            if member.diverged is None:
                run, part = member.run, pool.parts[member.run.settings.seed]
                test_loss = math.nan if part.test is None else evaluate(run.model, part.test)
                if part.test is not None and not math.isfinite(test_loss):
                    member.diverged = self.epoch
                    continue
                run.outputs.append((self.epoch, part.kept, reconstruct(run.model, part.kept)))
                found.append((run, train_loss, test_loss))
        seconds = (time.perf_counter() - started) / len(self.members)
        for run, *losses in found:
            run.rows.append(dict(zip(COLUMNS, (self.epoch, *losses, seconds), strict=True)))

    def optimizer_of(self, member: Member) -> Adam:
        """The optimiser that the member's own run would have, around the member's model."""
        index = next(i for i, own in enumerate(self.members) if own is member)
        return self.optimizer.alone(index, member.run.model)
