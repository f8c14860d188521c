"""`scratchae models`: the models that can be trained."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from scratchae.cli.app import app, console


@app.command("models")
def list_models(
    name: Annotated[str | None, typer.Argument(help="Show this model's layers.")] = None,
) -> None:
    """The models that can be trained; with a name, its layers and their sizes.

    Example: scratchae models conv
    """
    from scratchae import models

    if name is not None:
        model = models.build(name)
        console.print(model.summary(model.input_shape), soft_wrap=True)
        return
    table = Table("model", "input", "parameters", "what it is", box=None, header_style="bold")
    for known in models.names():
        model = models.build(known)
        size = " x ".join(map(str, model.input_shape))
        count = sum(p.numel() for p in model.parameters())
        table.add_row(known, size, f"{count:,}", models.description(known))
    console.print(table)
