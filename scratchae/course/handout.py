"""The README and the notebook that a student gets besides the source files, both without answers."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scratchae.course.assignment import Assignment, Task

TODO = {
    "write": "Write every function that says `your turn` in these files. Keep the functions' names.",
    "mend": "One line in each of these files is wrong. Find it and correct it.",
    "contest": "Write `build` in model.py, train with `python train.py`, and hand in model.py "
    "and weights.safetensors.",
}


def readme(assignment: Assignment) -> str:
    """Return the README: what to do, how to check it, and what to hand in."""
    names = ", ".join(f"`{name}`" for name in assignment.submitted)
    rows = [
        f"| {task.name} | `{Path(task.file).name}` | {task.points:g} | {task.hint} |"
        for task in assignment.tasks
    ]
    deadline = f"Hand in by {assignment.deadline:%Y-%m-%d %H:%M}." if assignment.deadline else ""
    return "\n".join(
        [
            f"# {assignment.title}",
            "",
            assignment.about,
            "",
            TODO[assignment.kind],
            "",
            "Check your work in this folder as often as you like. The check sends nothing anywhere:",
            "",
            "    scratchae course check",
            "",
            f"To hand in: {names}. {deadline}".rstrip(),
            "",
            "| task | file | points | hint |",
            "|---|---|---|---|",
            *rows,
            "",
            *how_it_is_graded(assignment),
            "",
        ]
    )


def how_it_is_graded(assignment: Assignment) -> list[str]:
    """Return the lines of the README about what the grader does and the check does not."""
    if assignment.kind == "contest":
        return ["The grader measures the error on other digits of the same test set."]
    hidden = sum(task.hidden_cases for task in assignment.tasks)
    return [
        "A task is tested in several corners (one sample, strided memory, float32, ...). Each corner is",
        "worth the same share of the points. The check tries public cases; the grader tries these and",
        f"{hidden} hidden cases of the same corners, so your score may still fall.",
        "",
        "When your work is checked, `import scratchae` gives a library in which these functions are",
        "blank, and which has only layers, losses and optimisers.",
    ]


def notebook(assignment: Assignment) -> str:
    """Return the text of an .ipynb file. The same assignment gives the same bytes."""
    cells = [
        markdown("title", f"# {assignment.title}\n\n{assignment.about}"),
        markdown(
            "how",
            "Write the functions in the files beside this notebook, save them, and run the cells. Each "
            "cell reads your files again. Hand in only the files.",
        ),
        code("import", "from scratchae.course.check import check_folder, check_task"),
    ]
    for task in assignment.tasks:
        cells.append(markdown(f"task-{task.name}", task_text(task)))
        cells.append(code(f"check-{task.name}", f'check_task("{task.name}")'))
    cells.append(markdown("all", "All tasks together, with the points so far:"))
    cells.append(code("check-all", "check_folder()"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def task_text(task: Task) -> str:
    """Return the text above the check of a task."""
    name = task.exercise if task.exercise != "autoencoder" else "build"
    hint = f"\n\nHint: {task.hint}" if task.hint else ""
    return f"## {task.name}: {task.points:g} points\n\n`{name}` in `{Path(task.file).name}`.{hint}"


def markdown(name: str, text: str) -> dict:
    return {
        "cell_type": "markdown",
        "id": cell_id(name),
        "metadata": {},
        "source": text.splitlines(keepends=True),
    }


def code(name: str, text: str) -> dict:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id(name),
        "metadata": {},
        "outputs": [],
        "source": text.splitlines(keepends=True),
    }


def cell_id(name: str) -> str:
    """Return a cell id that nbformat allows. The same name always gives the same id."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:64]
