"""Draw all pictures of a run into its folder."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from scratchae import plots
from scratchae.data import Corruption, Dataset
from scratchae.errors import ScratchaeError
from scratchae.models import VAE
from scratchae.training import Run
from scratchae.training.epoch_images import corrupted_keepsakes
from scratchae.training.evaluation import evaluating, loss_label
from scratchae.training.preparation import evaluation_pixels_for

ROWS = 6  # of reconstructions: this many epochs fit on one page
CODES = 5000  # at most this many test digits in the latent cloud


def write_pictures(run: Run, data: Dataset) -> list[Path]:
    """Draw the pictures of a run as run.folder/pictures/*.png, and return their paths.

    >>> import tempfile
    >>> from scratchae.data import Images
    >>> from scratchae.training import fit
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = fit("fc", data, epochs=1, out=folder, device="cpu", progress=False)
    ...     [path.stem for path in write_pictures(run, data)]
    ['feature_maps', 'filters', 'interpolation', 'latent', 'loss', 'reconstructions']
    """
    if run.folder is None:
        raise ScratchaeError("the run has no folder for its pictures: train it with fit(..., out=)")
    images = data.test or data.train
    few = images.select(torch.arange(min(CODES, len(images))))
    x = evaluation_pixels_for(run.model, few, torch.device("cpu"), run.settings.binarise)
    labels = None if images.labels is None else images.labels[: len(x)]
    model = run.model.to("cpu")
    with evaluating(model):
        codes = model.encode(x).flatten(1)
    figures = {
        "latent": plots.latent_cloud(codes, labels, classes=data.classes),
        "filters": plots.filters(model),
        "feature_maps": plots.feature_maps(model, x[:1]),
        "interpolation": plots.interpolation(model, x[:1], x[other_digit(labels) :][:1]),
    }
    if run.outputs:
        step = math.ceil(len(run.outputs) / ROWS)
        corruption = Corruption.parse(run.settings.corrupt)
        kept = run.outputs[0][1]
        noisy = corrupted_keepsakes(model, kept, run.settings.seed, corruption)
        inputs = noisy if corruption else None
        figures["reconstructions"] = plots.visualize_outputs(
            run.outputs, step, inputs, model.pixel_range
        )
        figures["loss"] = plots.loss_curves(run.history, loss_label(model))
    if isinstance(model, VAE):
        figures["samples"] = plots.samples(model)
        if model.latent == 2:
            figures["plane"] = plots.latent_plane(model)
        if run.outputs and data.test is not None:
            figures["elbo"] = plots.elbo_parts(run.history, model.beta)
    folder = run.folder / "pictures"
    paths = [folder / f"{name}.png" for name in sorted(figures)]
    for path in paths:
        plots.save(figures[path.stem], path)
    return paths


def other_digit(labels: torch.Tensor | None) -> int:
    """Return the index of the first image that shows another digit than image 0.

    >>> other_digit(torch.tensor([7, 7, 2, 1]))
    2
    """
    if labels is None:
        return 1
    different = (labels != labels[0]).nonzero()
    return int(different[0, 0]) if len(different) else 1
