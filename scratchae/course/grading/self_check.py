"""Canary: is the grader itself well? The answers must earn every point, every known mistake must not.

It is asked before, during and after a batch, through the same jail as everybody. Where it is not
well nothing is graded: that is the machine's fault or ours, never a student's.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import PurePosixPath

from scratchae.checking import Mistake, mistakes
from scratchae.checking.execution import run
from scratchae.course.assignment import Assignment, Task
from scratchae.course.blanked_sources import ROOT, master_sources
from scratchae.course.grading.grader import Grader, Submission
from scratchae.course.grading.scoring import failed
from scratchae.course.grading.serialization import Answer, outcome, question
from scratchae.course.grading.submission_run import file_of
from scratchae.course.grading.test_cases import Trial, trials_of
from scratchae.course.sandbox import Cell, Home, InfrastructureError
from scratchae.course.sandbox.inside.protocol import Packer, frame


def reference_earns_all(grader: Grader) -> None:
    """Raise InfrastructureError unless the answers get full marks, and no flag, through the jail."""
    answers = master_sources(grader.assignment)
    files = {PurePosixPath(file).name: text.encode() for file, text in answers.items()}
    result = grader.attempt(Submission("canary", files))
    if result["score"] != result["points"] or result["flags"] or result["problems"]:
        wrong = [r for task in result["tasks"] for r in task["rows"] if not r["passed"]]
        said = wrong[0]["sentence"] if wrong else "; ".join(result["flags"] + result["problems"])
        raise InfrastructureError(
            f"the answers themselves earn {result['score']:g} of {result['points']:g} points here, so "
            f"nothing can be graded: {said}"
        )


def mistakes_lose(assignment: Assignment, task: Task, cell: Cell) -> None:
    """Raise InfrastructureError unless every catalogued mistake in the task's function loses points.

    cell: of `whole_home`, in which the whole library is; no submission is ever run there.
    """
    wrong = mistakes(task.exercise)
    if not wrong:
        return
    one = replace(task, public=task.public + task.hidden, hidden=0)
    small = replace(assignment, tasks=(one,))
    trials = trials_of(small, b"", "")
    packer, tests, asked, files, lost = Packer(), [], [], {}, set()
    for mistake in wrong:
        if not mistake.function.__module__.startswith("scratchae."):
            if loses_here(mistake, trials):
                lost.add(mistake.name)
            continue
        name = f"{mistake.name}.py"
        files[name] = (
            "from scratchae.checking.mistake import find_mistake\n\n"
            f"{mistake.name} = find_mistake({mistake.exercise!r}, {mistake.name!r}).function\n"
        )
        for trial in trials:
            for case in trial.cases:
                test = question(trial.exercise, case, packer)
                tests.append(test | {"id": len(tests), "file": name, "function": mistake.name})
                asked.append((mistake, trial, case))
    job = {
        "library": str(cell.home.path / "whole"),
        "files": files,
        "packages": dict.fromkeys(files, ""),
        "tests": tests,
    }
    answered = 0
    for header, body in cell.run(frame(job, bytes(packer.body))) if asked else ():
        if "id" in header:
            mistake, trial, case = asked[header["id"]]
            got = outcome(trial.exercise, case, Answer(header, body))
            if failed(Trial(trial.task, trial.corner, (case,), ()), [got]):
                lost.add(mistake.name)
            answered += 1
            if answered == len(asked):
                break
    kept = [mistake.name for mistake in wrong if mistake.name not in lost]
    if kept or answered < len(asked):
        raise InfrastructureError(
            f"a wrong {file_of(task)} would earn every point here, so nothing can be graded: "
            f"{', '.join(kept[:3]) or cell.ending.reason}"
        )


def loses_here(mistake: Mistake, trials: list[Trial]) -> bool:
    """Whether an instructor's own mistake, which the jail does not have, loses points."""
    return any(
        failed(trial, [run(mistake.function, trial.exercise, case) for case in trial.cases])
        for trial in trials
    )


def whole_home(assignment: Assignment, walled: bool) -> Home:
    """A jail's home that has the whole library in it, answers and mistakes."""
    home = Home(assignment, walled)
    shutil.copytree(
        ROOT, home.path / "whole" / "scratchae", ignore=shutil.ignore_patterns("__pycache__")
    )
    home.open_to_all()
    return home
