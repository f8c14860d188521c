"""`scratchae explore`: a run as a page that one can play with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from scratchae.cli.app import RunFolder, app, console, option


@app.command()
def explore(
    run_folder: RunFolder,
    out: Annotated[Path | None, option("The page to write.", "RUN/explorer.html")] = None,
) -> None:
    """Write a page to explore a run in the browser: one file, which needs no network.

    Its encoder and decoder run in the page: move through the codes, draw digits, look at every
    layer, walk from one digit to another.

    Example: scratchae explore runs/fc --out page.html
    """
    from scratchae.explorer import write_page
    from scratchae.training import open_run

    run = open_run(run_folder)
    path = out or run.folder / "explorer.html"
    write_page(run, run.settings.load(), path)
    console.print(f"Page: {path} ({path.stat().st_size // 1000} KB). Open it in a browser.")
