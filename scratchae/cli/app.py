"""What the commands share: the application, its console, common options and error messages."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from scratchae.errors import ScratchaeError

app = typer.Typer(
    help="Train and explore autoencoders written by hand on torch tensors. Start with: scratchae train fc",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)

Model = Annotated[
    str, typer.Argument(help="fc, conv, vae, or another model of `scratchae models`.")
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, written by `scratchae train`.")
]
DATA_HELP = (
    "sample, letters, mnist, fashion-mnist, or the path of a CSV, IDX or NPZ file or a folder of IDX "
    "files."
)


def option(text: str, default: object, *names: str) -> typer.models.OptionInfo:
    """Return an option whose help shows a default, but whose value is None if it is not given."""
    return typer.Option(*names, help=rf"{text} [dim]\[default: {default}][/dim]")


def counted(number: int, noun: str) -> str:
    """Return the number and the noun, in the plural if need be, such as "1 epoch" or "2,000 epochs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def main(words: list[str] | None = None) -> None:
    """Run the command line. A user's mistake gives one sentence and exit code 2, not a traceback.

    words: the arguments after `scratchae`. None: those of this process.

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
