"""A small assignment, and classes of students: for it, and for hw1."""

from pathlib import Path

from scratchae.checking import mistakes
from scratchae.course.assignment import load_assignment
from scratchae.course.release import student_files
from scratchae.course.selftest.attack import Targets
from scratchae.course.selftest.denial_of_service import DENIAL_OF_SERVICE
from scratchae.course.selftest.forgeries import FORGERIES
from tests.helpers.grading import answers
from tests.helpers.mistaken import handed_in_with
from tests.helpers.solutions import SOLUTIONS, TENSORS, WRAPPERS, handed_in

SMALL = """\
title = "Two functions"
[[task]]
exercise = "linear_backward"
points = 20
public = 1
hidden = 1
[[task]]
exercise = "relu_forward"
points = 10
public = 1
hidden = 1
"""


def small_assignment(folder: Path) -> Path:
    path = folder / "small.toml"
    path.write_text(SMALL)
    return path


def class_of(folder: Path, count: int) -> None:
    """Write students of six kinds in turn, for the tasks of hw1."""
    right = answers("hw1")
    mistaken = right["linear.py"].replace("dy_rows.sum(dim=0)", "dy_rows.mean(dim=0)")
    kinds = [
        ("right", right),
        ("blank", blank_files()),
        ("mistaken", right | {"linear.py": mistaken}),
        ("syntax", right | {"linear.py": "def linear_backward(:\n"}),
        ("exit", right | {"activations.py": "import os\nos._exit(0)\n"}),
        ("missing", without(right, "activations.py")),
    ]
    for i in range(count):
        kind, files = kinds[i % len(kinds)]
        write(folder / f"s{i}-{kind}", files)


def class_of_every_kind(folder: Path, count: int) -> dict[str, str]:
    """Write students of hw1 of every kind in turn, and return {student: kind}.

    The kinds: right in every other way, each mistake (the kind is its name), blank, hostile, broken
    and huge.
    """
    hw1, right = load_assignment("hw1"), answers("hw1")
    kinds: list[tuple[str, dict[str, str]]] = [("right", right), ("blank", blank_files())]
    for task in hw1.tasks:
        name, exercise = Path(task.file).name, task.exercise
        texts = [handed_in(exercise, style) for style in SOLUTIONS[exercise]]
        texts += [wrap(exercise, TENSORS[exercise]) for wrap in WRAPPERS.values()]
        kinds += [("right", right | {name: right[name] + text}) for text in texts]
    for task in hw1.tasks:
        kinds += [(m.name, handed_in_with(hw1, m)) for m in mistakes(task.exercise)]
    nowhere = Targets(Path("/nowhere"), 9, 2**22, Path("/nowhere/secret"))
    kinds += [
        ("hostile", right | {"activations.py": attack.source(nowhere)})
        for attack in (*DENIAL_OF_SERVICE, *FORGERIES)
        if attack.kind != "flag"
    ]
    kinds += [
        ("broken", right | {"linear.py": "def linear_forward(:\n"}),
        ("broken", without(right, "mse.py")),
        ("broken", right | {"mse.py": "x = 1\0"}),
        ("huge", right | {"mse.py": right["mse.py"] + "#" * 7_000_000}),
        ("huge", right | {"mse.py": right["mse.py"] + "x = 1\n" * 40_000}),
    ]
    found = {}
    for i in range(count):
        found[f"s{i:03}"], files = kinds[i % len(kinds)]
        write(folder / f"s{i:03}", files)
    return found


def blank_files() -> dict[str, str]:
    """The files of hw1 as they are handed out."""
    files = student_files(load_assignment("hw1"))
    return {name: text for name, text in files.items() if name.endswith(".py")}


def without(files: dict[str, str], missing: str) -> dict[str, str]:
    return {name: text for name, text in files.items() if name != missing}


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
