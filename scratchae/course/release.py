"""Release: write the folder that students get, and prove that no solution is in it.

The folder is written beside its final place, searched and tested, and only then moved there.
"""

from __future__ import annotations

import ast
import json
import shutil
import tempfile
from pathlib import Path

from scratchae.checking import EXERCISES
from scratchae.course.assignment import Assignment, load_assignment
from scratchae.course.blanked_sources import (
    blanked_sources,
    master_sources,
    original,
)
from scratchae.course.bug_injection import choose
from scratchae.course.check import examine
from scratchae.course.custom_exercises import is_custom, record_cases
from scratchae.course.handout import notebook, readme
from scratchae.course.leaks import expressions, find_leaks, solution_expressions
from scratchae.errors import ScratchaeError
from scratchae.files import LEFTOVER, reason

HIDDEN_SEED = 77  # seed of the cases on which the answers are tried, besides the public ones


def release(assignment: Assignment, out: str | Path, student: str = "") -> list[str]:
    """Write the student's folder `out`, completely or not at all. Return the names of its files.

    student: in a bug hunt, the name that decides the faults. Raises ScratchaeError if a solution leaks, a file
    does not compile, a blank function earns points, or the answers do not earn all points.

    >>> import tempfile
    >>> from scratchae.course.assignment import load_assignment
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     "README.md" in release(load_assignment("hw3"), Path(folder, "hw3"))
    True
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ScratchaeError(f"{out} is a file: choose a folder that does not exist yet")
    if out.is_dir() and any(out.iterdir()):
        raise ScratchaeError(f"{out} exists and is not empty: choose another folder")
    files = student_files(assignment, student)
    beside = out.absolute().with_name(f"{LEFTOVER}{out.name}")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        for name, text in files.items():
            (beside / name).write_text(text, encoding="utf-8")
        prove(assignment, beside, files, student)
        if out.exists():
            out.rmdir()
        beside.rename(out)
    except OSError as error:
        raise ScratchaeError(f"cannot write {out}: {reason(error)}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return list(files)


def student_files(assignment: Assignment, student: str = "") -> dict[str, str]:
    """Return {name: text} of everything in the student's folder.

    >>> from scratchae.course.assignment import load_assignment
    >>> "your turn" in student_files(load_assignment("hw3"))["conv2d.py"]
    True
    """
    files = {Path(f).name: text for f, text in graded_files(assignment, student).items()}
    if assignment.kind == "contest":
        template = assignment.path.with_suffix("")
        files |= {p.name: p.read_text("utf-8") for p in sorted(template.glob("*.py"))}
    recorded = [
        (EXERCISES[t.exercise], t.public) for t in assignment.tasks if is_custom(t.exercise)
    ]
    if recorded:
        files["cases.json"] = record_cases(recorded)
    files["assignment.toml"] = to_toml(assignment, bool(recorded))
    files[f"{assignment.name}.ipynb"] = notebook(assignment)
    files["README.md"] = readme(assignment)
    return files


def graded_files(assignment: Assignment, student: str) -> dict[str, str]:
    """Return {file: source} of the files that a student writes or corrects."""
    if assignment.kind == "contest":
        return {}
    if assignment.kind == "mend":
        if not student:
            raise ScratchaeError(
                f"{assignment.name} has different faults for every student: name one with --student NAME"
            )
        bugs = choose(assignment, student)
        sources = {file: original(file, assignment) for file in assignment.files}
        for task in assignment.tasks:
            sources[task.file] = bugs[task.name].inject(sources[task.file])
        return sources
    blanked = blanked_sources(assignment)
    return {file: blanked[file] for file in assignment.files}


def to_toml(assignment: Assignment, recorded: bool) -> str:
    """Return the assignment.toml of the student's folder, which does not name the file of checks."""
    lines = [f"name = {quoted(assignment.name)}", f"title = {quoted(assignment.title)}"]
    lines += [f"kind = {quoted(assignment.kind)}", f"about = {quoted(assignment.about)}"]
    if assignment.deadline is not None:
        lines.append(f"deadline = {assignment.deadline.isoformat()}")
    if assignment.also:
        lines.append(f"also = {quoted(assignment.also)}")
    if recorded:
        lines.append('recorded = "cases.json"')
    for task in assignment.tasks:
        lines += [
            "",
            "[[task]]",
            f"name = {quoted(task.name)}",
            f"exercise = {quoted(task.exercise)}",
        ]
        lines += [f"points = {task.points}", f"public = {task.public}", f"hidden = {task.hidden}"]
        lines += [f"hint = {quoted(task.hint)}", f"whole = {quoted(task.whole)}"]
        if task.keep:
            lines.append(f"keep = {quoted(task.keep)}")
    if assignment.settings:
        lines += ["", "[contest]"]
        lines += [f"{name} = {quoted(value)}" for name, value in assignment.settings.items()]
    return "\n".join(lines) + "\n"


def quoted(value: object) -> str:
    """Return a value in TOML. For these values TOML is the same as JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def prove(assignment: Assignment, folder: Path, files: dict[str, str], student: str) -> None:
    """Raise ScratchaeError unless the folder may be given to students."""
    name = assignment.name
    mend = assignment.kind == "mend"
    solution = (
        corrected_expressions(assignment, student) if mend else solution_expressions(assignment)
    )
    if leaks := find_leaks(folder, solution, files):
        raise ScratchaeError(f"{name} is not released because it leaks: {'; '.join(leaks[:3])}")
    for file in (file for file in files if file.endswith(".py")):
        try:
            compile(files[file], file, "exec")
        except SyntaxError as error:
            raise ScratchaeError(
                f"{name} is not released: {file} does not compile: {error}"
            ) from error
    for result in examine(load_assignment(folder), folder):
        if result.points or not (result.not_yet or mend):
            raise ScratchaeError(
                f"{name} is not released: {result.task.name} earns {result.points:g} points as it is "
                f"handed out, and its check says: {result.first_sentence}"
            )
    if assignment.kind != "contest":  # the answer of a contest would have to be trained first
        prove_answers(assignment)


def corrected_expressions(assignment: Assignment, student: str) -> set[str]:
    """Return the expressions that only the correct versions of a bug hunt's files contain."""
    faulty, found = graded_files(assignment, student), set()
    for file in assignment.files:
        right = set(expressions(ast.parse(original(file, assignment))))
        found |= right - set(expressions(ast.parse(faulty[file])))
    return found


def prove_answers(assignment: Assignment) -> None:
    """Raise ScratchaeError unless the answers earn all points, in public and in hidden cases."""
    with tempfile.TemporaryDirectory() as folder:
        for file, text in master_sources(assignment).items():
            (Path(folder) / Path(file).name).write_text(text, encoding="utf-8")
        results = examine(assignment, Path(folder))
        results += examine(assignment, Path(folder), seed=HIDDEN_SEED, hidden=True)
    for result in results:
        if result.points != result.task.points:
            raise ScratchaeError(
                f"{assignment.name} is not released: the answer to {result.task.name} itself earns "
                f"{result.points:g} of {result.task.points:g} points: {result.first_sentence}"
            )
