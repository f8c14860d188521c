"""Leaks: is there anything of the solution in a folder that goes to students?

Compared are syntax trees, so that comments, spaces, brackets, quotes and line breaks hide nothing, nor
does another name for the result. Looked through is every file: sources, notebooks (with their
outputs), doctests, pages, and whatever else lies there; what cannot be looked through is a leak.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from scratchae.course.assignment import Assignment
from scratchae.course.blank import solution
from scratchae.course.blanked_sources import blanked_functions, original

LEAST = 5  # nodes of an expression that tells something: `x` or `a, b, c` does not
MARKERS = re.compile(r"(BEGIN|END)\s*_?-?(SOLUTION|HIDDEN)|#+\s*SOLUTION\b", re.IGNORECASE)
READABLE = {".py", ".md", ".toml", ".txt", ".ipynb", ".npz", ".json"}


def secrets(assignment: Assignment) -> dict[str, str]:
    """{normalised expression: the file that it is the solution of}."""
    found: dict[str, str] = {}
    for file, functions in blanked_functions(assignment).items():
        for statement in solution(original(file, assignment), functions):
            for expression in expressions(statement):
                found.setdefault(expression, file)
    return found


def find_leaks(folder: Path, secret: Collection[str], known: Iterable[str] | None) -> list[str]:
    """A sentence for every leak in the folder; none if there is none.

    secret: normalised expressions, those of `secrets`. known: the files that may be there, relative
    to the folder (None: any).
    """
    found = []
    for path in sorted(p for p in folder.rglob("*") if not p.is_dir()):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or path.suffix not in READABLE:
            found.append(f"{name} cannot be looked through: it does not belong there")
            continue
        if known is not None and name not in known:
            found.append(f"{name} does not belong there")
        if path.suffix == ".npz":
            continue
        text = path.read_text(encoding="utf-8")
        if (marker := MARKERS.search(text)) is not None:
            found.append(f"{name} has a marker in it: {marker.group()}")
        for expression in dict.fromkeys(said_in(path, text)):
            if expression in secret:
                found.append(f"{name} has a part of the solution: {expression}")
    return found


def said_in(path: Path, text: str) -> Iterator[str]:
    """Every normalised expression that stands in a file, wherever it stands."""
    if path.suffix == ".ipynb":
        for cell in json.loads(text)["cells"]:
            yield from said_in(Path("cell.txt"), "".join(cell["source"]))
            if outputs := cell.get("outputs"):
                yield from said_in(Path("outputs.txt"), strings(outputs))
        return
    if (tree := parsed(text)) is not None:
        yield from expressions(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from said_in_lines(node.value)
    yield from said_in_lines(text)


def said_in_lines(text: str) -> Iterator[str]:
    """Expressions of lines that are Python by themselves, without what may stand before them."""
    for line in text.splitlines():
        bare = re.sub(r"^[\s#>*.|-]+|`|\\$", "", line.strip())
        for piece in {bare, bare.split("  #")[0].strip()}:
            if len(piece) > 3 and (tree := parsed(piece.rstrip(":"))) is not None:
                yield from expressions(tree)


def strings(value: object) -> str:
    """All text inside a piece of JSON."""
    if isinstance(value, str):
        return value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return "\n".join(strings(part) for part in inside)


def parsed(text: str) -> ast.AST | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def expressions(tree: ast.AST) -> Iterator[str]:
    """What statements compute, one spelling each; what says nothing is left out.

    >>> list(expressions(ast.parse("dx = (dy@w)  .reshape( x.shape )\\nreturn_ = dx, dw")))
    ['(dy @ w).reshape(x.shape)']
    """
    for node in ast.walk(tree):
        value = getattr(node, "value", None) if isinstance(node, ast.stmt) else None
        if isinstance(node, ast.If | ast.While):
            value = node.test
        elif isinstance(node, ast.For):
            value = node.iter
        if isinstance(value, ast.expr) and tells(value):
            yield ast.unparse(value)


def tells(value: ast.expr) -> bool:
    """Whether an expression does something to its names."""
    acts = (ast.BinOp, ast.Call, ast.Compare, ast.Subscript, ast.UnaryOp)
    nodes = [n for n in ast.walk(value) if not isinstance(n, ast.expr_context | ast.operator)]
    return len(nodes) >= LEAST - 1 and any(isinstance(n, acts) for n in nodes)
