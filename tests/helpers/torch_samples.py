"""PyTorch's own samples of modules and optimisers, from the tables that its tests are made of.

torch.testing._internal changes settings of the whole process when it is imported, so a process of
its own reads the tables and leaves the samples in a file: `python -m tests.helpers.torch_samples FILE`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import types
import unittest
from functools import cache
from pathlib import Path

import torch

MODULES = (
    *(
        "AvgPool2d",
        "BatchNorm1d",
        "BatchNorm2d",
        "Conv2d",
        "ConvTranspose2d",
        "GroupNorm",
        "LayerNorm",
        "LeakyReLU",
        "Linear",
        "MaxPool2d",
    ),
    *(
        "BCEWithLogitsLoss",
        "CrossEntropyLoss",
        "GELU",
        "MSELoss",
        "ReLU",
        "SiLU",
        "Sigmoid",
        "Softplus",
        "Tanh",
    ),
)
OPTIMIZERS = ("SGD", "Adam", "AdamW")


@cache
def torch_samples() -> dict[str, dict[str, list[dict]]]:
    """ "modules": name -> samples of {"desc", "training", "made", "given"}, the last two (args, kwargs);
    "optimizers": name -> samples of {"desc", "kwargs", "refused": what torch says, or ""}."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "samples.pt")
        command = [sys.executable, "-W", "ignore", "-m", __name__, str(path)]
        subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[2])
        return torch.load(path, weights_only=True)


def collect() -> dict:
    stand_in = types.ModuleType("expecttest")  # torch.testing takes its TestCase as a base
    stand_in.TestCase = unittest.TestCase
    sys.modules.setdefault("expecttest", stand_in)
    from torch.testing._internal.common_modules import module_db
    from torch.testing._internal.common_optimizers import optim_db

    modules = {info.name.removeprefix("nn."): info for info in module_db}
    optimizers = {info.optim_cls.__name__: info for info in optim_db}
    return {
        "modules": {name: module_samples(modules[name]) for name in MODULES},
        "optimizers": {name: optimizer_samples(optimizers[name]) for name in OPTIMIZERS},
    }


def module_samples(info) -> list[dict]:
    found = []
    for training in (True, False) if info.train_and_eval_differ else (True,):
        torch.manual_seed(0)
        asked = {"device": "cpu", "dtype": torch.float64, "requires_grad": False}
        for sample in info.module_inputs_func(info, **asked, training=training):
            made, given = sample.constructor_input, sample.forward_input
            found.append(
                {
                    "desc": sample.desc,
                    "training": training,
                    "made": (list(made.args), made.kwargs),
                    "given": (list(given.args), given.kwargs),
                }
            )
    return found


def optimizer_samples(info) -> list[dict]:
    right = [
        {"desc": sample.desc, "kwargs": sample.kwargs, "refused": ""}
        for sample in info.optim_inputs_func(device="cpu", dtype=torch.float64)
    ]
    wrong = [
        {
            "desc": error.optimizer_error_input.desc,
            "kwargs": error.optimizer_error_input.kwargs,
            "refused": error.error_regex,
        }
        for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float64)
        if error.optimizer_error_input.params is None  # the others are about lists of parameters
    ]
    return right + wrong


if __name__ == "__main__":
    torch.save(collect(), sys.argv[1])
