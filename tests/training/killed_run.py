"""Trains a few digits in a folder, going on where it stands; test_kill.py kills it meanwhile.

python -m tests.training.killed_run FOLDER EPOCHS
"""

import sys

import torch

from scratchae.training import fit
from tests.helpers.runs import few_digits

if __name__ == "__main__":
    torch.set_num_threads(1)
    data = few_digits(train=400)
    print("ready", flush=True)
    fit(
        "conv",
        data,
        epochs=int(sys.argv[2]),
        out=sys.argv[1],
        resume=True,
        device="cpu",
        progress=False,
        corrupt="noise=0.3",
        augment="rotate=10,shift=2",
    )
