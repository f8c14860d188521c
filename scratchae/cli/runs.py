"""Commands for a finished run: `show`, `explore` and `reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from scratchae.cli.app import RunFolder, app, console, option
from scratchae.cli.train import report
from scratchae.errors import ScratchaeError

if TYPE_CHECKING:
    from torch import Tensor

MOST = 10  # images that `reconstruct` draws: one row of a picture


@app.command()
def show(run_folder: RunFolder) -> None:
    """Draw the pictures of a run again and print its results.

    Example: scratchae show runs/fc
    """
    from scratchae.plots.run_plots import write_pictures
    from scratchae.training import open_run

    run = open_run(run_folder)
    write_pictures(run, run.settings.load())
    report(run, run_folder)


@app.command()
def explore(
    run_folder: RunFolder,
    beside: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A second run, shown beside the first one."),
    ] = None,
    out: Annotated[Path | None, option("The HTML file to write.", "RUN/explorer.html")] = None,
) -> None:
    """Write an HTML page to explore a run in the browser. It is one file and needs no network.

    The encoder and the decoder run in the page. Move through the latent space, draw digits, look
    at every layer, and interpolate from one digit to another. Two runs, such as an autoencoder and a
    variational autoencoder, are driven by the same gestures. The images are those of the first run.

    Example: scratchae explore runs/fc --out page.html
    """
    from scratchae.explorer import write_page
    from scratchae.training import open_run

    runs = [open_run(folder) for folder in (run_folder, beside) if folder is not None]
    path = out or run_folder / "explorer.html"
    write_page(runs, runs[0].settings.load(), path)
    console.print(f"Page: {path} ({path.stat().st_size // 1000} KB). Open it in a browser.")


@app.command()
def reconstruct(
    run_folder: RunFolder,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...", help="Pictures (PNG, JPEG) or data files (CSV, IDX, NPZ)."
        ),
    ],
    out: Annotated[
        Path | None, option("The picture to write.", "RUN/pictures/reconstructed.png")
    ] = None,
) -> None:
    """Encode and decode your own digits, and draw the results.

    A picture may be a photo, or dark ink on light paper. It is converted to the format of MNIST's
    digits: white on black, scaled to 20 x 20 pixels and centred.

    Example: scratchae reconstruct runs/fc my_seven.png
    """
    import torch

    from scratchae import data, plots
    from scratchae.training import evaluation, open_run
    from scratchae.training.preparation import pixels_for

    run = open_run(run_folder)
    named = [pair for source in images for pair in digits_of(source)]
    if len(named) > MOST:
        console.print(f"The first {MOST} of {len(named):,} images:")
    named = named[:MOST]
    pixels = data.Images(torch.stack([image for _, image in named]))
    x = pixels_for(run.model, pixels, torch.device("cpu"))
    y = evaluation.reconstruct(run.model, x)
    table = Table("image", "mean squared error", box=None, header_style="bold")
    for (name, _), original, output in zip(named, x, y, strict=True):
        table.add_row(name, f"{(original - output).square().mean().item():.4f}")
    console.print(table)
    path = out or run_folder / "pictures" / "reconstructed.png"
    plots.save(
        plots.visualize_outputs([(run.epoch, x, y)], pixel_range=run.model.pixel_range), path
    )
    console.print(f"Picture: {path}")


def digits_of(source: str) -> list[tuple[str, Tensor]]:
    """Return (name, uint8 (28, 28)) for a picture, or for every image of a data file."""
    from PIL import Image, UnidentifiedImageError

    from scratchae import data

    path = Path(source)
    try:
        with Image.open(path) as picture:
            picture.verify()
    except (UnidentifiedImageError, OSError):  # not a picture: read it as data, or raise an error
        pixels = data.load(source, test=0.0).train.pixels
        return [(f"{path.name} {i}", image) for i, image in enumerate(pixels)]
    try:
        return [(path.name, data.digit_from_picture(path))]
    except ScratchaeError as error:
        raise ScratchaeError(f"{path}: {error}") from error
