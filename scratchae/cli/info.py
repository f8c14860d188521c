"""Commands that need no run: `models`, `profile` and `info`."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import scratchae
from scratchae.cli.app import Device, Model, app, console


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="A model: show its layers.", show_default="all models")
    ] = None,
) -> None:
    """List the models that can be trained. If you give a name, show the layers of that model.

    Example: scratchae models conv
    """
    from scratchae.models import build, description, names

    if name is not None:
        model = build(name)
        console.print(model.summary(model.input_shape), soft_wrap=True)
        return
    table = Table("model", "input", "parameters", "description", box=None, header_style="bold")
    for known in names():
        model = build(known)
        size = " x ".join(map(str, model.input_shape))
        count = sum(p.numel() for p in model.parameters())
        table.add_row(known, size, f"{count:,}", description(known))
    console.print(table)


@app.command()
def profile(
    model: Model = "fc",
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 64,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the CPU.", show_default="as many as torch uses")
    ] = None,
    device: Device = "cpu",
    out: Annotated[
        Path | None, typer.Option(help="A picture to write, such as profile.png.")
    ] = None,
) -> None:
    """Measure where the time and memory of a training step go, layer by layer.

    The forward and backward pass of every layer is compared with its floor: the shortest possible time
    for its arithmetic and its memory traffic on this machine. The speed of the machine is measured too.

    Example: scratchae profile conv --threads 1 --out profile.png
    """
    from scratchae import plots, profiling
    from scratchae.models import build
    from scratchae.training.floating_point import flushing_denormals
    from scratchae.training.preparation import choose_device

    with flushing_denormals():
        built = build(model).to(choose_device(device))
        found = profiling.profile(built, batch_size, threads=threads)
    console.print(found)
    if out is not None:
        plots.save(plots.profile_picture(found), out)
        console.print(f"Picture: {out}")


@app.command()
def info() -> None:
    """Show the versions, the device, and which data sets are on this machine.

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
