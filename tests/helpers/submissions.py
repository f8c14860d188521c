"""A small assignment, and classes of students: for it, and for hw1."""

from pathlib import Path

from scratchae.checking import mistakes
from scratchae.course.assignment import load_assignment
from scratchae.course.release import master_sources, student_files
from scratchae.course.selftest.attack import Targets
from scratchae.course.selftest.denial_of_service import DENIAL_OF_SERVICE
from scratchae.course.selftest.forgeries import FORGERIES
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
    """Students of six kinds, one behind the other, for the tasks of hw1."""
    hw1 = load_assignment("hw1")
    right = {Path(f).name: s for f, s in master_sources(hw1).items()}
    blank = {k: v for k, v in student_files(hw1).items() if k.endswith(".py")}
    for i in range(count):
        kind, files = [
            ("right", right),
            ("blank", blank),
            (
                "mistaken",
                right
                | {
                    "linear.py": right["linear.py"].replace(
                        "dy_rows.sum(dim=0)", "dy_rows.mean(dim=0)"
                    )
                },
            ),
            ("syntax", right | {"linear.py": "def linear_backward(:\n"}),
            ("exit", right | {"activations.py": "import os\nos._exit(0)\n"}),
            ("missing", {k: v for k, v in right.items() if k != "activations.py"}),
        ][i % 6]
        place = folder / f"s{i}-{kind}"
        place.mkdir(parents=True)
        for name, text in files.items():
            (place / name).write_text(text)


def class_of_every_kind(folder: Path, count: int) -> dict[str, str]:
    """Students of hw1: right in every other way, each mistake, blank, broken, hostile, huge, and again.

    {student: kind}; the kind of a mistake is its name.
    """
    hw1 = load_assignment("hw1")
    right = {Path(f).name: s for f, s in master_sources(hw1).items()}
    blank = {k: v for k, v in student_files(hw1).items() if k.endswith(".py")}
    kinds: list[tuple[str, dict[str, str]]] = [("right", right), ("blank", blank)]
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
        ("broken", {k: v for k, v in right.items() if k != "losses.py"}),
        ("broken", right | {"losses.py": "x = 1\0"}),
        ("huge", right | {"losses.py": right["losses.py"] + "#" * 7_000_000}),
        ("huge", right | {"losses.py": right["losses.py"] + "x = 1\n" * 40_000}),
    ]
    found = {}
    for i in range(count):
        kind, files = kinds[i % len(kinds)]
        found[f"s{i:03}"] = kind
        (folder / f"s{i:03}").mkdir(parents=True)
        for name, text in files.items():
            (folder / f"s{i:03}" / name).write_text(text, encoding="utf-8")
    return found
