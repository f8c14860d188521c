"""The studies: what is trained, on what, and which numbers are kept."""

from __future__ import annotations

from functools import cache

import torch

from reference.vae.store import once
from reference.vae.twin import fit_twin
from scratchae.data import Dataset, load
from scratchae.data.binarise import binarise_once, binary_checksum
from scratchae.models import build
from scratchae.training import Run, fit
from scratchae.training.likelihood import SAMPLES, Likelihood, of_model
from scratchae.training.preparation import pixels_for

BATCH = 128
CPU = torch.device("cpu")
BETAS = (0.25, 0.5, 1.0, 2.0, 4.0)
BOUND_IMAGES = 1000  # test images whose log p(x) is estimated with K = 5000


@cache
def mnist() -> Dataset:
    """Return MNIST: 60,000 training images and 10,000 test images."""
    return load("mnist")


def train(name: str, data: Dataset, epochs: int, seed: int, **options) -> Run:
    """Train with Adam, learning rate 1e-3 without weight decay, batches of 128."""
    return fit(
        name,
        data,
        epochs=epochs,
        batch_size=BATCH,
        weight_decay=0.0,
        seed=seed,
        device="cpu",
        progress=False,
        **options,
    )


def last(rows: list[dict]) -> dict:
    """Return the losses of the last epoch."""
    row = rows[-1]
    return {key: row[key] for key in ("epoch", "train_loss", "test_loss", "test_penalty")}


def grey() -> None:
    """`vae` with 20 codes on grey pixels, beside torch.nn: one-sample −ELBO of the test images."""

    def both(seed: int) -> dict:
        data, name = mnist(), "vae"
        ours = train(name, data, 10, seed).rows
        start = build(name, seed)
        pixels = [pixels_for(start, images, CPU) for images in (data.train, data.test)]
        theirs = fit_twin(start, *pixels, 10, BATCH, seed)
        return {"ours": last(ours), "torch": last(theirs)}

    for seed in range(3):
        once(f"grey/seed {seed}", lambda seed=seed: both(seed))


def conv() -> None:
    """`conv-vae` with 2 codes on grey pixels, 10 epochs."""

    def run() -> dict:
        run = train("conv-vae", mnist(), 10, 0, engine="eager")
        parameters = sum(p.numel() for p in run.model.parameters())
        return {**last(run.rows), "parameters": parameters}

    once("conv/seed 0", run)


def beta() -> None:
    """The rate-distortion curve: five values of β, three seeds each, on the bundled sample."""
    for value in BETAS:
        for seed in range(3):
            name = f"vae,beta={value:g}"
            once(
                f"beta/{value:g}, seed {seed}",
                lambda name=name, seed=seed: last(train(name, load(), 10, seed).rows),
            )


def binarised() -> None:
    """`vae` on binary pixels, drawn anew in each epoch or once; log p(x) with K = 5000."""

    def run(mode: str) -> dict:
        data = mnist()
        run = train("vae", data, 20, 0, binarise=mode)
        test = binarise_once(pixels_for(run.model, data.test, CPU), "test")
        whole = of_model(run.model, test, samples=(1, 10))
        some = of_model(run.model, test[:BOUND_IMAGES], samples=SAMPLES)
        return {
            **last(run.rows),
            "checksum": binary_checksum(test),
            "all": numbers(whole),
            "some": numbers(some),
        }

    for mode in ("dynamic", "static"):
        once(f"binarised/{mode}", lambda mode=mode: run(mode))


def numbers(found: Likelihood) -> dict:
    """Return a likelihood as plain numbers, as (mean, standard error)."""
    return {
        "images": found.images,
        "elbo": list(found.elbo),
        "reconstruction": list(found.reconstruction),
        "kl": list(found.kl),
        "bounds": {str(k): list(bound) for k, bound in found.bounds.items()},
        "active": found.active,
        "gap": found.gap,
    }
