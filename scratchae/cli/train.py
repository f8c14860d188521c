"""`scratchae train`: train an autoencoder, keep the run, draw it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scratchae.cli.app import app, console, option
from scratchae.cli.report import report
from scratchae.errors import ScratchaeError

if TYPE_CHECKING:
    from scratchae.data import Dataset

DEFAULTS = {  # those of `fit`, which is not imported for a help text
    "data": "sample",
    "epochs": 20,
    "batch_size": 64,
    "lr": 1e-3,
    "weight_decay": 1e-5,
    "seed": 2,
}


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
    engine: Annotated[
        str,
        typer.Option(
            help="How steps are made: eager, buffered (faster on a CPU), compile, or graph (on CUDA)."
        ),
    ] = "eager",
    precision: Annotated[
        str, typer.Option(help="float32, or on CUDA with compile or graph: bf16.")
    ] = "float32",
    tf32: Annotated[
        bool,
        typer.Option("--tf32", help="On CUDA: products of float32 as TF32, faster and coarser."),
    ] = False,
    seed: Annotated[
        int | None, option("Decides first weights, order and split.", DEFAULTS["seed"])
    ] = None,
    out: Annotated[Path | None, option("The run folder.", "runs/MODEL, numbered")] = None,
    layers: Annotated[
        Path | None,
        option("A folder with layers of your own, from a course, to train with.", "the library's"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in that folder.")
    ] = False,
) -> None:
    """Train an autoencoder and draw what it learned.

    Example: scratchae train conv --data train.csv --epochs 10 --out runs/first

    By several processes together: torchrun --nproc-per-node 2 -m scratchae train conv
    """
    from scratchae import data, models
    from scratchae.distributed import init_workers, report_errors_once
    from scratchae.plots.run_plots import write_pictures
    from scratchae.training import fit
    from scratchae.training.floating_point import flushing_denormals
    from scratchae.training.run import read_config

    workers = init_workers()
    console.quiet = not workers.is_rank_0
    with report_errors_once(workers) as reporter, flushing_denormals(), layers_of(layers, engine):
        models.build(model)  # an unknown name is said before anything is read
        folder = workers.from_rank_0(lambda: out or next_folder(model, resume))
        again = f"{workers.launcher} train {model} --out {folder} --resume"
        reporter.advice = f"the epochs that were finished are in {folder}; go on with {again}"
        settings = DEFAULTS | {"test_data": None}
        if resume and workers.from_rank_0(lambda: (folder / "config.json").exists()):
            settings |= workers.from_rank_0(lambda: vars(read_config(folder)))
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
        digits = workers.rank_0_first(
            lambda: data.load(settings["data"], test=settings["test_data"], seed=settings["seed"])
        )
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
                engine=engine,
                precision=precision,
                tf32=tf32,
                out=folder,
                resume=resume,
            )
        except KeyboardInterrupt:
            console.print(
                f"\nStopped. The epochs that were finished are in {folder}; go on with:\n  {again}"
            )
            raise typer.Exit(130) from None
        if workers.is_rank_0:
            write_pictures(run, digits)
    report(run)


@contextmanager
def layers_of(folder: Path | None, engine: str) -> Iterator[None]:
    """Inside, a learner's layers stand in for the library's."""
    if folder is None:
        yield
        return
    from scratchae.course.student_layers import borrowing

    if engine != "eager":
        raise ScratchaeError(f"--layers goes with --engine eager: {engine} has layers of its own")
    with borrowing(folder) as yours:
        console.print(f"Yours: {', '.join(yours)}. All else is the library's.")
        yield


def next_folder(model: str, resume: bool) -> Path:
    """runs/fc, runs/fc-2, ...: the first that is not there, or the last that is, to resume."""
    folder, number = Path("runs") / model, 1
    while folder.exists():
        last, number = folder, number + 1
        folder = Path("runs") / f"{model}-{number}"
    return last if resume and number > 1 else folder


def describe(digits: Dataset) -> str:
    """'sample (10,000 images to train on, 2,000 to test)'."""
    test = f", {len(digits.test):,} to test" if digits.test is not None else ""
    return f"{digits.name} ({len(digits.train):,} images to train on{test})"
