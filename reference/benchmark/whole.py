"""Whole runs: from a CSV on the disk to the loss of the last epoch, each in its own process.

    scratchae            `load` and `fit`, as in `scratchae train`
    as published         pandas, a Dataset that scales one image at a time, a DataLoader, torch.nn,
                         denormals not flushed
    flushed, in memory   the same loop over one tensor in memory, denormals flushed

All runs start from the same weights and see the same batches. Rounding makes long runs differ. So
the mean losses of the first epoch must be close, and those of the last epoch as close as two runs of
one seed in reference/results/record-cpu.json. The import of the libraries is not timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset

from reference.benchmark.cases import ADAM
from reference.benchmark.steps import WrongContenderError
from reference.benchmark.worker import Worker
from reference.twins import twin
from scratchae.data import Batches, load, normalise
from scratchae.models import build
from scratchae.training import fit
from scratchae.training.preparation import DEFAULT_SEED

BATCH_SIZE = 64
EPOCHS = {"fc": 20, "conv": 10}  # as in the runs of record
PUBLISHED, FLUSHED = "torch.nn as published", "torch.nn flushed, in memory"
DENORMALS = f"flushed, but as they come in {PUBLISHED!r}"
FIRST, LAST = 0.02, 0.1  # relative bounds on the losses of the first and the last epoch


def measure_whole(
    csv: Path, models: list[str], threads: int, device: str, engine: str, epochs: int, told=print
) -> list[dict]:
    """Return one row per model. epochs: 0 takes those of the runs of record."""
    rows = []
    for model in models:
        count = epochs or EPOCHS.get(model, 20)
        runs = {
            f"scratchae {engine}": partial(ours, engine=engine),
            FLUSHED: partial(theirs, batches_of=in_memory),
            PUBLISHED: partial(theirs, batches_of=as_published),
        }
        found = {}
        for name, run in runs.items():
            with Worker(threads, flush=name == FLUSHED) as worker:
                found[name] = worker.ask(run, str(csv), model, count, device)
            told(f"{model}, {count} epochs, {name}: {found[name]['seconds']:.1f} s")
        check_runs(model, {name: run["losses"] for name, run in found.items()})
        ours_seconds = found[f"scratchae {engine}"]["seconds"]
        rows.append(
            {
                "model": model,
                "epochs": count,
                "threads": threads,
                "batch_size": BATCH_SIZE,
                "seed": DEFAULT_SEED,
                **{
                    key: {name: run[key] for name, run in found.items()}
                    for key in ("seconds", "read_seconds", "losses")
                },
                "ratio": {name: run["seconds"] / ours_seconds for name, run in found.items()},
            }
        )
    return rows


def ours(state: dict, csv: str, model: str, epochs: int, device: str, engine: str) -> dict:
    """In the worker: run `load` and `fit`."""
    began = time.perf_counter()
    data = load(csv, test=0.0)
    read = time.perf_counter() - began
    run = fit(model, data, epochs=epochs, device=device, engine=engine, progress=False)
    seconds = time.perf_counter() - began
    losses = [row["train_loss"] for row in run.rows]
    return {"seconds": seconds, "read_seconds": read, "losses": losses}


def theirs(
    state: dict, csv: str, model: str, epochs: int, device: str, batches_of: Callable
) -> dict:
    """In the worker: run pandas, torch.nn, autograd and torch.optim.Adam with its defaults."""
    began = time.perf_counter()
    frame = pd.read_csv(csv)
    read = time.perf_counter() - began
    start = build(model, DEFAULT_SEED)
    module = twin(start).train().to(device)
    optimizer = torch.optim.Adam(module.parameters(), **ADAM)
    order = Batches(len(frame), BATCH_SIZE, DEFAULT_SEED)
    losses = []
    for batches in batches_of(frame, order, epochs, device):
        total = 0.0
        for images in batches:
            x = images.to(device).reshape(-1, *start.input_shape)
            loss = mse_loss(module(x), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        losses.append(total / len(frame))
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "read_seconds": read, "losses": losses}


def in_memory(
    frame: pd.DataFrame, order: Batches, epochs: int, device: str
) -> Iterator[Iterator[Tensor]]:
    """Iterate over the epochs: each is an iterator over batches of one tensor on the device."""
    pixels = torch.from_numpy(np.array(frame.iloc[:, 1:], np.uint8))
    images = normalise(pixels.to(device))
    for epoch in range(1, epochs + 1):
        yield (images.index_select(0, index.to(device)) for index in order.epoch(epoch))


def as_published(
    frame: pd.DataFrame, order: Batches, epochs: int, device: str
) -> Iterator[Iterator[Tensor]]:
    """Iterate over the epochs: each is a DataLoader over images that are scaled one at a time."""
    images = Digits(frame)
    for epoch in range(1, epochs + 1):
        sampler = (index.tolist() for index in order.epoch(epoch))
        loader = DataLoader(images, batch_sampler=list(sampler))
        yield (batch for batch, _ in loader)


class Digits(Dataset):
    """(image (1, 28, 28) in [-1, 1], label), scaled like ToTensor and Normalize(0.5, 0.5)."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.labels = frame.iloc[:, 0].to_numpy()
        self.pixels = np.array(frame.iloc[:, 1:], np.uint8).reshape(-1, 28, 28, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self.pixels[i].transpose(2, 0, 1)).contiguous().float().div(255)
        return image.sub(0.5).div(0.5), self.labels[i]


def check_runs(model: str, losses: dict[str, list[float]]) -> None:
    """Raise WrongContenderError if the losses differ by more than rounding explains.

    >>> check_runs("fc", {FLUSHED: [0.5, 0.2], "mine": [0.5, 0.19]})
    >>> check_runs("fc", {FLUSHED: [0.5, 0.2], "mine": [0.6, 0.2]})
    Traceback (most recent call last):
    reference.benchmark.steps.WrongContenderError: mine ends epoch 1 of fc at 0.6, but ...
    """
    for name, of in losses.items():
        for epoch, bound in ((1, FIRST), (len(of), LAST)):
            mine, right = of[epoch - 1], losses[FLUSHED][epoch - 1]
            if not abs(mine - right) <= bound * right:
                raise WrongContenderError(
                    f"{name} ends epoch {epoch} of {model} at {mine:.4g}, but {FLUSHED} at "
                    f"{right:.4g}: its time is meaningless"
                )
