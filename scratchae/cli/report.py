"""What `train` and `show` say of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scratchae.cli.app import console

if TYPE_CHECKING:
    from scratchae.training import Run


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
