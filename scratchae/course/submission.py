"""A submission's functions, loaded on the blanked library; what is wrong with a file is a sentence."""

from __future__ import annotations

import importlib.abc
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from scratchae.course.assignment import Task

LARGEST = 1_000_000  # bytes of a source file


class SubmissionError(Exception):
    """What is wrong with a submitted file, in one sentence to the student."""


class Shelf(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds `scratchae` and its modules in {file: source}, and there alone."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] != "scratchae":
            return None
        if self.file_of(fullname) is None:
            raise ImportError(
                f"{fullname} is not at hand where your work is checked, only the layers, losses and "
                "optimisers are"
            )
        return importlib.util.spec_from_loader(fullname, self, is_package=self.is_package(fullname))

    def file_of(self, fullname: str) -> str | None:
        stem = fullname.replace(".", "/")
        return next((f for f in (f"{stem}.py", f"{stem}/__init__.py") if f in self.sources), None)

    def is_package(self, fullname: str) -> bool:
        return str(self.file_of(fullname)).endswith("__init__.py")

    def get_source(self, fullname: str) -> str:
        return self.sources[self.file_of(fullname)]


@contextmanager
def library(sources: dict[str, str]) -> Iterator[None]:
    """Inside, `import scratchae...` gives these sources; what was imported before lives on as it is."""
    real = {name: m for name, m in sys.modules.items() if name.split(".")[0] == "scratchae"}
    shelf = Shelf(sources)
    for name in real:
        del sys.modules[name]
    sys.meta_path.insert(0, shelf)
    try:
        yield
    finally:
        sys.meta_path.remove(shelf)
        for name in [name for name in sys.modules if name.split(".")[0] == "scratchae"]:
            del sys.modules[name]
        sys.modules.update(real)


def load_function(folder: Path, task: Task, function: str, wanted: Sequence[str]) -> Callable:
    """The student's function; wanted: the names of its arguments.

    Runs the student's file: call it where that may be. Raises SubmissionError.
    """
    module = load_module(folder / Path(task.file).name)
    name = Path(task.file).name
    found = module.get(function)
    if found is None:
        raise SubmissionError(f"{name} has no function {function}: is it named otherwise?")
    if not callable(found):
        raise SubmissionError(f"{function} in {name} is no function but {a(found)}")
    try:
        inspect.signature(found).bind(*wanted)
    except TypeError:
        raise SubmissionError(
            f"{function} has another signature: it is called with {len(wanted)} arguments, "
            f"{', '.join(wanted)}"
        ) from None
    except (ValueError, RecursionError):  # a callable that tells no signature is simply tried
        pass
    return without_exit(found)


def load_module(path: Path) -> dict:
    """The names that a student's file defines."""
    source = read_source(path)
    try:
        code = compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f" in line {error.lineno}" if error.lineno else ""
        raise SubmissionError(f"{path.name} has a syntax error{line}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise SubmissionError(f"{path.name} cannot be compiled: {first_line(error)}") from error
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    try:
        exec(code, module.__dict__)
    except SystemExit as error:
        raise SubmissionError(
            f"{path.name} calls exit() while it is loaded: leave it out"
        ) from error
    except BaseException as error:
        own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        line = f" in line {own[-1].lineno}" if own else ""
        raise SubmissionError(
            f"{path.name} stopped with {type(error).__name__}{line} while it was loaded: "
            f"{first_line(error)}"
        ) from error
    return module.__dict__


def read_source(path: Path) -> str:
    """The text of a student's file."""
    if not path.is_file():
        raise SubmissionError(f"{path.name} is missing: put it into the folder that is checked")
    if path.stat().st_size > LARGEST:
        raise SubmissionError(f"{path.name} is larger than a megabyte: hand in source code only")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{path.name} is no UTF-8 text: save it as UTF-8") from error
    except OSError as error:
        raise SubmissionError(f"{path.name} cannot be read: {error.strerror}") from error


def without_exit(function: Callable) -> Callable:
    """The function; what it raises to end the program ends only the call."""

    def called(*arguments: object) -> object:
        try:
            return function(*arguments)
        except SystemExit as error:
            raise RuntimeError("it calls exit()") from error
        except (KeyboardInterrupt, GeneratorExit) as error:
            raise RuntimeError("it ends the program that checks it") from error
        except RecursionError as error:
            raise RecursionError("it calls itself without end") from error.with_traceback(None)

    return called


def first_line(error: BaseException) -> str:
    return (str(error).strip().split("\n") or [""])[0][:160]


def a(value: object) -> str:
    return f"a {type(value).__name__}"
