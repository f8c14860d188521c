"""What the commands share: the application, its console, its options, and how mistakes are told."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scratchae.errors import ScratchaeError

app = typer.Typer(
    help="Autoencoders from nothing but tensor arithmetic. Start with: scratchae train fc",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made by `train`.")]


def option(text: str, default: object, *names: str) -> typer.models.OptionInfo:
    """An option whose default, told in its help, is found later: a run to resume has its own."""
    return typer.Option(*names, help=rf"{text} [dim]\[default: {default}][/dim]")


def main(words: list[str] | None = None) -> None:
    """The entry point: a person's mistake is one sentence and exit code 2, never a traceback.

    words: what stands after `scratchae` (None: as this process was called).

    >>> main(["models", "con"])  # and on stderr: error: ... did you mean 'conv'?
    Traceback (most recent call last):
    SystemExit: 2
    """
    try:
        app(words)
    except ScratchaeError as error:
        Console(stderr=True, highlight=False).print(
            f"error: {error}", style="red", markup=False, soft_wrap=True
        )
        sys.exit(2)
    except BrokenPipeError:  # `scratchae models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
