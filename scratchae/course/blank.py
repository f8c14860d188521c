"""Blanking: a source file with the bodies of some functions taken out, and everything else kept."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Collection, Iterable

from scratchae.errors import ScratchaeError

Function = ast.FunctionDef | ast.AsyncFunctionDef


def blank(source: str, functions: Iterable[str], gone: Collection[str] = ()) -> str:
    """The source with those functions' bodies blanked; signature and docstring stay.

    gone: names that are blanked wherever they are: an import of one that nothing here uses any more
    is left out. Raises ScratchaeError where a function is not at the top level of the source.

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
        first = found.body[1 if ast.get_docstring(found) else 0 :]
        start = first[0].lineno if first else found.body[-1].end_lineno + 1
        indent = " " * found.body[0].col_offset
        text = f'{indent}raise NotImplementedError("your turn: {name}")'
        edits.append((start, found.end_lineno, [text]))
    blanked = replace_lines(source, edits)
    return without_imports(blanked, set(gone)) if gone else blanked


def find_function(tree: ast.Module, name: str) -> Function:
    """The function of that name at the top level."""
    for node in tree.body:
        if isinstance(node, Function) and node.name == name:
            return node
    raise ScratchaeError(f"there is no function {name} to blank: is its name spelled right?")


def replace_lines(source: str, edits: list[tuple[int, int, list[str]]]) -> str:
    """Lines first..last, counted from 1, replaced by others; later ones first, so that counts hold."""
    lines = source.split("\n")
    for first, last, text in sorted(edits, reverse=True):
        lines[first - 1 : last] = text
    return "\n".join(lines)


def without_imports(source: str, gone: set[str]) -> str:
    """The source without imports of names in `gone` that it does not use."""
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
        edits.append((node.lineno, node.end_lineno, line.split("\n") if kept else []))
    return replace_lines(source, edits)


def solution(source: str, functions: Iterable[str]) -> list[ast.stmt]:
    """The statements that `blank` takes out."""
    tree = ast.parse(source)
    found = [find_function(tree, name) for name in functions]
    return [s for f in found for s in f.body[1 if ast.get_docstring(f) else 0 :]]
