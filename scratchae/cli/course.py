"""`scratchae course`: the commands for a course, each in a file of its own beside this one."""

from __future__ import annotations

from pathlib import Path

import typer

from scratchae.cli.app import app, console

course = typer.Typer(
    help="Assignments: release them, check your own work, grade everybody's.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(course, name="course")


def secret_of_course(path: Path) -> bytes:
    """The secret in that file; where one is made, it is said."""
    from scratchae.course.grading.batch import course_secret

    new = not path.exists()
    secret = course_secret(path)
    if new:
        console.print(f"{path} is new: keep it, since another secret means other hidden cases.")
    return secret
