"""`scratchae sweep`: train many models at once and compare their settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from scratchae.cli.app import DATA_HELP, Device, Model, app, console, option
from scratchae.cli.train import DEFAULTS, describe, next_folder

if TYPE_CHECKING:
    from scratchae.sweep import Sweep


@app.command()
def sweep(
    model: Model,
    lr: Annotated[
        str,
        typer.Option(
            help="Learning rates: a number 1e-3, a list 1e-4,1e-3, or a range 1e-4..1e-2 of two values "
            "for each factor of ten. 1e-4..1e-2:7 is a range of seven values."
        ),
    ] = "1e-4..1e-2",
    latent: Annotated[
        str | None,
        typer.Option(help="Latent sizes: a number 3, a list 2,3,8 or a range 2..8."),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Seeds: 3 means 0,1,2; or a list 3,7 or a range 5..9.")
    ] = "3",
    data_source: Annotated[
        str,
        typer.Option(
            "--data",
            help=DATA_HELP,
        ),
    ] = DEFAULTS.data,
    test_data: Annotated[
        str | None,
        typer.Option(
            help="The test data, given like --data.",
            show_default="the data's own, or 10 % held out",
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over all images.")] = DEFAULTS.epochs,
    batch_size: Annotated[
        int, typer.Option(help="Images per step of each model.")
    ] = DEFAULTS.batch_size,
    weight_decay: Annotated[
        float, typer.Option(help="L2 penalty: this factor times a weight is added to its gradient.")
    ] = DEFAULTS.weight_decay,
    schedule: Annotated[
        str,
        typer.Option(help="Change the learning rates during training, such as cosine,warmup=2."),
    ] = DEFAULTS.schedule,
    clip_norm: Annotated[
        float | None, option("Shorten a model's gradient if its norm is larger than this.", "off")
    ] = None,
    clip_value: Annotated[
        float | None, option("Limit each element of the gradients to this size.", "off")
    ] = None,
    device: Device = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="The folder for the results.", show_default="runs/sweep-MODEL, numbered"),
    ] = None,
) -> None:
    """Train one model for every combination of learning rate, latent size and seed.

    Models of the same size are trained together, in one batched step. Each model equals the result of
    `scratchae train` with the same settings, up to rounding. The other options of `scratchae train` are
    not supported, such as --ema, --patience, --corrupt and --augment.

    Example: scratchae sweep fc --lr 1e-4..1e-2 --latent 2,3,8 --seeds 5 --epochs 5
    """
    from scratchae import data, models, plots
    from scratchae.sweep import numbers, seed_numbers, whole_numbers
    from scratchae.sweep import sweep as run_sweep
    from scratchae.training.evaluation import loss_label
    from scratchae.training.floating_point import flushing_denormals

    with flushing_denormals():
        rates = numbers(lr, "--lr")
        sizes = None if latent is None else whole_numbers(latent, "--latent")
        chosen = seed_numbers(seeds, "--seeds")
        measure = loss_label(models.build(model))  # an unknown name is reported before reading data
        folder = out or next_folder(f"sweep-{model}", resume=False)
        digits = {
            seed: data.load(data_source, test=test_data, seed=seed)
            for seed in dict.fromkeys(chosen)
        }
        count = len(rates) * len(chosen) * len(sizes or [None])
        console.print(f"{count} x {model} on {describe(digits[chosen[0]])}, into {folder}")
        try:
            found = run_sweep(
                model,
                digits,
                lr=rates,
                seeds=chosen,
                latent=sizes,
                epochs=epochs,
                batch_size=batch_size,
                weight_decay=weight_decay,
                schedule=schedule,
                clip_norm=clip_norm,
                clip_value=clip_value,
                device=device,
                out=folder,
            )
        except KeyboardInterrupt:
            done = (folder / "sweep.csv").exists()
            rest = f"The finished sizes are in {folder / 'sweep.csv'}." if done else ""
            console.print(f"\nStopped. {rest}")
            raise typer.Exit(130) from None
        plots.save(plots.sweep_picture(found.table, measure), folder / "sweep.png")
    report(found, folder)


def report(found: Sweep, folder: Path) -> None:
    """Print one row per latent size and learning rate, and the best model."""
    import pandas as pd

    table = found.table
    tested, seeds = table["test_loss"].notna().any(), table["seed"].nunique()
    shown = Table("latent", "lr", box=None, header_style="bold")
    for name in ("train loss", "test loss", "lowest", "highest"):
        shown.add_column(name, justify="right")
    shown.add_column("")
    for (size, rate), rows in table.groupby(["latent", "lr"], dropna=False, sort=False):
        losses = rows["test_loss" if tested else "train_loss"]
        medians = (rows["train_loss"].median(), rows["test_loss"].median())
        shown.add_row(
            "" if pd.isna(size) else str(size),
            f"{rate:g}",
            *("" if pd.isna(n) else f"{n:.4f}" for n in (*medians, losses.min(), losses.max())),
            remark(rows["diverged"].dropna().tolist()),
        )
    console.print(shown)
    seconds = table.groupby("latent", dropna=False)["seconds"].first().sum()
    console.print(
        f"{len(table)} model{'s'[: len(table) > 1]} in {seconds:.1f} s. "
        f"The losses are medians over {seeds} seed{'s'[: seeds > 1]}; lowest and highest are "
        f"{'test' if tested else 'train'} losses of single models."
    )
    if found.best is None:
        console.print("All models diverged. Try smaller learning rates.")
    else:
        best = found.best.run.settings
        console.print(
            f"Best: {best.model}, lr {best.lr:g}, seed {best.seed}. Run folder: {folder / 'best'}"
        )
    console.print(f"All models: {folder / 'sweep.csv'}   Picture: {folder / 'sweep.png'}")


def remark(epochs: list[int]) -> str:
    """Return a text such as '2 diverged (epoch 1, 3)', or an empty text."""
    numbers = ", ".join(str(epoch) for epoch in sorted(set(epochs)))
    return f"{len(epochs)} diverged (epoch {numbers})" if epochs else ""
