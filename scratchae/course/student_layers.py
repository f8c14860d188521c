"""Train with a student's functions instead of the library's.

The library's own function is used if the student has not written it yet.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType

from scratchae.course.blank import Function
from scratchae.course.blanked_sources import PARTS, ROOT
from scratchae.course.submission import SubmissionError, first_line, load_module, read_source
from scratchae.errors import ScratchaeError


@contextmanager
def use_student_layers(folder: Path) -> Iterator[dict[str, str]]:
    """Use the functions in the folder inside the block, and yield {function: its file}.

    Raises ScratchaeError if the folder has no such function or a file cannot be loaded. If a function
    raises an exception later, it becomes a ScratchaeError. Only the engine `eager` calls the functions.
    """
    if not folder.is_dir():
        raise ScratchaeError(f"there is no folder {folder}: give the one with your layers")
    swaps, names = [], {}
    for path, module in modules_of(folder):
        for name, function in written(path, module).items():
            swaps.append((getattr(module, name), with_line_of_error(function, path)))
            names[name] = path.name
    if not swaps:
        raise ScratchaeError(
            f"{folder} has no function of yours: first write one of those that say `your turn`"
        )
    places = [
        (m, n, original, yours) for original, yours in swaps for m, n in references_to(original)
    ]
    for module, name, _, yours in places:
        setattr(module, name, yours)
    try:
        yield names
    finally:
        for module, name, original, _ in places:
            setattr(module, name, original)


def modules_of(folder: Path) -> Iterator[tuple[Path, ModuleType]]:
    """Yield (file in the folder, the library's module of the same name)."""
    for pattern in PARTS:
        for path in sorted(ROOT.glob(pattern)):
            if path.stem != "__init__" and (folder / path.name).is_file():
                dotted = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
                yield folder / path.name, import_module(dotted)


def written(path: Path, module: ModuleType) -> dict[str, Callable]:
    """Return the library's functions that the student has written in this file."""
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
    """Return {function at the top level: its normalised text}."""
    return {n.name: ast.unparse(n) for n in ast.parse(source).body if isinstance(n, Function)}


def references_to(function: object) -> list[tuple[ModuleType, str]]:
    """Return every (module, name) of the library that refers to the function."""
    return [
        (module, name)
        for dotted, module in list(sys.modules.items())
        if dotted.startswith("scratchae.") and not dotted.startswith("scratchae.checking")
        for name, value in list(vars(module).items())
        if value is function
    ]


def with_line_of_error(function: Callable, path: Path) -> Callable:
    """Wrap the function: an exception becomes a ScratchaeError with the line of the student's file."""

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
