"""`scratchae train`: train an autoencoder, save the run and draw its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scratchae.cli.app import DATA_HELP, Device, Model, app, console, counted, option
from scratchae.errors import ScratchaeError

if TYPE_CHECKING:
    from scratchae.data import Dataset
    from scratchae.training import Run


@dataclass(frozen=True)
class Settings:
    """The options that a resumed run takes from its folder, with the defaults of `fit`.

    `fit` is not imported, because the help texts must be printed at once.
    """

    data: str = "sample"
    test_data: str | None = None
    epochs: int = 20
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 1e-5
    seed: int = 2
    corrupt: str = "none"
    augment: str = "none"
    binarise: str = "none"
    validation: float = 0.0
    patience: int | None = None
    schedule: str = "none"
    clip_norm: float | None = None
    clip_value: float | None = None
    ema: float | None = None


DEFAULTS = Settings()


@app.command()
def train(
    model: Model,
    data_source: Annotated[str | None, option(DATA_HELP, DEFAULTS.data, "--data")] = None,
    test_data: Annotated[
        str | None,
        option("The test data, given like --data.", "the data's own, or 10 % held out"),
    ] = None,
    epochs: Annotated[int | None, option("Passes over all images.", DEFAULTS.epochs)] = None,
    batch_size: Annotated[int | None, option("Images per step.", DEFAULTS.batch_size)] = None,
    lr: Annotated[float | None, option("Learning rate of Adam.", DEFAULTS.lr)] = None,
    weight_decay: Annotated[
        float | None,
        option(
            "L2 penalty: this factor times a weight is added to its gradient.",
            DEFAULTS.weight_decay,
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        option(
            "Change the learning rate during training, such as cosine,warmup=2 (lengths are epochs). Kinds: "
            "step, linear, cosine, onecycle, plateau.",
            DEFAULTS.schedule,
        ),
    ] = None,
    clip_norm: Annotated[
        float | None, option("Shorten a gradient whose norm is larger than this number.", "off")
    ] = None,
    clip_value: Annotated[
        float | None, option("Limit each element of the gradient to this size.", "off")
    ] = None,
    ema: Annotated[
        float | None,
        option(
            "Average the weights over the steps with this decay, such as 0.999, and keep the average.",
            "off",
        ),
    ] = None,
    validation: Annotated[
        float | None,
        option(
            "The fraction of the training images to hold out for validation.", DEFAULTS.validation
        ),
    ] = None,
    patience: Annotated[
        int | None,
        option(
            "Stop after this many epochs without a lower validation loss, and keep the best weights.",
            "off",
        ),
    ] = None,
    corrupt: Annotated[
        str | None,
        option(
            "Noise on the input, to train a denoising model, such as noise=0.3. Kinds: noise, salt, mask, "
            "block.",
            DEFAULTS.corrupt,
        ),
    ] = None,
    augment: Annotated[
        str | None,
        option(
            "Random movements of the images, such as rotate=10,shift=2. Kinds: rotate, shift, scale, "
            "elastic.",
            DEFAULTS.augment,
        ),
    ] = None,
    binarise: Annotated[
        str | None,
        option(
            "Make images of zeros and ones, for models of pixels in [0, 1], such as vae: dynamic (anew in "
            "each epoch) or static (once).",
            DEFAULTS.binarise,
        ),
    ] = None,
    device: Device = "auto",
    engine: Annotated[
        str,
        typer.Option(
            help="How to run the steps: eager, buffered (faster on a CPU for fc and conv), frugal "
            "(buffered with less memory), compile, or graph (CUDA)."
        ),
    ] = "eager",
    precision: Annotated[
        str, typer.Option(help="float32; or bf16, on CUDA with --engine compile or graph.")
    ] = "float32",
    tf32: Annotated[
        bool,
        typer.Option("--tf32", help="On CUDA, multiply matrices in TF32: faster, less precise."),
    ] = False,
    seed: Annotated[
        int | None,
        option(
            "Decides the initial weights, the order of the images, the split and the noise.",
            DEFAULTS.seed,
        ),
    ] = None,
    out: Annotated[Path | None, option("The run folder.", "runs/MODEL, numbered")] = None,
    layers: Annotated[
        Path | None,
        option(
            "A folder with your own layers from a course. They are used instead of the library's.",
            "none",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in the run folder.")
    ] = False,
) -> None:
    """Train an autoencoder and draw what it has learned.

    Example: scratchae train conv --data train.csv --epochs 10 --out runs/first

    Example: scratchae train fc --schedule cosine,warmup=2 --validation 0.1 --patience 5

    Example: scratchae train conv --corrupt noise=0.3 --augment rotate=10,shift=2

    Example: scratchae train vae,latent=2 --data mnist

    With several processes: torchrun --nproc-per-node 2 -m scratchae train conv
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
        models.build(model)  # report an unknown name before reading data
        folder = workers.from_rank_0(lambda: out or next_folder(model, resume))
        again = f"{workers.launcher} train {model} --out {folder} --resume"
        reporter.advice = f"the finished epochs are in {folder}; continue with {again}"
        settings = DEFAULTS
        if resume and workers.from_rank_0(lambda: (folder / "config.json").exists()):
            saved = workers.from_rank_0(lambda: vars(read_config(folder)))
            settings = Settings(**{field.name: saved[field.name] for field in fields(Settings)})
        elif resume:
            console.print(f"There is no run in {folder} yet: training starts from the beginning.")
        given: dict[str, Any] = {
            "data": data_source,
            "test_data": test_data,
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr,
            "weight_decay": weight_decay,
            "seed": seed,
            "corrupt": corrupt,
            "augment": augment,
            "binarise": binarise,
            "validation": validation,
            "patience": patience,
            "schedule": schedule,
            "clip_norm": clip_norm,
            "clip_value": clip_value,
            "ema": ema,
        }
        given = {name: value for name, value in given.items() if value is not None}
        settings = replace(settings, **given)
        digits = workers.rank_0_first(
            lambda: data.load(
                settings.data,
                test=settings.test_data,
                validation=settings.validation,
                seed=settings.seed,
            )
        )
        console.print(f"{model} on {describe(digits)}, into {folder}")
        try:
            run = fit(
                model,
                digits,
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                lr=settings.lr,
                weight_decay=settings.weight_decay,
                seed=settings.seed,
                device=device,
                engine=engine,
                precision=precision,
                tf32=tf32,
                corrupt=settings.corrupt,
                augment=settings.augment,
                binarise=settings.binarise,
                schedule=settings.schedule,
                clip_norm=settings.clip_norm,
                clip_value=settings.clip_value,
                ema=settings.ema,
                patience=settings.patience,
                out=folder,
                resume=resume,
            )
        except KeyboardInterrupt:
            console.print(
                f"\nStopped. The finished epochs are in {folder}. Continue with:\n  {again}"
            )
            raise typer.Exit(130) from None
        if workers.is_rank_0:
            write_pictures(run, digits)
    report(run, folder)


@contextmanager
def layers_of(folder: Path | None, engine: str) -> Iterator[None]:
    """Use the layers in a student's folder instead of the library's inside the block."""
    if folder is None:
        yield
        return
    from scratchae.course.student_layers import use_student_layers

    if engine != "eager":
        raise ScratchaeError(
            f"--layers needs --engine eager, but got {engine}, which cannot run your layers"
        )
    with use_student_layers(folder) as yours:
        console.print(f"Your layers: {', '.join(yours)}. All others are the library's.")
        yield


def next_folder(model: str, resume: bool) -> Path:
    """Return the first of runs/fc, runs/fc-2, ... that does not exist; to resume, the last that does."""
    folder, number = Path("runs") / model, 1
    while folder.exists():
        last, number = folder, number + 1
        folder = Path("runs") / f"{model}-{number}"
    return last if resume and number > 1 else folder


def describe(digits: Dataset) -> str:
    """Return a text such as 'sample (10,000 training images, 2,000 test images)'."""
    kinds = {"validation": digits.validation, "test": digits.test}
    held_out = [
        f", {len(part):,} {name} images" for name, part in kinds.items() if part is not None
    ]
    return f"{digits.name} ({len(digits.train):,} training images{''.join(held_out)})"


def report(run: Run, folder: Path) -> None:
    """Print the results of a run and the folder of its pictures."""
    from scratchae.training.early_stopping import best_epoch
    from scratchae.training.evaluation import loss_name

    if run.rows:
        last, name = run.rows[-1], loss_name(run.model)
        seconds = sum(row["seconds"] for row in run.rows)
        console.print(
            f"{counted(run.epoch, 'epoch')} in {seconds:.1f} s. {name[0].upper()}{name[1:]}: train "
            f"{last['train_loss']:.4f}, test {last['test_loss']:.4f}"
        )
    if run.settings.patience is not None and run.rows:
        losses = run.column("validation_loss")
        best = best_epoch(losses)
        console.print(
            f"Kept: the weights of epoch {best + 1}, with the lowest validation loss, {losses[best]:.4f}"
        )
    console.print(f"Pictures: {folder / 'pictures'}")
