"""Self-check: the reference must earn every point, and every known mistake must lose some.

It runs before, during and after a batch, in the same sandbox as the submissions. If it fails, nothing is
graded, because the machine or the library is at fault and not a student.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import PurePosixPath

import torch

from scratchae.checking import Mistake, mistakes
from scratchae.checking.execution import run
from scratchae.course.assignment import Assignment, Task
from scratchae.course.blanked_sources import ROOT, master_sources
from scratchae.course.contest import hidden_digits, rounded
from scratchae.course.grading.grader import ContestGrader, Grader
from scratchae.course.grading.scoring import is_wrong
from scratchae.course.grading.serialization import Reply, pack_job, unpack_outcome
from scratchae.course.grading.submissions import Submission
from scratchae.course.grading.test_cases import CaseGroup, case_groups, submitted_file
from scratchae.course.sandbox import InfrastructureError, Sandbox, SandboxFiles
from scratchae.course.submission import SubmissionError

REFERENCE_MODEL = """\
from scratchae.layers import Linear, Sequential
from scratchae.models import Autoencoder


def build(generator=None):
    encoder = Sequential(Linear(784, 2, generator=generator))
    return Autoencoder(encoder, Sequential(Linear(2, 784, generator=generator)), (784,))
"""


def check_reference(grader: Grader) -> None:
    """Grade the reference. Raises InfrastructureError unless it gets full marks and no flag."""
    sources = master_sources(grader.assignment)
    files = {PurePosixPath(file).name: text.encode() for file, text in sources.items()}
    result = grader.grade_once(Submission("self-check", files))
    if result["score"] != result["points"] or result["flags"] or result["problems"]:
        wrong = [r for task in result["tasks"] for r in task["rows"] if not r["passed"]]
        said = wrong[0]["sentence"] if wrong else "; ".join(result["flags"] + result["problems"])
        raise InfrastructureError(
            f"the reference earns only {result['score']:g} of {result['points']:g} points on this "
            f"machine, so nothing can be graded: {said}"
        )


def check_mistakes(assignment: Assignment, task: Task, sandbox: Sandbox) -> None:
    """Run every catalogued mistake in the task's function.

    sandbox: one with the files of `whole_library`. Submissions never run there. Raises InfrastructureError
    unless each mistake loses points.
    """
    catalogued = mistakes(task.exercise)
    if not catalogued:
        return
    all_public = replace(task, public=task.public + task.hidden, hidden=0)
    groups = case_groups(replace(assignment, tasks=(all_public,)), b"", "")
    # An instructor's own mistakes are not in the sandbox's library, so they run here.
    own = [m for m in catalogued if not m.function.__module__.startswith("scratchae.")]
    losing = {mistake.name for mistake in own if loses_here(mistake, groups)}
    shipped = [mistake for mistake in catalogued if mistake not in own]
    files = {
        f"{m.name}.py": "from scratchae.checking.mistake import find_mistake\n\n"
        f"{m.name} = find_mistake({m.exercise!r}, {m.name!r}).function\n"
        for m in shipped
    }
    tests = [(m, group, case) for m in shipped for group in groups for case in group.cases]
    job = pack_job(
        *(str(sandbox.files.path / "whole"), files, dict.fromkeys(files, "")),
        [(group.exercise, case, f"{m.name}.py", m.name) for m, group, case in tests],
    )
    answered = 0
    for header, body in sandbox.run(job) if tests else ():
        if "id" in header:
            mistake, group, case = tests[header["id"]]
            outcome = unpack_outcome(group.exercise, case, Reply(header, body))
            if is_wrong(CaseGroup(group.task, group.corner, (case,), ()), [outcome]):
                losing.add(mistake.name)
            answered += 1
            if answered == len(tests):
                break
    undetected = [mistake.name for mistake in catalogued if mistake.name not in losing]
    if undetected or answered < len(tests):
        raise InfrastructureError(
            f"a wrong {submitted_file(task)} would earn every point on this machine, so nothing can be "
            f"graded: {', '.join(undetected[:3]) or sandbox.ending.reason}"
        )


def loses_here(mistake: Mistake, groups: list[CaseGroup]) -> bool:
    """Return whether a mistake loses points when it runs in this process."""
    return any(
        is_wrong(group, [run(mistake.function, group.exercise, case) for case in group.cases])
        for group in groups
    )


def whole_library(assignment: Assignment, isolated: bool) -> SandboxFiles:
    """Return the files of a sandbox that has the whole library in it, with reference and mistakes."""
    files = SandboxFiles(assignment, isolated)
    shutil.copytree(
        ROOT, files.path / "whole" / "scratchae", ignore=shutil.ignore_patterns("__pycache__")
    )
    files.open_to_all()
    return files


def check_contest(grader: ContestGrader) -> None:
    """Grade a small model. Raises InfrastructureError unless its error is the one that a formula gives."""
    g = torch.Generator().manual_seed(1)
    weights = {
        "encoder.0.weight": torch.randn(2, 784, generator=g) / 28,
        "encoder.0.bias": torch.zeros(2),
        "decoder.0.weight": torch.randn(784, 2, generator=g) / 28,
        "decoder.0.bias": torch.zeros(784),
    }
    x = hidden_digits(grader.assignment).reshape(-1, 784)
    code = rounded(x @ weights["encoder.0.weight"].T)
    y = code @ weights["decoder.0.weight"].T
    expected = (y - x).double().square().mean().item()
    try:
        found = grader.measure(REFERENCE_MODEL, weights)
    except SubmissionError as error:
        raise InfrastructureError(
            f"a right model cannot be used on this machine: {error}"
        ) from error
    if abs(found.error - expected) > 1e-3 * expected or found.code != 2:
        raise InfrastructureError(
            f"a model with the known error {expected:.6f} has the error {found.error:.6f} on this "
            "machine, so nothing can be graded"
        )
