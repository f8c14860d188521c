"""`scratchae course check`: a student's own check, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scratchae.cli.app import console
from scratchae.cli.course import course


@course.command()
def check(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder with your files.")
    ] = Path(),
    assignment: Annotated[
        str | None,
        typer.Option(
            help="Which assignment it is.", show_default="what the folder's assignment.toml says"
        ),
    ] = None,
) -> None:
    """Say what is right, what is wrong and why, and the points as they would be now.

    Nothing is sent anywhere. Every task is checked by itself: what an earlier one gets wrong costs a
    later one nothing. The exit code is 0 where all points are earned, else 1.

    Example: scratchae course check hw1
    """
    from scratchae.course.check import check_folder

    checked = check_folder(folder, assignment)
    console.print(str(checked), markup=False, soft_wrap=True)
    if checked.points < checked.assignment.points:
        raise typer.Exit(1)
