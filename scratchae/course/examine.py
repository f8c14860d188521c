"""Examine: a student's folder, task by task, in a process of its own that may hang or die.

What the student's code does to its process costs that task alone. This keeps accidents apart, not
attacks: the grader has a jail for those.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from scratchae.checking import mistakes
from scratchae.checking.report import Row
from scratchae.course.assignment import Assignment, Task
from scratchae.course.scoring import points_of

LIMIT = 10.0  # seconds of CPU time for the student's code of one task; ours takes less than one
OUT_OF_TIME = -getattr(signal, "SIGPROF", 0) or None
WAITING = 6  # times as long may pass on the wall, where the machine has other things to do
NOT_YET = "not written yet"


@dataclass(frozen=True)
class TaskResult:
    """What was seen of one task. printed: what the student's code printed, cut short; measured: the
    numbers of a contest."""

    task: Task
    rows: list[Row] = field(default_factory=list)
    trouble: str = ""
    printed: str = ""
    measured: dict | None = None

    @property
    def points(self) -> float:
        """As it would be scored by these cases alone."""
        return points_of(self.task, self.rows)

    @property
    def not_yet(self) -> bool:
        """Whether the function is still as it was released."""
        return bool(self.rows) and all(
            row.sentence.startswith(NOT_YET)
            for row in self.rows
            if row.test in self.task.corners or not row.passed
        )

    @property
    def wrong(self) -> list[str]:
        """The tests that did not pass, in order."""
        return list(dict.fromkeys(row.test for row in self.rows if not row.passed))

    @property
    def sentences(self) -> dict[str, list[str]]:
        """{what is wrong: in which tests}."""
        said: dict[str, list[str]] = {}
        for row in self.rows:
            if not row.passed:
                said.setdefault(row.text, []).append(row.test)
        return said

    @property
    def said(self) -> str:
        """The first sentence, or that all is right."""
        return next(iter(self.sentences), "all is right")


def examine(
    assignment: Assignment, folder: Path, *, seed: int = 0, hidden: bool = False
) -> list[TaskResult]:
    """Every task's result, in order. hidden: with as many cases as the grader takes."""
    waiting, results = list(assignment.tasks), {}
    while waiting:
        for line in answers(assignment, folder, waiting, seed, hidden):
            task = waiting.pop(0)
            results[task.name] = result_of(task, line)
    return [results[task.name] for task in assignment.tasks]


def answers(
    assignment: Assignment, folder: Path, tasks: list[Task], seed: int, hidden: bool
) -> list[dict]:
    """What a fresh process says of the tasks, as far as it comes; at least one answer."""
    request = {
        "assignment": str(assignment.path),
        "folder": str(folder),
        "tasks": [task.name for task in tasks],
        "seed": seed,
        "hidden": hidden,
        "limit": LIMIT,
    }
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "scratchae.course.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    assert child.stdin and child.stdout
    child.stdin.write(json.dumps(request))
    child.stdin.close()
    found: list[dict] = []
    ready = child.stdout.readline()  # the library is loaded: from here on the clock runs
    late = threading.Event()
    while ready and len(found) < len(tasks):
        clock = threading.Timer(WAITING * LIMIT, lambda: (late.set(), child.kill()))
        clock.start()
        ran = child.stdout.readline()  # the student's code is done, and what is left is ours
        clock.cancel()
        line = child.stdout.readline() if ran else ""
        if not line:
            break
        found.append(json.loads(line))
    child.kill()
    child.stdout.close()
    code = child.wait()
    if not ready:
        raise RuntimeError(f"the checking process did not start (exit code {code})")
    if len(found) < len(tasks):
        if ran:
            raise RuntimeError(f"the checking process ended while it judged (exit code {code})")
        found.append({"trouble": stopped(late.is_set() or code == OUT_OF_TIME, code)})
    return found


def stopped(late: bool, code: int) -> str:
    """Why there was no answer."""
    if late:
        return f"it gave no answer in {LIMIT:.0f} seconds: does a loop never end?"
    return (
        f"it ended the program that checks it (exit code {code}): leave out exit() and os._exit()"
    )


def result_of(task: Task, answer: dict) -> TaskResult:
    """A TaskResult from what the process wrote."""
    named = {mistake.name: mistake for mistake in mistakes(task.exercise)}
    rows = [
        Row(task.exercise, row["test"], row["sentence"], named.get(row["mistake"]))
        for row in answer.get("rows", [])
    ]
    if trouble := answer.get("trouble", ""):
        rows = [Row(task.exercise, test, trouble) for test in task.corners]
    return TaskResult(task, rows, trouble, answer.get("printed", ""), answer.get("measured"))
