"""Read and load a student's files. An error is one sentence to the student."""

from __future__ import annotations

from pathlib import Path

from scratchae.course.grading.serialization import load_error_sentence
from scratchae.course.sandbox.inside.runner import load

MAX_BYTES = 1_000_000  # of a source file


class SubmissionError(Exception):
    """A submission has a mistake. The message is one sentence to the student."""


def read_source(path: Path) -> str:
    """Return the text of a student's file. Raises SubmissionError if there is none."""
    if not path.is_file():
        raise SubmissionError(f"{path.name} is missing: put it into the folder that you check")
    if path.stat().st_size > MAX_BYTES:
        raise SubmissionError(f"{path.name} is larger than a megabyte: hand in source code only")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{path.name} is not UTF-8 text: save it as UTF-8") from error
    except OSError as error:
        raise SubmissionError(f"{path.name} cannot be read: {error.strerror}") from error


def load_module(path: Path) -> dict:
    """Run a student's file in this process, and return the names that it defines.

    Raises SubmissionError if the file cannot be read or raises an exception.
    """
    module = load(str(path), read_source(path))
    if isinstance(module, dict):
        raise SubmissionError(load_error_sentence(path.name, module["load_error"]))
    return vars(module)


def first_line(error: BaseException) -> str:
    return (str(error).strip().split("\n") or [""])[0][:160]
