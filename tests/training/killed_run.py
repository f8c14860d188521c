"""Trains a few digits in a folder, going on where it stands; test_kill.py kills it meanwhile.

python -m tests.training.killed_run FOLDER EPOCHS MODEL
"""

import sys
from dataclasses import replace

import torch

from scratchae.data import Dataset
from scratchae.training import fit
from tests.helpers.runs import few_digits

OPTIONS = {
    "corrupt": "noise=0.3",
    "augment": "rotate=10,shift=2",
    "schedule": "cosine,warmup=2",
    "clip_norm": 0.5,
    "ema": 0.9,
    "patience": 9,
}


def digits() -> Dataset:
    data = few_digits(train=400)
    return replace(data, validation=data.test)


if __name__ == "__main__":
    torch.set_num_threads(1)
    data = digits()
    print("ready", flush=True)
    fit(
        sys.argv[3],
        data,
        epochs=int(sys.argv[2]),
        out=sys.argv[1],
        resume=True,
        device="cpu",
        progress=False,
        **OPTIONS,
    )
