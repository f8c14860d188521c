"""Small data and quick runs for the tests of training and of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from scratchae.data import Dataset, load
from scratchae.models import Autoencoder


def few_digits(train: int = 150, test: int = 100) -> Dataset:
    """Real digits, but few: the first of the bundled sample, with a short last batch."""
    whole = load()
    return Dataset(
        "few",
        whole.train.select(torch.arange(train)),
        whole.test.select(torch.arange(test)),
        source="sample",
    )


def write_npz(path: Path, data: Dataset) -> Path:
    """The digits as an NPZ file that `load` reads."""
    np.savez(
        path,
        x_train=data.train.pixels.numpy(),
        y_train=data.train.labels.numpy(),
        x_test=data.test.pixels.numpy(),
        y_test=data.test.labels.numpy(),
    )
    return path


def weights(model: Autoencoder) -> dict[str, torch.Tensor]:
    """A copy of every parameter and buffer."""
    return {key: tensor.clone() for key, tensor in model.state_dict().items()}


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are equal to the last bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
