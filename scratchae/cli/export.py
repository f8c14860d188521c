"""`scratchae export`: write the model of a run for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.table import Table

from scratchae.cli.app import RunFolder, app, console, option


@app.command()
def export(
    run_folder: RunFolder,
    out: Annotated[Path | None, option("The folder for the two files.", "RUN/onnx")] = None,
) -> None:
    """Write the encoder and the decoder of a run as ONNX files, which run without scratchae and torch.

    It needs the package onnx: pip install onnx. The weights alone are in RUN/weights.safetensors.

    Example: scratchae export runs/fc --out for_the_browser
    """
    from scratchae.interchange import export_onnx
    from scratchae.interchange.export import signature
    from scratchae.training import open_run

    run = open_run(run_folder)
    paths = export_onnx(run.model, out or run_folder / "onnx")
    table = Table("file", "input", "output", "size", box=None, header_style="bold")
    for path in paths:
        size = f"{path.stat().st_size // 1000} KB"
        table.add_row(path.name, *signature(path), size)
    console.print(table)
    low, high = run.model.pixel_range
    console.print(f"The pixels of an image are in [{low:g}, {high:g}].", markup=False)
    console.print(f"Folder: {paths[0].parent}", markup=False)
