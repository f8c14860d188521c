"""Borrowing: the library with a student's functions in the place of its own, to train with.

What the student has not written yet stays the library's.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path

from scratchae.course.blank import Function
from scratchae.course.blanked_sources import PARTS, ROOT
from scratchae.course.submission import SubmissionError, first_line, load_module, read_source
from scratchae.errors import ScratchaeError


@contextmanager
def borrowing(folder: Path) -> Iterator[dict[str, str]]:
    """Inside, the library computes with the folder's functions; gives {function: its file}.

    Raises ScratchaeError where the folder has none, or where a file cannot be loaded; what one of the
    functions raises later is told as a ScratchaeError too. Only the engine `eager` calls them.
    """
    if not folder.is_dir():
        raise ScratchaeError(f"there is no folder {folder}: give the one with your layers")
    swaps, names = [], {}
    for path, module in modules_of(folder):
        for name, function in written(path, module).items():
            swaps.append((getattr(module, name), told(function, path)))
            names[name] = path.name
    if not swaps:
        raise ScratchaeError(
            f"{folder} has no function of yours: write one of those that say `your turn` first"
        )
    places = [(m, n, original, yours) for original, yours in swaps for m, n in where(original)]
    for module, name, _, yours in places:
        setattr(module, name, yours)
    try:
        yield names
    finally:
        for module, name, original, _ in places:
            setattr(module, name, original)


def modules_of(folder: Path) -> Iterator[tuple[Path, object]]:
    """(file in the folder, the library's module of that name)."""
    for pattern in PARTS:
        for path in sorted(ROOT.glob(pattern)):
            if path.stem != "__init__" and (folder / path.name).is_file():
                dotted = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
                yield folder / path.name, import_module(dotted)


def written(path: Path, module: object) -> dict[str, Callable]:
    """The functions of a student's file that the library has too and that are not blank, nor its own."""
    try:
        text, loaded = read_source(path), load_module(path)
    except SubmissionError as error:
        raise ScratchaeError(str(error)) from error
    own = bodies(Path(str(module.__file__)).read_text(encoding="utf-8"))
    found = {
        name: loaded[name]
        for name, body in bodies(text).items()
        if name in own and body != own[name] and "your turn:" not in body
    }
    return {name: function for name, function in found.items() if callable(function)}


def bodies(source: str) -> dict[str, str]:
    """{function at the top level: its normalised text}."""
    return {n.name: ast.unparse(n) for n in ast.parse(source).body if isinstance(n, Function)}


def where(function: object) -> list[tuple[object, str]]:
    """Every (module, name) of the library by which a function is known."""
    return [
        (module, name)
        for dotted, module in list(sys.modules.items())
        if dotted.startswith("scratchae.") and not dotted.startswith("scratchae.checking")
        for name, value in list(vars(module).items())
        if value is function
    ]


def told(function: Callable, path: Path) -> Callable:
    """The function; what it raises is a sentence to its writer."""

    @wraps(function)
    def called(*arguments: object, **named: object) -> object:
        try:
            return function(*arguments, **named)
        except Exception as error:
            trace, line = error.__traceback__, "?"
            while trace is not None:
                if trace.tb_frame.f_code.co_filename == str(path):
                    line = str(trace.tb_lineno)
                trace = trace.tb_next
            raise ScratchaeError(
                f"your {function.__name__} stopped with {type(error).__name__} in line {line} of "
                f"{path.name}: {first_line(error)}"
            ) from error

    return called
