"""`scratchae profile`: where the time and the memory of a training step go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scratchae.cli.app import app, console


@app.command()
def profile(
    model: Annotated[
        str, typer.Argument(help="fc, conv, or another that `scratchae models` lists.")
    ] = "fc",
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 64,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the CPU.", show_default="torch's own")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "cpu",
    out: Annotated[
        Path | None, typer.Option(help="A picture to write, such as profile.png.")
    ] = None,
) -> None:
    """Say where the time and the memory of a training step go, layer by layer.

    Every layer's forward and backward pass is timed and counted, and stands beside its floor: the
    time that its arithmetic would take on this machine, which is measured too.

    Example: scratchae profile conv --threads 1 --out profile.png
    """
    from scratchae import models, plots
    from scratchae.profiling import profile as profile_of
    from scratchae.training.floating_point import flushing_denormals
    from scratchae.training.preparation import choose_device

    with flushing_denormals():
        built = models.build(model).to(choose_device(device))
        found = profile_of(built, batch_size, threads=threads)
    console.print(found)
    if out is not None:
        plots.save(plots.profile_picture(found), out)
        console.print(f"Picture: {out}")
