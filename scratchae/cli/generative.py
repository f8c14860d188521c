"""Commands for what a model has learned of the data: `sample`, `interpolate` and `evaluate`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from scratchae.cli.app import DATA_HELP, Device, RunFolder, app, console, counted, option
from scratchae.errors import ScratchaeError

if TYPE_CHECKING:
    from torch import Tensor

    from scratchae.data import Images
    from scratchae.training import Run
    from scratchae.training.likelihood import Likelihood


@app.command()
def sample(
    run_folder: RunFolder,
    count: Annotated[int, typer.Option(help="Number of images.")] = 64,
    seed: Annotated[int, typer.Option(help="Decides the codes.")] = 0,
    out: Annotated[Path | None, option("The picture to write.", "RUN/pictures/samples.png")] = None,
) -> None:
    """Draw new images with a VAE: codes from the prior N(0, I), decoded.

    Example: scratchae sample runs/vae --count 100
    """
    from scratchae import plots
    from scratchae.training import open_run

    run = open_run(run_folder)
    path = out or run_folder / "pictures" / "samples.png"
    plots.save(plots.samples(run.model, count, seed), path)
    console.print(f"Picture: {path}")


@app.command()
def interpolate(
    run_folder: RunFolder,
    start: Annotated[int, typer.Option("--from", help="Label of the first image.")] = 3,
    end: Annotated[int, typer.Option("--to", help="Label of the last image.")] = 8,
    steps: Annotated[int, typer.Option(help="Number of decoded codes.")] = 11,
    out: Annotated[
        Path | None, option("The picture to write.", "RUN/pictures/interpolation.png")
    ] = None,
) -> None:
    """Draw the way from one image to another: decode codes on the straight line between theirs.

    The images are the first test images with these labels, or the first training images if there are no
    test images. For a VAE, the codes are the means mu.

    Example: scratchae interpolate runs/vae --from 3 --to 8
    """
    from scratchae import plots
    from scratchae.training import open_run

    run = open_run(run_folder)
    data = run.settings.load()
    images = data.test or data.train
    first, last = (first_with_label(run, images, label) for label in (start, end))
    path = out or run_folder / "pictures" / "interpolation.png"
    plots.save(plots.interpolation(run.model, first, last, steps), path)
    console.print(f"Picture: {path}")


def first_with_label(run: Run, images: Images, label: int) -> Tensor:
    """Return the first image with a label, (1, *input_shape). Raises ScratchaeError if there is none."""
    import torch

    from scratchae.training.preparation import pixels_for

    labels = torch.empty(0) if images.labels is None else images.labels
    found = (labels == label).nonzero()[:, 0]
    if not len(found):
        known = ", ".join(str(value) for value in labels.unique().tolist())
        raise ScratchaeError(
            f"no image has the label {label}: "
            + (f"the labels are {known}" if known else "these images have no labels")
        )
    return pixels_for(run.model, images.select(found[:1]), torch.device("cpu"))


@app.command()
def evaluate(
    run_folder: RunFolder,
    bound: Annotated[
        int | None,
        option("For a VAE: codes for each image in the importance-weighted bound.", "100"),
    ] = None,
    images: Annotated[
        int | None, option("Use only this many test images, the first ones.", "all")
    ] = None,
    data_source: Annotated[
        str | None, option(f"Other test data. {DATA_HELP}", "the run's own test images", "--data")
    ] = None,
    binary: Annotated[
        bool | None,
        option(
            "Binarise the test images, or leave them grey.", "as in training", "--binarise/--grey"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides the codes that are drawn.")] = 0,
    device: Device = "auto",
) -> None:
    """Compute the loss of the test images; for a VAE also their likelihood.

    For a VAE: the ELBO with its two parts, the importance-weighted bound on log p(x), the active units
    and the gap of the ELBO. The bound takes about a minute for 1,000 images with --bound 5000.

    Example: scratchae evaluate runs/vae --bound 5000 --images 1000
    """
    from tqdm import tqdm

    from scratchae.data import load
    from scratchae.data.binarise import binarise_once, binary_checksum
    from scratchae.models import VAE
    from scratchae.training import open_run
    from scratchae.training.evaluation import evaluate as compute
    from scratchae.training.evaluation import loss_name
    from scratchae.training.likelihood import SAMPLES, kind, of_model
    from scratchae.training.preparation import choose_device, pixels_for

    run = open_run(run_folder)
    if bound is not None and not isinstance(run.model, VAE):
        raise ScratchaeError(
            f"--bound is for a VAE, but {run_folder} is a run of {run.settings.model}"
        )
    bound = 100 if bound is None else bound
    if bound < 1:
        raise ScratchaeError(f"--bound must be at least 1, got {bound}")
    data = run.settings.load() if data_source is None else load(data_source)
    test = data.test or data.train
    if images is not None and not 1 <= images <= len(test):
        raise ScratchaeError(f"--images must be from 1 to {len(test):,}, got {images}")
    place = choose_device(device)
    model = run.model.to(place)
    x = pixels_for(model, test, place)
    mode = run.settings.binarise
    if mode != "none" if binary is None else binary:
        x = binarise_once(x, "test")
        console.print(f"Binarised test images: checksum {binary_checksum(x)}")
    x = x[:images]
    console.print(
        f"{run.settings.model}, {counted(run.epoch, 'epoch')} on {Path(run.settings.data).name}"
        + (f" ({mode} binarisation)" if mode != "none" else "")
    )
    part = "test" if data.test else "training"
    console.print(f"{counted(len(x), f'{part} image')} of {data.name}")
    loss = compute(model, x, model.target(x))
    console.print(f"{part.capitalize()} loss: {loss:.4f}, {loss_name(model)}")
    if isinstance(model, VAE):
        counts = [k for k in SAMPLES if k < bound] + [bound]
        with tqdm(total=len(x), desc="bound", unit="image", file=sys.stderr, leave=False) as bar:
            found = of_model(model, x, counts, seed, bar.update)
        console.print(f"In nats per image; {kind(model, x)}.")
        console.print(table_of(found))
        console.print(
            f"{found.active} of {len(found.variances)} units are active; "
            f"the gap of the ELBO is {found.gap:.2f} nats"
        )


def table_of(found: Likelihood) -> Table:
    """Return the table of `evaluate`: −ELBO, its two parts, and −log p_K for each K."""
    table = Table("", "nats", "± standard error", box=None, header_style="bold")
    rows = {
        "−ELBO, one code for each image": (-found.elbo.mean, found.elbo.error),
        "  reconstruction": (-found.reconstruction.mean, found.reconstruction.error),
        "  KL": found.kl,
        **{f"−log p_K, K = {k:,}": (-b.mean, b.error) for k, b in found.bounds.items()},
    }
    for name, (mean, error) in rows.items():
        table.add_row(name, f"{mean:.2f}", f"{error:.2f}")
    return table
