"""A small assignment, a class of students for it, and right solutions written otherwise than ours."""

from pathlib import Path

from scratchae.course.assignment import load_assignment
from scratchae.course.release import master_sources, student_files

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
