"""The commands `scratchae course ...`: release an assignment, check your own work, grade a class.

The modules import the library inside their functions, so that `scratchae --help` does not load torch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

MACHINE_FAILED = 3  # exit code if the machine failed, and not a student's work

course = typer.Typer(
    help="Assignments: release them, check your own work, grade a whole class.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
console = Console(highlight=False)

AssignmentName = Annotated[
    str, typer.Argument(help="hw1 to hw7, or the path of a TOML file of your own.")
]
SecretFile = Annotated[
    Path,
    typer.Option(
        help="The file with the course's secret, from which the hidden cases are drawn. It is made "
        "if it does not exist."
    ),
]


@course.command()
def check(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder with your files.")
    ] = Path(),
    assignment: Annotated[
        str | None,
        typer.Option(
            help="The name of the assignment, or the path of its TOML file.",
            show_default="what the folder's assignment.toml says",
        ),
    ] = None,
) -> None:
    """Say what is right, what is wrong and why, and how many points you have.

    Nothing is sent anywhere. Every task is checked separately: a mistake in one task costs no points in
    another. The exit code is 0 if all points are earned, else 1.

    Example: scratchae course check hw1
    """
    from scratchae.course.check import check_folder

    checked = check_folder(folder, assignment)
    console.print(str(checked), markup=False, soft_wrap=True)
    if checked.points < checked.assignment.points:
        raise typer.Exit(1)


@course.command()
def grade(
    submissions: Annotated[
        Path,
        typer.Argument(
            metavar="SUBMISSIONS",
            help="A folder or a zip file. In it, one folder or zip file for each student, or an export "
            "of Gradescope, Canvas or Moodle.",
        ),
    ],
    assignment: Annotated[str, typer.Option(help="hw1 to hw7, or the path of a TOML file.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder for the results.", show_default="grades-<assignment>"),
    ] = None,
    secret: SecretFile = Path("course.secret"),
    workers: Annotated[
        int | None, typer.Option(help="Number of processes.", show_default="all cores", min=1)
    ] = None,
    dask: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Grade on the workers of this Dask scheduler instead of this machine.",
            show_default=False,
        ),
    ] = "",
    trust_submissions: Annotated[
        bool, typer.Option("--trust-submissions", help="Run them without a sandbox.")
    ] = False,
) -> None:
    """Grade submissions. A submission that has not changed keeps its grade.

    Each submission runs in a sandbox: no network, no files, limits on time and memory. Only the arrays
    that it returns come out. You can stop at any time; the next call continues. The exit code is 3 if
    the machine failed while grading: a submission that could not be graded has no grade.

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
    line = bar.add_task("self-check", total=None)

    def progress(done: int, of: int) -> None:
        bar.start()  # this function is called only if there is something to grade
        bar.update(line, description="grading" if done else "self-check", completed=done, total=of)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    key = read_secret(secret)
    count = workers or cores or 1
    try:
        batch = grade_batch(loaded, submissions, folder, key, isolation, count, progress, dask=dask)
    except InfrastructureError as error:
        console.print(f"grading stopped: {error}", style="red", markup=False)
        raise typer.Exit(MACHINE_FAILED) from None
    finally:
        bar.stop()
    write_batch(batch, folder)
    console.print(
        f"{len(batch.results)} submissions graded, {batch.kept} of them kept from before. "
        f"{DESCRIPTIONS[isolation]}"
    )
    flagged = sum(bool(result["flags"]) for result in batch.results)
    if flagged:
        console.print(f"{flagged} are flagged: a person has to look at them (report.html).")
    console.print(f"Report: {folder / 'report.html'}   Table: {folder / 'results.csv'}")
    if batch.not_graded:
        console.print(
            f"{len(batch.not_graded)} could NOT be graded, because the machine failed: see the "
            "report",
            style="red",
        )
        raise typer.Exit(MACHINE_FAILED)


@course.command()
def gradescope(
    assignment: AssignmentName,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The zip file.", show_default="<assignment>.zip"),
    ] = None,
    secret: SecretFile = Path("course.secret"),
) -> None:
    """Write the zip file from which Gradescope builds an autograder.

    It contains the answers and the secret: upload it, and show it to nobody. Gradescope's container does
    not allow namespaces, so submissions run there as another user, with limits and a filter of system
    calls. Every student's result says so.

    Example: scratchae course gradescope hw1 -o hw1.zip
    """
    from scratchae.course.assignment import load_assignment
    from scratchae.course.grading.gradescope import write_autograder

    loaded = load_assignment(assignment)
    path = out or Path(f"{loaded.name}.zip")
    write_autograder(loaded, read_secret(secret), path)
    console.print(f"{path}: upload it as the autograder of {loaded.title}")


@course.command()
def release(
    assignment: AssignmentName,
    out: Annotated[
        Path | None,
        typer.Option(help="The student's folder.", show_default="the assignment's name"),
    ] = None,
    student: Annotated[
        str,
        typer.Option(
            help="In a bug hunt: the name of the student, which decides the faults.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Write the student's folder, after proving that no solution is in it.

    Example: scratchae course release hw1 --out hw1
    """
    from scratchae.course.assignment import load_assignment
    from scratchae.course.release import release as write_release

    loaded = load_assignment(assignment)
    folder = out or Path(loaded.name)
    files = write_release(loaded, folder, student)
    console.print(f"{loaded.title}: {len(files)} files in {folder}")
    for file in files:
        console.print(f"  {file}")
    state = "shows its fault" if loaded.kind == "mend" else "says: not yet"
    console.print(
        f"No solution is in them, all of them compile, and every task earns 0 points and {state}."
    )
    if loaded.kind != "contest":
        console.print(f"The answers earn {loaded.points:g} of {loaded.points:g} points.")


@course.command()
def selftest(
    only: Annotated[
        str, typer.Option(help="Try only the attacks with this text in their name.")
    ] = "",
) -> None:
    """Try every known attack in the sandbox of this machine, and say how each was contained.

    After each attack an honest submission is graded, which must lose no points. The exit code is 0 if
    all attacks were contained, else 1.

    Example: scratchae course selftest
    """
    from rich.table import Table
    from rich.text import Text

    from scratchae.checking.render import harmless
    from scratchae.course.sandbox import DESCRIPTIONS, choose_isolation
    from scratchae.course.selftest import selftest as try_attacks

    isolation = choose_isolation()
    table = Table("attack", "contained", "how", title_justify="left")
    with console.status("trying attacks") as status:
        found = try_attacks(isolation, only, lambda tried: status.update(f"tried: {tried.name}"))
    for tried in found:
        mark = Text("yes", "green") if tried.contained else Text("NO", "bold red")
        table.add_row(tried.name, mark, Text(harmless(tried.how)))
    console.print(table)
    contained = sum(tried.contained for tried in found)
    console.print(f"{contained} of {len(found)} contained. {DESCRIPTIONS[isolation]}")
    if contained < len(found):
        raise typer.Exit(1)


def read_secret(path: Path) -> bytes:
    """Return the secret in that file. If there is none, make one and print a message."""
    from scratchae.course.grading.batch import course_secret

    new = not path.exists()
    secret = course_secret(path)
    if new:
        console.print(f"{path} is new: keep it, because another secret gives other hidden cases.")
    return secret
