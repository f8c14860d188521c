"""`scratchae course`: the commands for a course, each in a file of its own beside this one."""

from __future__ import annotations

import typer

from scratchae.cli.app import app

course = typer.Typer(
    help="Assignments: release them, check your own work, grade everybody's.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(course, name="course")
