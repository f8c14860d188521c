"""The library that a submission may import: layers, losses and optimisers, with blanked graded functions.

The student's check and the grader run a submission with this library. So both give the same results, and
a student cannot import an answer.
"""

from __future__ import annotations

import ast
from pathlib import Path

import scratchae
from scratchae.checking import EXERCISES
from scratchae.course.assignment import Assignment, Task
from scratchae.course.blank import Function, blank, find_function

ROOT = Path(scratchae.__file__).parent
PARTS = (
    "__init__.py",
    "errors.py",
    "noise.py",
    "losses/*.py",
    "step.py",
    "layers/*.py",
    "optim/*.py",
)
MODELS = "models/*.py"


def blanked_functions(assignment: Assignment, task: Task | None = None) -> dict[str, list[str]]:
    """Return {file, relative to the library's folder: its functions to blank}.

    task: the task that is being checked. The functions in its `keep` are not blanked.
    """
    keep = set(task.keep) if task is not None else set()
    found: dict[str, list[str]] = {}
    for other in assignment.tasks:
        if other.exercise in EXERCISES and other.exercise not in keep:
            function = EXERCISES[other.exercise].reference.__name__
            found.setdefault(other.file, []).append(function)
    for dotted in assignment.also:
        module, _, function = dotted.rpartition(".")
        found.setdefault(module.replace(".", "/") + ".py", []).append(function)
    return {file: list(dict.fromkeys(functions)) for file, functions in found.items()}


def original(file: str, assignment: Assignment) -> str:
    """Return the source of a file of the library, or of a custom file beside the TOML."""
    inside = ROOT.parent / file
    path = inside if file.startswith("scratchae/") else assignment.path.parent / file
    return path.read_text(encoding="utf-8")


def blanked_sources(assignment: Assignment, task: Task | None = None) -> dict[str, str]:
    """Return {file: source} of the files in which something is blanked.

    >>> from scratchae.course.assignment import load_assignment
    >>> "your turn: mse_forward" in blanked_sources(load_assignment("hw1"))["scratchae/losses/mse.py"]
    True
    """
    functions = blanked_functions(assignment, task)
    gone = {name for names in functions.values() for name in names}
    return {
        file: blank(original(file, assignment), names, gone) for file, names in functions.items()
    }


def library_sources(assignment: Assignment, task: Task | None = None) -> dict[str, str]:
    """Return {file: source} of all that a submission can import from scratchae, blanked as needed.

    >>> from scratchae.course.assignment import load_assignment
    >>> "scratchae/checking/check.py" in library_sources(load_assignment("hw1"))
    False
    """
    parts = (*PARTS, MODELS) if assignment.kind == "contest" else PARTS
    files = sorted(path for pattern in parts for path in ROOT.glob(pattern))
    sources = {f"scratchae/{p.relative_to(ROOT).as_posix()}": p.read_text("utf-8") for p in files}
    functions = blanked_functions(assignment, task)
    for file in functions.keys() & sources.keys():
        sources[file] = blank(sources[file], functions[file])
    return sources


def master_sources(assignment: Assignment) -> dict[str, str]:
    """Return {file: source} of the answers as a student would hand them in.

    They run with the blanked library. If an answer uses a blanked function of another file, that
    function is added to the answer's file.

    >>> from scratchae.course.assignment import load_assignment
    >>> sorted(master_sources(load_assignment("hw3")))
    ['scratchae/layers/conv2d.py']
    """
    return {file: self_contained(file, assignment) for file in assignment.files}


def self_contained(file: str, assignment: Assignment) -> str:
    """Return the original source, followed by the blanked functions of other files that it needs."""
    parts = [original(file, assignment)]
    used = names_in(parts[0])
    waiting = [dotted for dotted in assignment.also if file_of(dotted) != file]
    while needed := [dotted for dotted in waiting if dotted.rpartition(".")[2] in used]:
        for dotted in needed:
            waiting.remove(dotted)
            module, _, name = dotted.rpartition(".")
            text = original(file_of(dotted), assignment)
            tree = ast.parse(text)
            blanked = blanked_functions(assignment)[file_of(dotted)]
            given = [
                node.name
                for node in tree.body
                if isinstance(node, Function | ast.ClassDef) and node.name not in blanked
            ]
            function = str(ast.get_source_segment(text, find_function(tree, name)))
            parts += [f"from {module} import {', '.join(given)}", function]
            used |= names_in(function)  # a function may call another that is blanked
    return "\n\n".join(parts) + "\n"


def names_in(source: str) -> set[str]:
    """Return all names that a source uses."""
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def file_of(dotted: str) -> str:
    """Return the file of a function, such as scratchae/layers/convolution.py."""
    return dotted.rpartition(".")[0].replace(".", "/") + ".py"
