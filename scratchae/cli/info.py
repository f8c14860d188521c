"""`scratchae info`: what is installed and what is at hand."""

from __future__ import annotations

import platform

from rich.table import Table

import scratchae
from scratchae.cli.app import app, console


@app.command()
def info() -> None:
    """Versions, device, and which data is at hand.

    Example: scratchae info
    """
    import torch

    from scratchae import data

    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_row("scratchae", scratchae.__version__)
    table.add_row("python", platform.python_version())
    table.add_row("torch", torch.__version__)
    gpu = torch.cuda.is_available()
    table.add_row(
        "device", torch.cuda.get_device_name() if gpu else f"cpu, {torch.get_num_threads()} threads"
    )
    for name in data.NAMES:
        table.add_row(f"data: {name}", data.location(name))
    console.print(table)
