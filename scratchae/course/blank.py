"""Blanking: remove the bodies of some functions from a source file and keep everything else."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Iterable

from scratchae.errors import ScratchaeError

Function = ast.FunctionDef | ast.AsyncFunctionDef


def blank(source: str, functions: Iterable[str], gone: Collection[str] = ()) -> str:
    """Return the source with the bodies of those functions blanked. Signatures and docstrings stay.

    gone: names of the functions that are blanked in any file. Their imports are removed if the rest of
    this source does not use them. Raises ScratchaeError if a function is not at the top level of the
    source.

    >>> print(blank('def one(x):\\n    "Adds one."\\n    y = x + 1\\n    return y\\n', ["one"]))
    def one(x):
        "Adds one."
        raise NotImplementedError("your turn: one")
    <BLANKLINE>
    """
    functions = list(functions)
    tree = ast.parse(source)
    edits = []
    for name in functions:
        found = find_function(tree, name)
        body = body_of(found)
        start = body[0].lineno if body else end_of(found.body[-1]) + 1
        indent = " " * found.body[0].col_offset
        text = f'{indent}raise NotImplementedError("your turn: {name}")'
        edits.append((start, end_of(found), [text]))
    blanked = replace_lines(source, edits)
    return without_imports(blanked, set(gone)) if gone else blanked


def find_function(tree: ast.Module, name: str) -> Function:
    """Return the function of that name at the top level."""
    for node in tree.body:
        if isinstance(node, Function) and node.name == name:
            return node
    raise ScratchaeError(f"there is no function {name} to blank: is its name spelled correctly?")


def body_of(function: Function) -> list[ast.stmt]:
    """Return the statements of a function without its docstring."""
    return function.body[1 if ast.get_docstring(function) else 0 :]


def end_of(node: ast.stmt) -> int:
    """Return the last line of a statement."""
    assert node.end_lineno is not None
    return node.end_lineno


def replace_lines(source: str, edits: list[tuple[int, int, list[str]]]) -> str:
    """Replace lines. edits: (first line, last line, new lines), with lines counted from 1."""
    lines = source.split("\n")
    for first, last, text in sorted(edits, reverse=True):
        lines[first - 1 : last] = text
    return "\n".join(lines)


def without_imports(source: str, gone: set[str]) -> str:
    """Return the source without the imports of names in `gone` that it does not use."""
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    edits = []
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        kept = [a for a in node.names if a.name not in gone or (a.asname or a.name) in used]
        if len(kept) == len(node.names):
            continue
        names = ", ".join(a.name if not a.asname else f"{a.name} as {a.asname}" for a in kept)
        line = f"from {'.' * node.level}{node.module or ''} import {names}"
        if len(line) > 100:
            inside = textwrap.fill(names, 92, initial_indent="    ", subsequent_indent="    ")
            line = f"from {node.module} import (\n{inside},\n)"
        edits.append((node.lineno, end_of(node), line.split("\n") if kept else []))
    return replace_lines(source, edits)


def solution_statements(source: str, functions: Iterable[str]) -> list[ast.stmt]:
    """Return the statements that `blank` removes."""
    tree = ast.parse(source)
    return [statement for name in functions for statement in body_of(find_function(tree, name))]
