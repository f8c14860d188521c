"""The notebook form of an assignment: what to do, task by task, and the check of each. No outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scratchae.course.assignment import Assignment, Task


def notebook(assignment: Assignment) -> str:
    """The text of an .ipynb file; the same assignment gives the same bytes."""
    cells = [
        markdown("title", f"# {assignment.title}\n\n{assignment.about}"),
        markdown(
            "how",
            "Write the functions in the files beside this notebook, save them, and run the cells: each "
            "reads your files anew. Only the files are handed in.",
        ),
        code("import", "from scratchae.course.check import check_folder, check_task"),
    ]
    for task in assignment.tasks:
        cells.append(markdown(f"task-{task.name}", task_text(task)))
        cells.append(code(f"check-{task.name}", f'check_task("{task.name}")'))
    cells.append(markdown("all", "All tasks together, with the points as they would be now:"))
    cells.append(code("check-all", "check_folder()"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def task_text(task: Task) -> str:
    """What stands above the check of a task."""
    name = task.exercise if task.exercise != "autoencoder" else "build"
    hint = f"\n\nHint: {task.hint}" if task.hint else ""
    return f"## {task.name}: {task.points:g} points\n\n`{name}` in `{Path(task.file).name}`.{hint}"


def markdown(name: str, text: str) -> dict:
    return {"cell_type": "markdown", "id": cell_id(name), "metadata": {}, "source": lines(text)}


def code(name: str, text: str) -> dict:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": cell_id(name),
        "metadata": {},
        "outputs": [],
        "source": lines(text),
    }


def cell_id(name: str) -> str:
    """A name as nbformat allows it for a cell: fixed, so that the file never changes by itself."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)[:64]


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
