"""Leaks: search a folder that students get for parts of the solution.

Syntax trees are compared, so a solution is found even with other comments, spaces, brackets, quotes,
line breaks or another name for the result. Every file is searched: sources, notebooks with their
outputs, doctests, pages. A file that cannot be searched counts as a leak.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from scratchae.course.assignment import Assignment
from scratchae.course.blank import solution_statements
from scratchae.course.blanked_sources import blanked_functions, original

MIN_NODES = (
    4  # syntax nodes of an expression that shows a part of the solution: `x` or `a, b` is too small
)
MARKERS = re.compile(r"(BEGIN|END)\s*_?-?(SOLUTION|HIDDEN)|#+\s*SOLUTION\b", re.IGNORECASE)
READABLE = {".py", ".md", ".toml", ".txt", ".ipynb", ".npz", ".json"}


def solution_expressions(assignment: Assignment) -> dict[str, str]:
    """Return {normalised expression: the file whose solution it is from}."""
    found: dict[str, str] = {}
    for file, functions in blanked_functions(assignment).items():
        for statement in solution_statements(original(file, assignment), functions):
            for expression in expressions(statement):
                found.setdefault(expression, file)
    return found


def find_leaks(folder: Path, solution: Collection[str], known: Iterable[str] | None) -> list[str]:
    """Return a sentence for every leak in the folder.

    solution: normalised expressions. known: the files that may be there, relative to the folder; None
    allows any.
    """
    found = []
    for path in sorted(p for p in folder.rglob("*") if not p.is_dir()):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or path.suffix not in READABLE:
            found.append(f"{name} cannot be searched: it does not belong there")
            continue
        if known is not None and name not in known:
            found.append(f"{name} does not belong there")
        if path.suffix == ".npz":
            continue
        text = path.read_text(encoding="utf-8")
        if (marker := MARKERS.search(text)) is not None:
            found.append(f"{name} contains the marker {marker.group()}")
        for expression in dict.fromkeys(expressions_in(path, text)):
            if expression in solution:
                found.append(f"{name} contains a part of the solution: {expression}")
    return found


def expressions_in(path: Path, text: str) -> Iterator[str]:
    """Yield every normalised expression in a file, wherever it is."""
    if path.suffix == ".ipynb":
        for cell in json.loads(text)["cells"]:
            yield from expressions_in(Path("cell.txt"), "".join(cell["source"]))
            if outputs := cell.get("outputs"):
                yield from expressions_in(Path("outputs.txt"), strings(outputs))
        return
    if (tree := parse(text)) is not None:
        yield from expressions(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from expressions_in_lines(node.value)
    yield from expressions_in_lines(text)


def expressions_in_lines(text: str) -> Iterator[str]:
    """Yield the expressions of single lines that are Python, without prompts and list marks."""
    for line in text.splitlines():
        bare = re.sub(r"^[\s#>*.|-]+|`|\\$", "", line.strip())
        for piece in {bare, bare.split("  #")[0].strip()}:
            if len(piece) > 3 and (tree := parse(piece.rstrip(":"))) is not None:
                yield from expressions(tree)


def strings(value: object) -> str:
    """Return all text inside a piece of JSON."""
    if isinstance(value, str):
        return value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return "\n".join(strings(part) for part in inside)


def parse(text: str) -> ast.AST | None:
    """Return the syntax tree, or None if the text is not Python."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def expressions(tree: ast.AST) -> Iterator[str]:
    """Yield the expressions that the statements compute, in normalised form, except those that show nothing.

    >>> list(expressions(ast.parse("dx = (dy@w)  .reshape( x.shape )\\nreturn_ = dx, dw")))
    ['(dy @ w).reshape(x.shape)']
    """
    for node in ast.walk(tree):
        value = getattr(node, "value", None) if isinstance(node, ast.stmt) else None
        if isinstance(node, ast.If | ast.While):
            value = node.test
        elif isinstance(node, ast.For):
            value = node.iter
        if isinstance(value, ast.expr) and shows_something(value):
            yield ast.unparse(value)


def shows_something(value: ast.expr) -> bool:
    """Return whether an expression computes something from its names."""
    acts = (ast.BinOp, ast.Call, ast.Compare, ast.Subscript, ast.UnaryOp)
    nodes = [n for n in ast.walk(value) if not isinstance(n, ast.expr_context | ast.operator)]
    return len(nodes) >= MIN_NODES and any(isinstance(n, acts) for n in nodes)
