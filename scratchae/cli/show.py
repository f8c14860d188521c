"""`scratchae show`: a finished run, drawn and told again."""

from __future__ import annotations

from scratchae.cli.app import RunFolder, app
from scratchae.cli.report import report


@app.command()
def show(run_folder: RunFolder) -> None:
    """Draw the pictures of a run again, and say how it went.

    Example: scratchae show runs/fc
    """
    from scratchae.plots.run_plots import write_pictures
    from scratchae.training import open_run

    run = open_run(run_folder)
    write_pictures(run, run.settings.load())
    report(run)
