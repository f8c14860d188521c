"""`scratchae compare`: put runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from scratchae.cli.app import app, console, option
from scratchae.cli.train import next_folder

if TYPE_CHECKING:
    from scratchae.training.comparison import Comparison


@app.command()
def compare(
    run_folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUNS", help="Run folders, written by `scratchae train`."),
    ],
    out: Annotated[
        Path | None, option("The folder for the results.", "runs/comparison, numbered")
    ] = None,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway",
            help="Also compare runs whose numbers have different meanings. Their losses are drawn together "
            "only if nothing but the size of the code differs.",
        ),
    ] = False,
) -> None:
    """Compare runs: losses by step and by wall clock, sizes, times, and reconstructions of the same digits.

    Runs that differ only by their seed form a group, and the spread of the seeds is shown. Runs are refused
    if their numbers cannot be compared, because the range of the pixels, the loss, the size of the code or
    the test images differ.

    Example: scratchae compare runs/fc runs/fc-2 runs/wide
    """
    from scratchae import plots
    from scratchae.files import replacing
    from scratchae.training.comparison import compare as compare_runs

    comparison = compare_runs(run_folders, anyway)
    folder = out or next_folder("comparison", resume=False)
    report(comparison)
    for name, table in (("runs", comparison.table), ("curves", comparison.curves)):
        with replacing(folder / f"{name}.csv") as path:
            table.to_csv(path, index=False)
    figures = {"reconstructions": plots.compared_digits(*comparison.reconstructions())}
    if comparison.losses_are_comparable:
        figures["losses"] = plots.compared_losses(comparison.curves, comparison.loss)
    for name, figure in figures.items():
        plots.save(figure, folder / f"{name}.png")
    console.print(f"Pictures and tables: {folder}", markup=False, soft_wrap=True)


def report(comparison: Comparison) -> None:
    """Print one row for each group, and what makes the numbers incomparable."""
    import pandas as pd

    summary = comparison.summary()
    several = (summary["runs"] > 1).any()
    tested = comparison.loss == "test_loss"
    columns = {
        "runs": ("seeds", "{}"),
        "parameters": ("para-\nmeters", "{:,}"),
        "code_size": ("code", "{:,}"),
        "epochs": ("epochs", "{}"),
        "train_loss": ("train\nloss", "{:#.4g}"),
        "test_loss": ("test\nloss", "{:#.4g}"),
        "test_penalty": ("of it\npenalty", "{:#.4g}"),
        "lowest": ("lowest", "{:#.4g}"),
        "highest": ("highest", "{:#.4g}"),
        "seconds": ("seconds", "{:.1f}"),
    }
    left_out = set() if several else {"runs", "lowest", "highest"}
    left_out |= {"epochs"} if summary["epochs"].nunique() == 1 else set()
    left_out |= set() if tested else {"test_loss"}
    left_out |= {"test_penalty"} if summary["test_penalty"].isna().all() else set()
    shown = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    shown.add_column("runs", overflow="fold")
    columns = {name: how for name, how in columns.items() if name not in left_out}
    for title, _ in columns.values():
        shown.add_column(title, justify="right", no_wrap=True, vertical="bottom")
    for row in summary.to_dict("records"):
        numbers = [
            "" if pd.isna(row[name]) else how.format(row[name])
            for name, (_, how) in columns.items()
        ]
        label = ", ".join(part.strip() for part in row["group"].split(","))  # can be wrapped
        shown.add_row(label, *numbers)
    console.print(shown, markup=False)
    if "epochs" in left_out:
        console.print(f"Epochs: {summary['epochs'].iloc[0]}")
    if several:
        console.print(
            "Losses and seconds are medians over the seeds; lowest and highest are "
            f"{'test' if tested else 'train'} losses of single runs."
        )
    for what, text in comparison.differences.items():
        console.print(f"Not comparable: the {what} ({text}).", markup=False)
