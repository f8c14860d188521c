"""sweep: every combination of learning rates, latent sizes and seeds, one batched run a shape."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from tqdm import tqdm

from scratchae.data import Dataset
from scratchae.errors import ScratchaeError
from scratchae.files import replacing
from scratchae.models import build
from scratchae.models.registry import options_of
from scratchae.optim import Adam
from scratchae.sweep.batched_trainer import Family, Member
from scratchae.sweep.pool import Pool
from scratchae.training import Run, Settings
from scratchae.training.floating_point import flushing_denormals
from scratchae.training.preparation import check_settings, choose_device
from scratchae.training.run import write_checkpoint, write_config

COLUMNS = ["lr", "latent", "seed", "train_loss", "test_loss", "seconds", "diverged"]


@dataclass
class Sweep:
    """What a sweep found. best: the member of the lowest test loss, or train loss where nothing was
    held out; None where all diverged.

    >>> Sweep().table.columns.tolist()
    ['lr', 'latent', 'seed', 'train_loss', 'test_loss', 'seconds', 'diverged']
    """

    members: list[Member] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)
    best: Member | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row a member.

        Losses of the last epoch, mean squared errors of pixels in [-1, 1], empty where the member
        diverged; seconds of the batched run that it was part of; diverged: in which epoch, if any.
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
    device: str | torch.device = "auto",
    out: str | Path | None = None,
    progress: bool = True,
) -> Sweep:
    """Train a model for every learning rate, latent size and seed, all of one size in one batch.

    Each member is what `fit` gives for the same settings, up to rounding. data: one data
    set, or one for each seed. latent: None takes the model's own. out: a folder for sweep.csv,
    written whenever a size is done, and for `best`, the run folder of the best member.

    Raises ScratchaeError for what cannot be, before anything is trained.

    >>> from scratchae.data import Images
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> found = sweep("fc", data, lr=[1e-3, 1e-2], seeds=[0, 1], epochs=2, progress=False)
    >>> found.table[["lr", "seed"]].values.tolist(), found.best.run.settings.lr
    ([[0.001, 0.0], [0.001, 1.0], [0.01, 0.0], [0.01, 1.0]], 0.01)
    """
    first = build(model)
    if latent is not None and "latent" not in options_of(model):
        raise ScratchaeError(
            f"{model} has no latent size to choose: leave --latent away, or sweep a model that has "
            "one, such as fc"
        )
    check_values(lr, seeds, latent, weight_decay)
    for seed in seeds:
        check_settings(epochs, batch_size, seed)
    names = [first.name] if latent is None else [build(model, latent=n).name for n in latent]
    folder = None if out is None else Path(out)
    if folder is not None and (folder / "sweep.csv").exists():
        raise ScratchaeError(f"{folder} holds a sweep already: choose another folder")
    device, found, adam = choose_device(device), Sweep(), None
    with flushing_denormals():
        pool = Pool(data, seeds, first, device)
        for place, name in enumerate(names, start=1):
            settings = [
                Settings(
                    model=name,
                    data=pool.parts[seed].data.source,
                    test_data=pool.parts[seed].data.test_source,
                    checksum=pool.parts[seed].checksum,
                    epochs=epochs,
                    batch_size=batch_size,
                    lr=float(rate),
                    weight_decay=float(weight_decay),
                    seed=seed,
                )
                for rate in lr
                for seed in seeds
            ]
            models = [build(name, own.seed).to(device) for own in settings]
            family = Family([Member(Run(*own)) for own in zip(models, settings, strict=True)])
            started = time.perf_counter()
            words = f"{name}, {len(settings)} model{'s'[: len(settings) > 1]}"
            words += f" ({place}/{len(names)})" if len(names) > 1 else ""
            train_family(family, pool, epochs, words, progress)
            adam = add(found, family, time.perf_counter() - started) or adam
            if folder is not None:
                with replacing(folder / "sweep.csv") as beside:
                    found.table.to_csv(beside, index=False)
    if folder is not None and found.best is not None:
        keep_best(found.best, adam, folder / "best")
    return found


def train_family(family: Family, pool: Pool, epochs: int, name: str, progress: bool) -> None:
    """All epochs, behind one bar."""
    steps = math.ceil(pool.n / family.settings[0].batch_size)
    with tqdm(
        total=epochs * steps,
        desc=name,
        unit="step",
        disable=None if progress else True,
        file=sys.stderr,
    ) as bar:
        for epoch in range(1, epochs + 1):
            family.train(pool, bar.update)
            training = [member for member in family.members if member.diverged is None]
            if not training:
                break
            loss = loss_of(min(training, key=loss_of))
            words = f"epoch {epoch}/{epochs}, best {loss:.4f}"
            bar.set_postfix_str(words)
            if progress and bar.disable:  # there is no terminal to draw in
                print(f"{name}: {words}", file=sys.stderr)


def loss_of(member: Member) -> float:
    """What members are compared by: the test loss, or the train loss where nothing was held out."""
    test = member.loss("test")
    return member.loss("train") if math.isnan(test) else test


def add(found: Sweep, family: Family, seconds: float) -> Adam | None:
    """Put the family's members into what was found; the optimiser of the best, if it is new."""
    for member in family.members:
        own = member.run.settings
        row = {
            "lr": own.lr,
            "latent": options_of(own.model).get("latent"),
            "seed": own.seed,
            "train_loss": member.loss("train"),
            "test_loss": member.loss("test"),
            "seconds": seconds,
            "diverged": member.diverged,
        }
        found.rows.append(row)
    found.members += family.members
    finished = [m for m in (found.best, *family.members) if m and m.diverged is None]
    before, found.best = found.best, min(finished, key=loss_of, default=None)
    return None if found.best is before else family.optimizer_of(found.best)


def keep_best(member: Member, adam: Adam, folder: Path) -> None:
    """The run folder that `scratchae show` opens and `scratchae train --resume` goes on with."""
    run = member.run
    run.folder = folder
    write_config(run)
    write_checkpoint(run, adam)


def check_values(
    lr: Sequence[float], seeds: Sequence[int], latent: Sequence[int] | None, weight_decay: float
) -> None:
    """One sentence where there is nothing to try, something twice, or a rate that cannot be."""
    for name, values in (("lr", lr), ("seeds", seeds), ("latent", latent)):
        if values is None:
            continue
        if not values:
            raise ScratchaeError(f"{name} is empty: give one value or more to try")
        if twice := [value for i, value in enumerate(values) if value in values[:i]]:
            raise ScratchaeError(f"{name} holds {twice[0]} twice: give each value once")
    for rate in lr:
        if not 0 < rate < math.inf:
            raise ScratchaeError(f"lr has to be a finite number above 0, got {rate!r}")
    if not 0 <= weight_decay < math.inf:
        raise ScratchaeError(f"weight_decay has to be a number >= 0, got {weight_decay!r}")
