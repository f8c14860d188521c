"""The README of a student's folder."""

from __future__ import annotations

from pathlib import Path

from scratchae.course.assignment import Assignment

TODO = {
    "write": "Every function that says `your turn` in these files is yours. Leave their names as they are.",
    "mend": "One line in each of these files is wrong. Find it and mend it.",
    "contest": "Write `build` in model.py, train with `python train.py`, hand in both files.",
}


def readme(assignment: Assignment) -> str:
    """What to do, how to check it, and what is handed in."""
    names = list(assignment.submitted)
    rows = [
        f"| {task.name} | `{Path(task.file).name}` | {task.points:g} | {task.hint} |"
        for task in assignment.tasks
    ]
    hidden = sum(task.hidden_cases for task in assignment.tasks)
    deadline = f"Hand in until {assignment.deadline:%Y-%m-%d %H:%M}." if assignment.deadline else ""
    return "\n".join(
        [
            f"# {assignment.title}",
            "",
            assignment.about,
            "",
            TODO[assignment.kind],
            "",
            "Check your work, here in this folder, as often as you like; nothing is sent anywhere:",
            "",
            "    scratchae course check",
            "",
            f"Handed in: {', '.join(f'`{name}`' for name in names)}. {deadline}".rstrip(),
            "",
            "| task | file | points | hint |",
            "|---|---|---|---|",
            *rows,
            "",
            *hidden_text(assignment, hidden),
            "",
        ]
    )


def hidden_text(assignment: Assignment, hidden: int) -> list[str]:
    """What the grader does that the check does not."""
    if assignment.kind == "contest":
        return ["The grader measures the error on other digits of the same test set."]
    return [
        "Each task is scored by corners (one sample, strided memory, float32, ...): each is worth the",
        "same share of the points. The check tries public cases; the grader tries these and",
        f"{hidden} hidden ones of the same corners, so the score may still fall.",
        "",
        "When your work is checked, `import scratchae` gives a library in which these functions are",
        "blanked, and only layers, losses and optimisers are there.",
    ]
