"""`scratchae course release`: the folder that students get."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scratchae.cli.app import console
from scratchae.cli.course import course


@course.command()
def release(
    assignment: Annotated[
        str, typer.Argument(help="hw1 to hw6, or the path of a TOML file of your own.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="The student's folder.", show_default="its name")
    ] = None,
    student: Annotated[
        str, typer.Option(help="Whose faults are drawn, in a bug hunt.", show_default=False)
    ] = "",
) -> None:
    """Write the student's folder, and prove that nothing of the solution is in it.

    Example: scratchae course release hw1 --out hw1
    """
    from scratchae.course.assignment import load_assignment
    from scratchae.course.release import release as release_to

    loaded = load_assignment(assignment)
    folder = out or Path(loaded.name)
    files = release_to(loaded, folder, student)
    console.print(f"{loaded.title}: {len(files)} files in {folder}")
    for file in files:
        console.print(f"  {file}")
    console.print(
        "Nothing of the solution is in them, all compiles, every task earns 0 points as it is, and "
        + ("the fault of each task shows." if loaded.kind == "mend" else "says: not yet.")
    )
    if loaded.kind != "contest":
        console.print(f"The answers earn {loaded.points:g} of {loaded.points:g} points.")
