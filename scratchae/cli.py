"""The command `scratchae`: it reads options, calls the library and prints."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.table import Table

import scratchae
from scratchae import data, models, plots
from scratchae.errors import ScratchaeError
from scratchae.gallery import write_pictures
from scratchae.training import Run, fit, open_run
from scratchae.training.loop import DEFAULT_SEED, pixels_for, reconstruct
from scratchae.training.run import read_config
from scratchae.training.step import flushing_denormals

DEFAULTS = {
    "data": "sample",
    "epochs": 20,
    "batch_size": 64,
    "lr": 1e-3,
    "weight_decay": 1e-5,
    "seed": DEFAULT_SEED,
}
MOST = 10  # images that `reconstruct` draws: a row of a picture

app = typer.Typer(
    help="Autoencoders from nothing but tensor arithmetic. Start with: scratchae train fc",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made by `train`.")]


def option(text: str, default: object, *names: str) -> typer.models.OptionInfo:
    """An option whose default, told in its help, is found later: a run to resume has its own."""
    return typer.Option(*names, help=rf"{text} [dim]\[default: {default}][/dim]")


@app.command()
def train(
    model: Annotated[
        str, typer.Argument(help="fc, conv, or another that `scratchae models` lists.")
    ],
    data_source: Annotated[
        str | None,
        option(
            "sample, mnist, fashion-mnist, a CSV, IDX or NPZ file, or a folder of IDX files.",
            DEFAULTS["data"],
            "--data",
        ),
    ] = None,
    test_data: Annotated[
        str | None, option("Test images.", "the data's own, or 10 % held out")
    ] = None,
    epochs: Annotated[
        int | None, option("How often each image is seen.", DEFAULTS["epochs"])
    ] = None,
    batch_size: Annotated[int | None, option("Images a step.", DEFAULTS["batch_size"])] = None,
    lr: Annotated[float | None, option("Adam's learning rate.", DEFAULTS["lr"])] = None,
    weight_decay: Annotated[
        float | None,
        option("Share of the weights added to their gradient.", DEFAULTS["weight_decay"]),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[
        int | None, option("Decides first weights, order and split.", DEFAULTS["seed"])
    ] = None,
    out: Annotated[Path | None, option("The run folder.", "runs/MODEL, numbered")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in that folder.")
    ] = False,
) -> None:
    """Train an autoencoder and draw what it learned.

    Example: scratchae train conv --data train.csv --epochs 10 --out runs/first
    """
    with flushing_denormals():
        models.build(model)  # an unknown name is said before anything is read
        folder = out or next_folder(model, resume)
        settings = DEFAULTS | {"test_data": None}
        if resume and (folder / "config.json").exists():
            settings |= vars(read_config(folder))
        elif resume:
            console.print(f"Nothing to resume in {folder} yet: starting from the beginning.")
        given = {
            "data": data_source,
            "test_data": test_data,
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr,
            "weight_decay": weight_decay,
            "seed": seed,
        }
        settings |= {name: value for name, value in given.items() if value is not None}
        digits = data.load(settings["data"], test=settings["test_data"], seed=settings["seed"])
        console.print(f"{model} on {describe(digits)}, into {folder}")
        try:
            run = fit(
                model,
                digits,
                epochs=settings["epochs"],
                batch_size=settings["batch_size"],
                lr=settings["lr"],
                weight_decay=settings["weight_decay"],
                seed=settings["seed"],
                device=device,
                out=folder,
                resume=resume,
            )
        except KeyboardInterrupt:
            console.print(
                f"\nStopped. The epochs that were finished are in {folder}; go on with:\n"
                f"  scratchae train {model} --out {folder} --resume"
            )
            raise typer.Exit(130) from None
        write_pictures(run, digits)
    report(run)


@app.command()
def show(run_folder: RunFolder) -> None:
    """Draw the pictures of a run again, and say how it went.

    Example: scratchae show runs/fc
    """
    run = open_run(run_folder)
    write_pictures(run, run.settings.load())
    report(run)


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


@app.command()
def info() -> None:
    """Versions, device, and which data is at hand.

    Example: scratchae info
    """
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_row("scratchae", scratchae.__version__)
    table.add_row("python", platform.python_version())
    table.add_row("torch", torch.__version__)
    gpu = torch.cuda.is_available()
    table.add_row(
        "device", torch.cuda.get_device_name() if gpu else f"cpu, {torch.get_num_threads()} threads"
    )
    for name in data.NAMES:
        table.add_row(f"data: {name}", data.where(name))
    console.print(table)


@app.command("models")
def list_models(
    name: Annotated[str | None, typer.Argument(help="Show this model's layers.")] = None,
) -> None:
    """The models that can be trained; with a name, its layers and their sizes.

    Example: scratchae models conv
    """
    if name is not None:
        model = models.build(name)
        console.print(model.summary(model.input_shape), soft_wrap=True)
        return
    table = Table("model", "input", "parameters", "what it is", box=None, header_style="bold")
    for known in models.names():
        model = models.build(known)
        size = " x ".join(map(str, model.input_shape))
        count = sum(p.numel() for p in model.parameters())
        table.add_row(known, size, f"{count:,}", models.description(known))
    console.print(table)


def next_folder(model: str, resume: bool) -> Path:
    """runs/fc, runs/fc-2, ...: the first that is not there, or the last that is, to resume."""
    folder, number = Path("runs") / model, 1
    while folder.exists():
        last, number = folder, number + 1
        folder = Path("runs") / f"{model}-{number}"
    return last if resume and number > 1 else folder


def describe(digits: data.Dataset) -> str:
    """'sample (10,000 images to train on, 2,000 to test)'."""
    test = f", {len(digits.test):,} to test" if digits.test is not None else ""
    return f"{digits.name} ({len(digits.train):,} images to train on{test})"


def digits_of(source: str) -> list[tuple[str, torch.Tensor]]:
    """(name, uint8 (28, 28)) for a picture, or for every image of a data file."""
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


def report(run: Run) -> None:
    """How the run went, and where its pictures are."""
    if run.rows:
        last = run.rows[-1]
        seconds = sum(row["seconds"] for row in run.rows)
        console.print(
            f"{run.epoch} epochs in {seconds:.1f} s. Mean squared error: train "
            f"{last['train_loss']:.4f}, test {last['test_loss']:.4f}"
        )
    console.print(f"Pictures: {run.folder / 'pictures'}")


def main() -> None:
    """The entry point: a person's mistake is one sentence and exit code 2, never a traceback."""
    try:
        app()
    except ScratchaeError as error:
        Console(stderr=True, highlight=False).print(
            f"error: {error}", style="red", markup=False, soft_wrap=True
        )
        sys.exit(2)
    except BrokenPipeError:  # `scratchae models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
