"""What tests of grading share: graders in a sandbox, answers, results and outcomes."""

from pathlib import Path

import pytest

from scratchae.checking.execution import run
from scratchae.course.assignment import load_assignment
from scratchae.course.blanked_sources import master_sources
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.submissions import Submission
from scratchae.course.sandbox import Limits, Sandbox, SandboxFiles, why_no_bubblewrap

needs_sandbox = pytest.mark.skipif(
    bool(why_no_bubblewrap()), reason=why_no_bubblewrap() or "sandbox"
)
ROOT = Path(__file__).parents[2]
SECRET = b"a secret of sixteen letters"


def answers(name):
    return {Path(f).name: s for f, s in master_sources(load_assignment(name)).items()}


class Graders:
    """A grader in a sandbox for every assignment, started when first asked for."""

    def __init__(self):
        self.sandboxes = {}

    def __call__(self, name, kind=Grader):
        if name not in self.sandboxes:
            assignment = load_assignment(name)
            sandbox = Sandbox(SandboxFiles(assignment), "bubblewrap", Limits(cpu=20, idle=20))
            self.sandboxes[name] = kind(assignment, SECRET, sandbox)
        return self.sandboxes[name]

    def close(self):
        for grader in self.sandboxes.values():
            grader.sandbox.close()
            grader.sandbox.files.close()


def grade(grader, files, student="ada"):
    return grader.grade(Submission(student, {name: text.encode() for name, text in files.items()}))


def earned(result):
    return {task["name"]: task["earned"] for task in result["tasks"]}


def outcomes_of(function, groups):
    """What a function does on the cases of all groups, run in this process."""
    return {
        group: [run(function, group.exercise, case) for case in group.cases] for group in groups
    }


def result_saying(sentence, assignment, student="ada"):
    """A result with a failed and a passed test in every task. `sentence` is said wherever text is."""
    rows = [
        {"test": "random sizes", "passed": False, "hidden": False, "sentence": sentence},
        {"test": "float32", "passed": True, "hidden": False, "sentence": ""},
    ]
    rows = [row | {"mistake": ""} for row in rows]
    tasks = [
        {"name": t.name, "points": t.points, "earned": 0.0, "rows": rows} for t in assignment.tasks
    ]
    result = {"student": student, "score": 0.0, "points": assignment.points, "tasks": tasks}
    return result | {"problems": [sentence], "flags": [sentence], "fingerprints": {}}


def everything(out):
    """{name: bytes} of all files that a batch wrote, except the journal, which contains times."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "journal.jsonl"
    }
