"""The command `scratchae`: it reads options, calls the library and prints.

A command is a function under `@app.command()`. The modules import the library inside their functions,
not at the top. Importing torch takes seconds, and `scratchae --help` must answer at once.
"""

# ruff: noqa: I001  the order of these imports is the order of the commands in `scratchae --help`
from scratchae.cli.app import app, console, main
from scratchae.cli import train
from scratchae.cli import runs
from scratchae.cli import generative
from scratchae.cli import compare
from scratchae.cli import export
from scratchae.cli import sweep
from scratchae.cli import info
from scratchae.course.commands import course

app.add_typer(course, name="course")

__all__ = [
    "app",
    "compare",
    "console",
    "course",
    "export",
    "generative",
    "info",
    "main",
    "runs",
    "sweep",
    "train",
]
