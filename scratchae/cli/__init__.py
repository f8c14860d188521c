"""The command `scratchae`: it reads options, calls the library and prints.

A command is a function under `@app.command()` in a file of its own, and one line below. The files
import the library inside their functions, not above: torch takes seconds, and `scratchae --help`
answers at once.
"""

# ruff: noqa: I001  the commands stand here as `scratchae --help` lists them
from scratchae.cli.app import app, console, main
from scratchae.cli import train
from scratchae.cli import show
from scratchae.cli import explore
from scratchae.cli import sweep
from scratchae.cli import reconstruct
from scratchae.cli import models
from scratchae.cli import profile
from scratchae.cli import info
from scratchae.course.commands import course

app.add_typer(course, name="course")

__all__ = [
    "app",
    "console",
    "course",
    "explore",
    "info",
    "main",
    "models",
    "profile",
    "reconstruct",
    "show",
    "sweep",
    "train",
]
