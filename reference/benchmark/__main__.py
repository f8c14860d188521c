"""The command: measure, write the results, print tables and goals."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from reference.benchmark import machine
from reference.benchmark.cases import Case
from reference.benchmark.contenders import REFERENCE, Factory, compiles, contenders
from reference.benchmark.growth import measure_growth
from reference.benchmark.memory import measure_memory
from reference.benchmark.pictures import growth_picture, steps_picture
from reference.benchmark.results import RESULTS, read_results, renewed, write_results
from reference.benchmark.steps import QUICK, Effort, measure
from reference.benchmark.tables import report
from reference.benchmark.whole import measure_whole
from scratchae.data import load
from scratchae.errors import ScratchaeError
from scratchae.files import write_text
from scratchae.plots import save
from scratchae.training.loop import choose_device

BEST = {"cpu": "buffered", "cuda": "graph"}  # our engine for whole runs and growth
Part = StrEnum("Part", "steps memory whole growth")
console = Console(highlight=False, width=110)


def main(
    parts: Annotated[list[Part] | None, typer.Argument(help="Default: all.")] = None,
    device: str = "auto",
    models: Annotated[str, typer.Option(help="Of steps, memory and whole.")] = "fc,conv",
    batch_size: Annotated[list[int] | None, typer.Option(show_default="64 and 512")] = None,
    threads: Annotated[list[int] | None, typer.Option(show_default="1 and 2 on a CPU")] = None,
    only: Annotated[str, typer.Option(help="Contenders whose names hold one of these words.")] = "",
    engine: Annotated[
        str, typer.Option(help="Ours in whole and growth.", show_default="by device")
    ] = "",
    csv: Annotated[
        Path | None,
        typer.Option(help="Of digits, for whole; may be gzipped.", show_default="the sample"),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Of whole; 0: 20 for fc, 10 for conv.")] = 0,
    quick: Annotated[
        bool, typer.Option(help="Few rounds, nothing that compiles: a trial.")
    ] = False,
    redraw: Annotated[
        bool, typer.Option(help="Tables and pictures anew; measure nothing.")
    ] = False,
    write: bool = True,
    results: Annotated[Path, typer.Option(help="The folder to write to.")] = RESULTS,
) -> None:
    """Measure training by hand beside torch.nn, torch.compile and JAX; write and print what was found."""
    place = choose_device(device)
    kind, names = place.type, models.split(",")
    counts = threads or ([1, 2] if kind == "cpu" else [torch.get_num_threads()])
    counts = [n for n in counts if n <= machine.cpu_count()] or [1]
    factories = chosen(contenders(place), only, quick)
    effort, engine = QUICK if quick else Effort(), engine or BEST[kind]
    sizes = batch_size or [64, 512]
    cases = [Case(m, size, n, kind) for n in counts for m in names for size in sizes]
    most = [case for case in cases if case.threads == counts[-1]]
    left_out = {
        name: "left out by --quick or --only" for name in contenders(place) if name not in factories
    }
    found = read_results(results, kind)
    for part in [] if redraw else parts or list(Part):
        extra, missing = {}, left_out
        if part == Part.steps:
            rows, more = measure(cases, factories, effort, console.print)
            missing = left_out | more
        elif part == Part.memory:
            rows, more = measure_memory(most, factories, console.print)
            missing = left_out | more
        elif part == Part.whole:
            with tempfile.TemporaryDirectory() as folder:
                path, extra["data"] = plain_csv(csv, Path(folder))
                arguments = (path, names, counts[-1], kind, engine, epochs, console.print)
                rows, missing = measure_whole(*arguments), {}
        else:
            points = 2 if quick else 9
            rows = measure_growth(counts[-1], kind, engine, effort, points, console.print)
            missing = {}
        about = machine.about(place) | extra
        found = renewed(found, part.value, about, rows, missing)
        if write:
            write_results(results, kind, found)
    if write:
        draw(found, results, kind)
    console.print(report(found, kind), soft_wrap=True, markup=False)


def draw(found: dict, folder: Path, kind: str) -> None:
    """Tables and pictures of what was found, and nothing else: no measuring."""
    write_text(folder / f"benchmark-{kind}.md", report(found, kind))
    if "steps" in found:
        save(steps_picture(found["steps"]), folder / f"benchmark-{kind}.png")
    if "growth" in found:
        save(growth_picture(found["growth"]), folder / f"growth-{kind}.png")


def chosen(known: dict[str, Factory], only: str, quick: bool) -> dict[str, Factory]:
    """Those with one of the words in their name; torch.nn always, what compiles not when quick."""
    words = only.split(",") if only else [""]
    return {
        name: factory
        for name, factory in known.items()
        if name == REFERENCE
        or (any(word in name for word in words) and not (quick and compiles(name)))
    }


def plain_csv(csv: Path | None, folder: Path) -> tuple[Path, str]:
    """A CSV that is not compressed, and what is in it; without one the bundled sample as a CSV."""
    if csv is None:
        from reference.csv_benchmark import write_kaggle_csv

        path, count = folder / "sample.csv", len(load(test=0.0).train)
        write_kaggle_csv(path, count)
        return path, f"the bundled sample, {count:,} images"
    path = csv
    if csv.suffix == ".gz":
        path = folder / "digits.csv"
        with gzip.open(csv) as packed, path.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    return path, f"a CSV of {len(load(path, test=0.0).train):,} images"


command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
command.command()(main)

if __name__ == "__main__":
    try:
        command()
    except ScratchaeError as error:
        Console(stderr=True, highlight=False).print(f"error: {error}", style="red", markup=False)
        sys.exit(2)
