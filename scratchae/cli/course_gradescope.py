"""`scratchae course gradescope`: the autograder zip for Gradescope."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scratchae.cli.app import console
from scratchae.cli.course import course, secret_of_course


@course.command()
def gradescope(
    assignment: Annotated[
        str, typer.Argument(help="hw1 to hw6, or the path of a TOML file of your own.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The zip.", show_default="<assignment>.zip")
    ] = None,
    secret: Annotated[
        Path,
        typer.Option(help="The course's secret, from which hidden cases come; made if not there."),
    ] = Path("course.secret"),
) -> None:
    """Write the zip that Gradescope makes an autograder of.

    It holds the answers and the secret: upload it, and show it to nobody. In Gradescope's container no
    namespaces can be made, so submissions run there as another user, under limits and a filter of
    system calls; every student's result says so.

    Example: scratchae course gradescope hw1 -o hw1.zip
    """
    from scratchae.course.assignment import load_assignment
    from scratchae.course.grading.gradescope import write_autograder

    loaded = load_assignment(assignment)
    path = out or Path(f"{loaded.name}.zip")
    write_autograder(loaded, secret_of_course(secret), path)
    console.print(f"{path}: upload it as the autograder of {loaded.title}")
