"""The process in which a student's code runs when a student checks it: `python -m scratchae.course.child`.

It reads one request (JSON) from stdin and writes a line of JSON for every task, as it is done.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import torch

from scratchae.checking import EXERCISES, Exercise
from scratchae.checking.execution import run
from scratchae.checking.report import Row
from scratchae.course.assignment import Assignment, Task, load_assignment
from scratchae.course.blanked_sources import library_sources
from scratchae.course.contest import judge_contest, measure, public_digits
from scratchae.course.custom_exercises import expected_of
from scratchae.course.examine import NOT_YET
from scratchae.course.scoring import scored_rows
from scratchae.course.submission import SubmissionError, first_line, library, load_function

MOST = 2_000  # characters kept of what the student's code prints


class Short(io.StringIO):
    """Keeps the beginning of what is printed."""

    def write(self, text: str) -> int:
        if self.tell() < MOST:
            super().write(text[: MOST - self.tell()])
        return len(text)


def main() -> None:
    """Answer the request on stdin."""
    request = json.loads(sys.stdin.read())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # whatever the student's code prints is no answer
    os.dup2(nowhere, 2)
    torch.set_num_threads(1)
    assignment = load_assignment(request["assignment"])
    say(answers, {"ready": True})
    watch = Watch(answers, request["limit"])
    for name in request["tasks"]:
        printed = Short()
        with redirect_stdout(printed), redirect_stderr(Short()):  # torch warns there
            task, folder = assignment.task(name), Path(request["folder"])
            answer = answer_to(assignment, task, folder, request["seed"], request["hidden"], watch)
        say(answers, answer | {"printed": printed.getvalue()})


def say(stream: TextIO, answer: dict) -> None:
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


@dataclass(frozen=True)
class Watch:
    """Inside, the process ends when it has used up its seconds of CPU time; then says that all ran."""

    answers: TextIO
    limit: float

    def __enter__(self) -> None:
        self.set(self.limit)

    def __exit__(self, *error: object) -> None:
        self.set(0)
        say(self.answers, {"ran": True})

    def set(self, seconds: float) -> None:
        if hasattr(signal, "setitimer"):  # Windows has none: there the parent's clock has to do
            signal.setitimer(signal.ITIMER_PROF, seconds)


def answer_to(
    assignment: Assignment, task: Task, folder: Path, seed: int, hidden: bool, watch: Watch
) -> dict:
    """The rows of one task, or its trouble."""
    if assignment.kind == "contest":
        return contest_answer(assignment, task, folder, watch)
    exercise = EXERCISES[task.exercise]
    cases = exercise.cases(seed, task.hidden if hidden else task.public)
    with library(library_sources(assignment, task)), watch:
        try:
            function = load_function(
                folder, task, exercise.reference.__name__, arguments_of(exercise)
            )
        except SubmissionError as error:
            return {"trouble": str(error)}
        got = [run(function, exercise, case) for case in cases]
    expected = [expected_of(exercise, case) for case in cases]
    return written(scored_rows(exercise, list(zip(cases, got, expected, strict=True))))


def contest_answer(assignment: Assignment, task: Task, folder: Path, watch: Watch) -> dict:
    """The rows of a contest, and what the ranking needs."""
    digits = public_digits(assignment)
    with library(library_sources(assignment, task)), watch:
        try:
            found = measure(folder, task, digits)
        except SubmissionError as error:
            return {"trouble": str(error)}
        except NotImplementedError as error:
            return {"trouble": f"{NOT_YET}: {error}"}
        except Exception as error:
            return {"trouble": f"build stopped with {type(error).__name__}: {first_line(error)}"}
    return written(judge_contest(task, assignment.settings, found)) | {"measured": asdict(found)}


def written(rows: list[Row]) -> dict:
    """Rows as they go over to the parent."""
    return {
        "rows": [
            {"test": r.test, "sentence": r.sentence, "mistake": r.mistake and r.mistake.name}
            for r in rows
        ]
    }


def arguments_of(exercise: Exercise) -> list[str]:
    """The names of the arguments that the function is called with."""
    return list(exercise.arguments)


if __name__ == "__main__":
    main()
