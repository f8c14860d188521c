"""`scratchae course grade`: everybody's submissions, in a sandbox, with progress and resume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from scratchae.cli.app import console
from scratchae.cli.course import course, secret_of_course

TROUBLE = 3  # exit code where the machine, and not a student, is at fault


@course.command()
def grade(
    submissions: Annotated[
        Path,
        typer.Argument(
            metavar="SUBMISSIONS",
            help="A folder or zip: a folder or zip a student, or an export of Gradescope, Canvas or "
            "Moodle.",
        ),
    ],
    assignment: Annotated[str, typer.Option(help="hw1 to hw6, or the path of a TOML file.")],
    out: Annotated[
        Path | None, typer.Option(help="Where results go.", show_default="grades-<assignment>")
    ] = None,
    secret: Annotated[
        Path,
        typer.Option(help="The course's secret, from which hidden cases come; made if not there."),
    ] = Path("course.secret"),
    workers: Annotated[
        int | None, typer.Option(help="Processes.", show_default="all cores", min=1)
    ] = None,
    dask: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Grade on the workers of this Dask scheduler instead.",
            show_default=False,
        ),
    ] = "",
    trust_submissions: Annotated[
        bool, typer.Option("--trust-submissions", help="Run them without a sandbox.")
    ] = False,
) -> None:
    """Grade submissions; what is graded already and has not changed is kept.

    Each runs in a sandbox without network, without files and with limits; only the arrays that it
    returns come out. Interrupt it at any time: the next call goes on where it was. The exit code is 3
    where the machine failed; such a submission has no grade.

    Example: scratchae course grade submissions.zip --assignment hw1
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from scratchae.course.assignment import load_assignment
    from scratchae.course.grading.batch import grade_batch
    from scratchae.course.grading.outputs import write_batch
    from scratchae.course.sandbox import DESCRIPTIONS, InfrastructureError, choose_isolation

    loaded = load_assignment(assignment)
    folder = out or Path(f"grades-{loaded.name}")
    isolation = choose_isolation(trusted=trust_submissions)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=console)
    line = bar.add_task("canary", total=None)

    def progress(done: int, of: int) -> None:
        bar.start()  # not before there is something to grade
        bar.update(line, description="grading" if done else "canary", completed=done, total=of)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    key = secret_of_course(secret)
    count = workers or cores or 1
    try:
        batch = grade_batch(loaded, submissions, folder, key, isolation, count, progress, dask=dask)
    except InfrastructureError as error:
        console.print(f"nothing more is graded: {error}", style="red", markup=False)
        raise typer.Exit(TROUBLE) from None
    finally:
        bar.stop()
    write_batch(batch, folder)
    console.print(
        f"{len(batch.results)} submissions graded, {batch.kept} of them kept from before. "
        f"{DESCRIPTIONS[isolation]}"
    )
    flagged = sum(bool(result["flags"]) for result in batch.results)
    if flagged:
        console.print(f"{flagged} are flagged: a person has to look (report.html).")
    console.print(f"Report: {folder / 'report.html'}   Table: {folder / 'results.csv'}")
    if batch.troubled:
        console.print(
            f"{len(batch.troubled)} could NOT be graded, through no fault of their own: see the report",
            style="red",
        )
        raise typer.Exit(TROUBLE)
