"""`scratchae reconstruct`: digits of your own through a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from scratchae.cli.app import RunFolder, app, console, option
from scratchae.errors import ScratchaeError

if TYPE_CHECKING:
    import torch

MOST = 10  # images that `reconstruct` draws: a row of a picture


@app.command("reconstruct")
def reconstruct_images(
    run_folder: RunFolder,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Pictures (PNG, JPEG), or data files.")
    ],
    out: Annotated[
        Path | None, option("The picture to write.", "RUN/pictures/reconstructed.png")
    ] = None,
) -> None:
    """Encode and decode digits of your own.

    Photos and dark ink on light paper are welcome: they are inverted, fitted into 20 x 20 pixels
    and centred, as MNIST's digits were.

    Example: scratchae reconstruct runs/fc my_seven.png
    """
    import torch

    from scratchae import data, plots
    from scratchae.training import open_run
    from scratchae.training.evaluation import reconstruct
    from scratchae.training.preparation import pixels_for

    run = open_run(run_folder)
    named = [pair for source in images for pair in digits_of(source)]
    if len(named) > MOST:
        console.print(f"The first {MOST} of {len(named):,} images:")
    named = named[:MOST]
    x = pixels_for(run.model, data.Images(torch.stack([pixels for _, pixels in named])), "cpu")
    y = reconstruct(run.model, x)
    table = Table("image", "mean squared error", box=None, header_style="bold")
    for (name, _), original, copy in zip(named, x, y, strict=True):
        table.add_row(name, f"{(original - copy).square().mean().item():.4f}")
    console.print(table)
    path = out or run.folder / "pictures" / "reconstructed.png"
    plots.save(plots.visualize_outputs([(run.epoch, x, y)]), path)
    console.print(f"Picture: {path}")


def digits_of(source: str) -> list[tuple[str, torch.Tensor]]:
    """(name, uint8 (28, 28)) for a picture, or for every image of a data file."""
    from PIL import Image, UnidentifiedImageError

    from scratchae import data

    path = Path(source)
    try:
        with Image.open(path) as picture:
            picture.verify()
    except (UnidentifiedImageError, OSError):  # no picture: data, or a sentence about it
        pixels = data.load(source, test=0.0).train.pixels
        return [(f"{path.name} {i}", image) for i, image in enumerate(pixels)]
    try:
        return [(path.name, data.digit_from_picture(path))]
    except ScratchaeError as error:
        raise ScratchaeError(f"{path}: {error}") from error
