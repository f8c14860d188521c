"""The command: measure, write the results, and print tables and goals."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reference.benchmark import machine
from reference.benchmark.cases import Case
from reference.benchmark.contenders import REFERENCE, Factory, compiles, contenders
from reference.benchmark.growth import AXES, measure_growth
from reference.benchmark.memory import measure_memory
from reference.benchmark.pictures import growth_picture, steps_picture
from reference.benchmark.results import RESULTS, read_results, renewed, write_results
from reference.benchmark.steps import LIGHT, QUICK, Effort, measure
from reference.benchmark.tables import report
from reference.benchmark.whole import DENORMALS, measure_whole
from scratchae.data import load
from scratchae.engines import ENGINES
from scratchae.errors import ScratchaeError
from scratchae.files import write_text
from scratchae.models import build
from scratchae.plots import save
from scratchae.training.preparation import choose_device

BEST = {"cpu": "buffered", "cuda": "graph"}  # the engine of scratchae for whole runs and growth
Part = StrEnum("Part", "steps memory whole growth")
console = Console(highlight=False, width=110)


def main(
    parts: Annotated[
        list[Part] | None, typer.Argument(help="What to measure. Default: all parts.")
    ] = None,
    device: str = "auto",
    models: Annotated[
        str, typer.Option(help="The models for steps, memory and whole.")
    ] = "fc,conv",
    batch_size: Annotated[list[int] | None, typer.Option(show_default="64 and 512")] = None,
    threads: Annotated[list[int] | None, typer.Option(show_default="1 and 2 on a CPU")] = None,
    only: Annotated[
        str, typer.Option(help="Only contenders whose names contain one of these words.")
    ] = "",
    engine: Annotated[
        str, typer.Option(help="Our engine for whole and growth.", show_default="by device")
    ] = "",
    csv: Annotated[
        Path | None,
        typer.Option(help="The data for whole, may be gzipped.", show_default="the sample"),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Epochs for whole. 0: 20 for fc, 10 for conv.")] = 0,
    quick: Annotated[bool, typer.Option(help="A short trial: few rounds, no compilers.")] = False,
    redraw: Annotated[
        bool, typer.Option(help="Draw tables and pictures again, without measuring.")
    ] = False,
    write: bool = True,
    results: Annotated[Path, typer.Option(help="The folder to write to.")] = RESULTS,
) -> None:
    """Compare scratchae with torch.nn, torch.compile and JAX; write and print the results."""
    place = choose_device(device)
    kind, names, engine = place.type, models.split(","), engine or BEST[place.type]
    counts = threads or ([1, 2][: machine.cpu_count()] if kind == "cpu" else [1])
    check(names, engine, counts)
    known, effort, light = contenders(place), *((QUICK, QUICK) if quick else (Effort(), LIGHT))
    factories = chosen(known, only, quick)
    missing = {name: "omitted by --quick or --only" for name in known if name not in factories}
    cases = [Case(m, n, t, kind) for t in counts for m in names for n in batch_size or [64, 512]]
    most, told = counts[-1], console.print

    def rows_of(part: Part, extra: dict) -> list[dict]:
        """Measure one part and return its rows; add more facts about it to `extra`."""
        if part == Part.growth:
            points = 2 if quick else max(map(len, AXES.values()))
            return measure_growth(most, kind, engine, light, points, told)
        if part == Part.whole:
            with tempfile.TemporaryDirectory() as folder:
                path, extra["data"] = plain_csv(csv, Path(folder))
                extra["denormals"] = DENORMALS
                return measure_whole(path, names, most, kind, engine, epochs, told)
        if part == Part.steps:
            rows = measure(cases, factories, effort, told)
        else:
            rows = measure_memory([c for c in cases if c.threads == most], factories, told)
        return [row | {"missing": missing | row["missing"]} for row in rows]

    found = read_results(results, kind)
    for part in [] if redraw else parts or list(Part):
        extra: dict = {}
        rows = rows_of(part, extra)
        found = renewed(found, part.value, machine.about(place) | extra, rows)
        if write:
            write_results(results, kind, found)
    if write:
        draw(found, results, kind)
    console.print(report(found, kind), soft_wrap=True, markup=False)


def check(models: list[str], engine: str, threads: list[int]) -> None:
    """Raise ScratchaeError if a model, an engine or a number of threads is not available."""
    for name in models:
        build(name)
    if engine not in ENGINES:
        raise ScratchaeError(f"there is no engine {engine!r}: use {', '.join(ENGINES)}")
    if not all(1 <= count <= machine.cpu_count() for count in threads):
        raise ScratchaeError(
            f"this process may use {machine.cpu_count()} processors: give --threads at most this number"
        )


def draw(found: dict, folder: Path, kind: str) -> None:
    """Write the tables and pictures of the results, without measuring."""
    write_text(folder / f"benchmark-{kind}.md", report(found, kind))
    if "steps" in found:
        save(steps_picture(found["steps"]), folder / f"benchmark-{kind}.png")
    if "growth" in found:
        save(growth_picture(found["growth"]), folder / f"growth-{kind}.png")


def chosen(known: dict[str, Factory], only: str, quick: bool) -> dict[str, Factory]:
    """Return the contenders selected by --only and --quick. torch.nn is always selected."""
    words = only.split(",") if only else [""]
    return {
        name: factory
        for name, factory in known.items()
        if name == REFERENCE
        or (any(word in name for word in words) and not (quick and compiles(name)))
    }


def plain_csv(csv: Path | None, folder: Path) -> tuple[Path, str]:
    """Return the path of an uncompressed CSV and a description. Default: the bundled sample."""
    if csv is not None and not csv.exists():
        raise ScratchaeError(f"there is no file {csv}: check the path")
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
