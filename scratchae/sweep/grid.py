"""sweep: train every combination of learning rates, latent sizes and seeds.

All models of the same shape, that is, of one latent size, train together in one batched run.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from scratchae.data import Dataset
from scratchae.errors import ScratchaeError
from scratchae.files import replacing
from scratchae.models import build
from scratchae.models.registry import options_of
from scratchae.optim import Adam, named_schedule
from scratchae.step import loss_of
from scratchae.sweep.batched_trainer import BatchedTrainer, Trial
from scratchae.sweep.pool import ImagePool
from scratchae.training import Run, Settings
from scratchae.training.floating_point import flushing_denormals
from scratchae.training.preparation import check_settings, choose_device
from scratchae.training.run import write_checkpoint, write_config

COLUMNS = ["lr", "latent", "seed", "train_loss", "test_loss", "seconds", "diverged"]


@dataclass
class Sweep:
    """The result of a sweep.

    trials: all trials. rows: the rows of `table`. best: the trial with the lowest test loss, or with the
    lowest train loss if there are no test images; None if all trials diverged.

    >>> Sweep().table.columns.tolist()
    ['lr', 'latent', 'seed', 'train_loss', 'test_loss', 'seconds', 'diverged']
    """

    trials: list[Trial] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)
    best: Trial | None = None

    @property
    def table(self) -> pd.DataFrame:
        """A table with one row for each trial.

        train_loss, test_loss: those of the last epoch; empty if the trial diverged. seconds: the time of
        the batched run, for all its trials together. diverged: the epoch in which the trial diverged, or
        empty.
        """
        table = pd.DataFrame(self.rows, columns=COLUMNS)
        return table.astype({"latent": "Int64", "diverged": "Int64"})


def sweep(
    model: str,
    data: Dataset | Mapping[int, Dataset],
    *,
    lr: Sequence[float],
    seeds: Sequence[int],
    latent: Sequence[int] | None = None,
    epochs: int = 20,
    batch_size: int = 64,
    weight_decay: float = 1e-5,
    schedule: str = "none",
    clip_norm: float | None = None,
    clip_value: float | None = None,
    device: str | torch.device = "auto",
    out: str | Path | None = None,
    progress: bool = True,
) -> Sweep:
    """Train a model for every combination of learning rate, latent size and seed.

    Models of the same latent size train together. Up to rounding, each trial is equal to a run of `fit`
    with the same settings. data: one data set for all seeds, or {seed: data set}. latent: None means the
    model's own latent size. schedule (a text), clip_norm, clip_value: as in `fit`. A sweep does not
    support averaged weights, early stopping, the schedule "plateau", noise on the input, augmentation,
    binarisation and other optimisers than Adam. out: the folder for sweep.csv, which is written
    after each latent size, and for `best`, the run folder of the best trial.

    Raises ScratchaeError, before anything is trained, if a setting is wrong.

    >>> from scratchae.data import Images
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> found = sweep("fc", data, lr=[1e-3, 1e-2], seeds=[0, 1], epochs=2, progress=False)
    >>> found.table[["lr", "seed"]].values.tolist(), found.best.run.settings.lr
    ([[0.001, 0.0], [0.001, 1.0], [0.01, 0.0], [0.01, 1.0]], 0.01)
    """
    first = build(model)
    if latent is not None and "latent" not in options_of(model):
        raise ScratchaeError(
            f"{model} has no latent size to choose: omit --latent, or sweep a model that has "
            "one, such as fc"
        )
    check_values(lr, seeds, latent, weight_decay)
    for seed in seeds:
        check_settings(epochs, batch_size, seed)
    shapes = [first] if latent is None else [build(model, latent=n) for n in latent]
    names = [str(shape.name) for shape in shapes]
    folder = None if out is None else Path(out)
    if folder is not None and (folder / "sweep.csv").exists():
        raise ScratchaeError(f"{folder} already contains a sweep: choose another folder")
    device, found, adam = choose_device(device), Sweep(), None
    with flushing_denormals():
        pool = ImagePool(data, seeds, first, device)
        chosen = None
        if schedule != "none":
            steps = math.ceil(pool.n / batch_size)
            schedule, chosen = named_schedule(schedule, epochs, steps)
        extras: dict[str, Any] = {
            "schedule": schedule,
            "clip_norm": clip_norm,
            "clip_value": clip_value,
        }
        for place, name in enumerate(names, start=1):
            same = (epochs, batch_size, float(weight_decay))
            trials = [
                new_trial(name, pool, *same, float(rate), seed, **extras)
                for rate in lr
                for seed in seeds
            ]
            trainer = BatchedTrainer(trials, chosen)
            started = time.perf_counter()
            words = f"{name}, {len(trials)} {'models' if len(trials) > 1 else 'model'}"
            words += f" ({place}/{len(names)})" if len(names) > 1 else ""
            train_epochs(trainer, pool, epochs, words, progress)
            adam = add(found, trainer, time.perf_counter() - started) or adam
            if folder is not None:
                with replacing(folder / "sweep.csv") as beside:
                    found.table.to_csv(beside, index=False)
    if folder is not None and found.best is not None and adam is not None:
        keep_best(found.best, adam, folder / "best")
    return found


def new_trial(
    name: str,
    pool: ImagePool,
    epochs: int,
    batch_size: int,
    weight_decay: float,
    lr: float,
    seed: int,
    **extras: Any,
) -> Trial:
    """Return a trial before its first epoch. extras: its schedule and limits of gradients, for its settings."""
    model, part = build(name, seed).to(pool.device), pool.parts[seed]
    settings = Settings(
        model=name,
        data=part.data.source,
        test_data=part.data.test_source,
        checksum=part.checksum,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        seed=seed,
        optimizer=repr(Adam(model.parameters(), lr=lr, weight_decay=weight_decay)),
        loss=repr(loss_of(model)),
        **extras,
        test_checksum=part.test_checksum,
    )
    return Trial(Run(model, settings))


def train_epochs(
    trainer: BatchedTrainer, pool: ImagePool, epochs: int, name: str, progress: bool
) -> None:
    """Train for all epochs, with one progress bar."""
    steps = math.ceil(pool.n / trainer.settings[0].batch_size)
    with tqdm(
        total=epochs * steps,
        desc=name,
        unit="step",
        disable=None if progress else True,
        file=sys.stderr,
    ) as bar:
        for epoch in range(1, epochs + 1):
            trainer.train(pool, bar.update)
            training = [trial for trial in trainer.trials if trial.diverged is None]
            if not training:
                break
            loss = decisive_loss(min(training, key=decisive_loss))
            words = f"epoch {epoch}/{epochs}, best {loss:.4f}"
            bar.set_postfix_str(words)
            if progress and bar.disable:  # there is no terminal to draw the bar in
                print(f"{name}: {words}", file=sys.stderr)


def decisive_loss(trial: Trial) -> float:
    """Return the loss by which trials are compared: the test loss; without test images, the train loss."""
    test = trial.loss("test")
    return trial.loss("train") if math.isnan(test) else test


def add(found: Sweep, trainer: BatchedTrainer, seconds: float) -> Adam | None:
    """Add the trials to the result. If one of them is now the best of all, return its optimiser."""
    for trial in trainer.trials:
        own = trial.run.settings
        row = {
            "lr": own.lr,
            "latent": options_of(own.model).get("latent"),
            "seed": own.seed,
            "train_loss": trial.loss("train"),
            "test_loss": trial.loss("test"),
            "seconds": seconds,
            "diverged": trial.diverged,
        }
        found.rows.append(row)
    found.trials += trainer.trials
    finished = [t for t in (found.best, *trainer.trials) if t and t.diverged is None]
    before, found.best = found.best, min(finished, key=decisive_loss, default=None)
    if found.best is None or found.best is before:
        return None
    return trainer.optimizer_of(found.best)


def keep_best(trial: Trial, adam: Adam, folder: Path) -> None:
    """Write the run folder of a trial, for `scratchae show` and `scratchae train --resume`."""
    run = trial.run
    run.folder = folder
    write_config(run)
    write_checkpoint(run, adam)


def check_values(
    lr: Sequence[float], seeds: Sequence[int], latent: Sequence[int] | None, weight_decay: float
) -> None:
    """Raise ScratchaeError if a list is empty or contains a value twice, or if a number is out of range."""
    for name, values in (("lr", lr), ("seeds", seeds), ("latent", latent)):
        if values is None:
            continue
        if not values:
            raise ScratchaeError(f"{name} is empty: give at least one value")
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            raise ScratchaeError(f"{name} contains {twice[0]} twice: give each value once")
    for rate in lr:
        if not 0 < rate < math.inf:
            raise ScratchaeError(f"lr must be a finite number above 0, got {rate!r}")
    if not 0 <= weight_decay < math.inf:
        raise ScratchaeError(f"weight_decay must be a number >= 0, got {weight_decay!r}")
