"""Train many models of one shape in one batched step. Each is trained as it would be alone."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scratchae.noise import noise_keys
from scratchae.optim import Adam, Schedule, clip_grad_norm, clip_grad_value
from scratchae.step import SupportsStep, train_step
from scratchae.sweep.batched_model import BatchedModel
from scratchae.sweep.pool import ImagePool
from scratchae.training import Run
from scratchae.training.epoch_images import images_and_targets
from scratchae.training.evaluation import loss_and_penalty, reconstruct


@dataclass
class Trial:
    """One model of a sweep, in a run like that of `fit` with the same settings.

    diverged: the epoch in which the train or test loss became NaN or infinite, or None. If a trial
    diverged, its run ends with the epoch before, and its model is the one that had this loss.

    >>> from scratchae.models import build
    >>> from scratchae.training import Settings
    >>> settings = Settings("fc", "sample", None, "", 20, 64, lr=1e-3, weight_decay=0.0, seed=0)
    >>> Trial(Run(build("fc"), settings)).loss("test")
    nan
    """

    run: Run
    diverged: int | None = None

    def loss(self, which: str) -> float:
        """Return the "train" or "test" loss of the last epoch; NaN if there is none or the trial diverged."""
        if self.diverged is not None or not self.run.rows:
            return math.nan
        return self.run.rows[-1][f"{which}_loss"]


class BatchedAdam(Adam):
    """Adam for the parameters of several models. The norm of each model's own gradient is clipped.

    grads: for each model the views of `grad` that are its gradient; the trainer sets it.
    """

    grads: Sequence[Sequence[Tensor]] = ()

    def clip(self, grad: Tensor) -> None:
        if self.clip_value is not None:
            clip_grad_value(grad, self.clip_value)
        if self.clip_norm is not None:
            for own in self.grads:
                clip_grad_norm(own, self.clip_norm)


class BatchedTrainer:
    """Trains the models of all trials together. The models must have the same layers.

    A step is `train_step` on one BatchedModel, with an Adam that has a learning rate for
    each parameter. The models are independent. If the loss of one model is not finite, its trial keeps
    the model from before this step, and the training of the others does not change. schedule:
    changes all learning rates.

    >>> from scratchae.models import build
    >>> from scratchae.training import Settings
    >>> rates = [1e-3, 1e-2]
    >>> settings = [Settings("fc", "sample", None, "", 1, 64, lr, 0.0, seed=0) for lr in rates]
    >>> trainer = BatchedTrainer([Trial(Run(build("fc", own.seed), own)) for own in settings])
    >>> losses = trainer.step(torch.ones(2, 64, 784))  # equal weights, equal batches: equal losses
    >>> losses.shape, bool(losses[0] == losses[1])
    (torch.Size([2]), True)
    >>> losses = trainer.step(torch.ones(2, 64, 784))
    >>> bool(losses[0] > losses[1])  # the larger learning rate gives the smaller loss
    True
    """

    def __init__(self, trials: Sequence[Trial], schedule: Schedule | None = None) -> None:
        self.trials, self.epoch = list(trials), 0
        self.settings = [trial.run.settings for trial in trials]
        self.model = BatchedModel([trial.run.model for trial in trials])
        decay = self.settings[0].weight_decay
        self.optimizer = BatchedAdam(self.model.parameters(), weight_decay=decay)
        self.optimizer.lr = self.learning_rates()
        own, grad = self.settings[0], self.optimizer.grad
        self.optimizer.configure(schedule, own.clip_norm, own.clip_value)
        self.optimizer.grads = [self.parameters_of(m, grad) for m in range(len(self.trials))]

    def learning_rates(self) -> Tensor:
        """Return one learning rate for each parameter, in the order of the optimiser's buffer."""
        rates = torch.empty_like(self.optimizer.value)
        for index, own in enumerate(self.settings):
            for there in self.parameters_of(index, rates):
                there.fill_(own.lr)
        return rates

    def parameters_of(self, index: int, flat: Tensor) -> list[Tensor]:
        """Return views of the parts of `flat` that belong to the parameters of model `index`.

        flat: a tensor of the shape of `optimizer.value`. The views have the order and the shapes of the
        model's own parameters.
        """
        state = self.model.state_of(index)
        own = [state[name] for name, _ in self.trials[index].run.model.named_parameters()]
        return [flat.as_strided(p.shape, p.stride(), p.storage_offset()) for p in own]

    def step(self, x: Tensor, keys: Tensor | None = None) -> Tensor:
        """Make one step for x (M, B, ...), model m on x[m]; return the losses before it, (M,).

        keys: (M, B), for random layers.
        """
        return train_step(self.model, self.optimizer, x, self.targets(x), keys, update=self.update)

    def targets(self, x: Tensor) -> Tensor | None:
        """Return the targets (M, B, ...) of the models for x (M, B, ...); None if they are x itself."""
        pairs = [
            (part, trial.run.model.target(part)) for part, trial in zip(x, self.trials, strict=True)
        ]
        if all(target is part for part, target in pairs):
            return None
        return torch.stack([target for _, target in pairs])

    def update(self, optimizer: SupportsStep, losses: Tensor) -> None:
        """Update all models. Before that, copy each model whose loss is not finite into its trial."""
        if not losses.isfinite().all():
            self.take_out(losses)
        optimizer.step()

    def take_out(self, losses: Tensor) -> None:
        """Mark the trials whose losses (M,) are not finite as diverged, and copy their models into them."""
        for index, (trial, loss) in enumerate(zip(self.trials, losses.tolist(), strict=True)):
            if not math.isfinite(loss) and trial.diverged is None:
                trial.diverged = self.epoch
                self.model.copy_to(index, trial.run.model)

    def train(self, pool: ImagePool, progress: Callable[[], object]) -> None:
        """Train for one epoch. Then copy the models to their trials and add the epoch to the runs.

        progress is called after each step.
        """
        started, self.epoch = time.perf_counter(), self.epoch + 1
        seeds = [own.seed for own in self.settings]
        orders = pool.orders(seeds, self.epoch)  # (M, n)
        keys = pool.keys(seeds, self.epoch)  # (M, n), in the order of each seed's images
        starts = orders.amin(dim=1, keepdim=True)  # the places of their first images in the pool
        total = torch.zeros(len(self.trials), dtype=torch.float64, device=orders.device)
        with torch.inference_mode():
            for index in orders.split(self.settings[0].batch_size, dim=1):  # (M, B)
                own_keys = keys.gather(1, index - starts)
                total += self.step(pool.batch(index), own_keys).double() * index.shape[1]
                progress()
        self.model.forget()
        for index, trial in enumerate(self.trials):
            if trial.diverged is None:
                self.model.copy_to(index, trial.run.model)
        self.record((total / pool.n).tolist(), pool, started)

    def record(self, train_losses: list[float], pool: ImagePool, started: float) -> None:
        """Add the epoch to the runs of the trials that have not diverged.

        train_losses: one for each trial. The time since `started` is divided equally among all trials.
        """
        found = []
        for trial, train_loss in zip(self.trials, train_losses, strict=True):
            if trial.diverged is None:
                run, part = trial.run, pool.parts[trial.run.settings.seed]
                test_loss = test_penalty = math.nan
                if part.test is not None:
                    pair = images_and_targets(run.model, part.test)
                    test_keys = noise_keys(run.settings.seed, 0, len(part.test), part.test.device)
                    test_loss, test_penalty = loss_and_penalty(run.model, *pair, keys=test_keys)
                if part.test is not None and not math.isfinite(test_loss):
                    trial.diverged = self.epoch
                    continue
                run.outputs.append((self.epoch, part.kept, reconstruct(run.model, part.kept)))
                found.append((run, train_loss, test_loss, test_penalty))
        seconds = (time.perf_counter() - started) / len(self.trials)
        for run, train_loss, test_loss, test_penalty in found:
            more = {}
            if (schedule := self.optimizer.schedule) is not None:
                more["lr"] = float(schedule.rate(self.optimizer.steps - 1, run.settings.lr))
            run.add_row(self.epoch, train_loss, test_loss, seconds, test_penalty, **more)

    def optimizer_of(self, trial: Trial) -> Adam:
        """Return an Adam for the trial's own model, with the trial's part of the state of `optimizer`."""
        index = next(i for i, own in enumerate(self.trials) if own is trial)
        own, model = self.settings[index], trial.run.model
        optimizer = Adam(model.parameters(), lr=own.lr, weight_decay=own.weight_decay)
        optimizer.steps = self.optimizer.steps
        for name, flat in self.optimizer.state.items():
            views = self.parameters_of(index, flat)
            optimizer.state[name].copy_(torch.cat([view.reshape(-1) for view in views]))
        return optimizer
