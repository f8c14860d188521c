"""The autograder that runs in a platform's container: one submission, results.json, nothing else.

    python -m scratchae.course.grading.autograder ASSIGNMENT SECRET /autograder

Where the machine is at fault no results.json is written and the exit code is 3: Gradescope then says
that the autograder failed, and keeps whatever score there was.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from scratchae.course.assignment import load_assignment
from scratchae.course.grading.archive import entries_of_folder
from scratchae.course.grading.batch import course_secret, wanted_files
from scratchae.course.grading.submissions import Waiting
from scratchae.course.grading.tables import to_gradescope
from scratchae.course.grading.worker import Bench, Setup
from scratchae.course.sandbox import DESCRIPTIONS, InfrastructureError, Limits, choose_isolation
from scratchae.files import write_text

TROUBLE = 3


def main(assignment: str, secret: str, root: str) -> int:
    """Grade root/submission and write root/results/results.json; the exit code."""
    import torch

    torch.set_num_threads(1)
    began, place = time.monotonic(), Path(root)
    loaded = load_assignment(assignment)
    isolation = choose_isolation(container=True)
    entries = tuple(entries_of_folder(place / "submission"))
    student = student_of(place / "submission_metadata.json")
    submission = Waiting(student, entries, wanted_files(loaded)).load()
    setup = Setup(loaded.path, course_secret(Path(secret)), isolation, Limits())
    try:
        with Bench(setup) as bench:
            bench.canary("")
            result = bench.grader.grade(submission)
            bench.canary("")
    except InfrastructureError as error:
        print(f"not graded: {error}", file=sys.stderr)
        return TROUBLE
    text = to_gradescope(loaded, result, DESCRIPTIONS[isolation], time.monotonic() - began)
    write_text(place / "results" / "results.json", text)
    return 0


def student_of(metadata: Path) -> str:
    """Who handed in: hidden cases differ by it. All members of a group together."""
    try:
        users = json.loads(metadata.read_text(encoding="utf-8"))["users"]
        return ", ".join(sorted(str(user.get("email") or user["id"]) for user in users))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
