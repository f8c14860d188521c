"""ReduceLROnPlateau: a lower learning rate when the loss stops falling.

After each epoch the schedule gets a loss. A loss counts as better if it is below (1 − threshold) times the
best loss so far (threshold_mode "rel") or below best − threshold ("abs"). After more than `patience`
epochs in a row that are not better, the learning rate is reduced:

    η ← max(factor · η, min_lr)

Then the count starts again, and for `cooldown` epochs no epoch is counted. A reduction by at most eps
is not made. (The same rules as torch.optim.lr_scheduler.ReduceLROnPlateau, with mode "min".)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scratchae.optim.schedules import Number, Schedule, is_count, require


@dataclass
class ReduceLROnPlateau(Schedule):
    """Reduce the learning rate when the losses given to `observe` stop falling, as torch's ReduceLROnPlateau.

    The state depends only on these losses. So a resumed run observes the losses of its history again.

    >>> schedule = ReduceLROnPlateau(factor=0.5, patience=1)
    >>> rates = []
    >>> for loss in (4.0, 3.0, 3.0, 3.0, 3.0):
    ...     schedule.observe(loss)
    ...     rates.append(schedule.rate(0, 8.0))
    >>> rates  # the second epoch without a better loss is one too many
    [8.0, 8.0, 8.0, 4.0, 4.0]
    """

    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        require(self, "factor", 0 <= self.factor < 1, "at least 0 and below 1")
        require(self, "patience", is_count(self.patience, 0), "a whole number of at least 0")
        require(self, "threshold_mode", self.threshold_mode in ("rel", "abs"), "'rel' or 'abs'")
        require(self, "cooldown", is_count(self.cooldown, 0), "a whole number of at least 0")
        require(self, "min_lr", self.min_lr >= 0, "at least 0")
        self.best, self.bad_epochs, self.reductions = math.inf, 0, 0
        self.waiting = 0  # epochs of the cooldown that are left

    def observe(self, loss: float) -> None:
        relative = self.threshold_mode == "rel"
        limit = self.best * (1 - self.threshold) if relative else self.best - self.threshold
        self.bad_epochs += 1
        if loss < limit:
            self.best, self.bad_epochs = loss, 0
        if self.waiting:
            self.waiting -= 1
            self.bad_epochs = 0
        if self.bad_epochs > self.patience:
            self.reductions += 1
            self.waiting, self.bad_epochs = self.cooldown, 0

    def rate(self, step: int, lr: Number) -> Number:
        for _ in range(self.reductions):
            lower = lr * self.factor
            lower = lower if lower > self.min_lr else self.min_lr
            lr = lower if lr - lower > self.eps else lr
        return lr
