"""`scratchae sweep`: many models at once, and which settings do best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from scratchae.cli.app import app, console
from scratchae.cli.train import DEFAULTS, describe, next_folder

if TYPE_CHECKING:
    from scratchae.sweep import Sweep


@app.command()
def sweep(
    model: Annotated[
        str, typer.Argument(help="fc, conv, or another that `scratchae models` lists.")
    ],
    lr: Annotated[
        str,
        typer.Option(
            help="Learning rates: 1e-3, a list 1e-4,1e-3, or a range 1e-4..1e-2, in equal factors: two "
            "for each factor of ten, or 1e-4..1e-2:7 for seven."
        ),
    ] = "1e-4..1e-2",
    latent: Annotated[
        str | None,
        typer.Option(help="Sizes of the code: 3, a list 2,3,8 or a range 2..8."),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="How many seeds, from 0 up; or which: a list 3,7 or a range 5..9.")
    ] = "3",
    data_source: Annotated[
        str,
        typer.Option(
            "--data",
            help="sample, mnist, fashion-mnist, a CSV, IDX or NPZ file, or a folder of IDX files.",
        ),
    ] = DEFAULTS["data"],
    test_data: Annotated[
        str | None,
        typer.Option(help="Test images.", show_default="the data's own, or 10 % held out"),
    ] = None,
    epochs: Annotated[int, typer.Option(help="How often each image is seen.")] = DEFAULTS["epochs"],
    batch_size: Annotated[int, typer.Option(help="Images of a step, for each model.")] = DEFAULTS[
        "batch_size"
    ],
    weight_decay: Annotated[
        float, typer.Option(help="Share of the weights added to their gradient.")
    ] = DEFAULTS["weight_decay"],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(help="The folder of the results.", show_default="runs/sweep-MODEL, numbered"),
    ] = None,
) -> None:
    """Train a model for every learning rate, latent size and seed; models of one size in one batch.

    Each of them comes out as `scratchae train` with its settings would make it.

    Example: scratchae sweep fc --lr 1e-4..1e-2 --latent 2,3,8 --seeds 5 --epochs 5
    """
    from scratchae import data, models, plots
    from scratchae.sweep import numbers, seed_numbers, whole_numbers
    from scratchae.sweep import sweep as run_sweep
    from scratchae.training.floating_point import flushing_denormals

    with flushing_denormals():
        rates = numbers(lr, "--lr")
        sizes = None if latent is None else whole_numbers(latent, "--latent")
        chosen = seed_numbers(seeds, "--seeds")
        models.build(model)  # an unknown name is said before anything is read
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
                device=device,
                out=folder,
            )
        except KeyboardInterrupt:
            done = (folder / "sweep.csv").exists()
            rest = f"The sizes that were finished are in {folder / 'sweep.csv'}." if done else ""
            console.print(f"\nStopped. {rest}")
            raise typer.Exit(130) from None
        plots.save(plots.sweep_picture(found.table), folder / "sweep.png")
    report(found, folder)


def report(found: Sweep, folder: Path) -> None:
    """A row for every size and learning rate: its seeds' losses, and how many of them diverged."""
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
            *(f"{n:.4f}" if n == n else "" for n in (*medians, losses.min(), losses.max())),
            remark(rows["diverged"].dropna().tolist()),
        )
    console.print(shown)
    seconds = table.groupby("latent", dropna=False)["seconds"].first().sum()
    console.print(
        f"{len(table)} model{'s'[: len(table) > 1]} in {seconds:.1f} s. "
        f"Medians of {seeds} seed{'s'[: seeds > 1]}; lowest and highest "
        f"{'test' if tested else 'train'} loss of one."
    )
    if found.best is None:
        console.print("All models diverged: try smaller learning rates.")
    else:
        best = found.best.run.settings
        console.print(
            f"Best: {best.model}, lr {best.lr:g}, seed {best.seed}; its run folder is {folder / 'best'}"
        )
    console.print(f"All of them: {folder / 'sweep.csv'}, as a picture: {folder / 'sweep.png'}")


def remark(epochs: list[int]) -> str:
    """'2 diverged (epoch 1, 3)', or nothing."""
    where = ", ".join(str(epoch) for epoch in sorted(set(epochs)))
    return f"{len(epochs)} diverged (epoch {where})" if epochs else ""
