"""Atomic writes: a file is complete or unchanged. It is written beside its place, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scratchae.errors import ScratchaeError

LEFTOVER = ".writing-"  # the start of the name of a file that is not complete yet


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path to write to. It is renamed to `path` if the block ends without an error.

    If the block fails, `path` is unchanged and no other file is left. Raises ScratchaeError if the
    file cannot be written, for example because the disk is full.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/a.txt") as path:
    ...         _ = path.write_text("whole")
    ...         before = Path(f"{folder}/a.txt").exists()
    ...     before, Path(f"{folder}/a.txt").read_text()
    (False, 'whole')
    """
    path = Path(path)
    beside = path.with_name(f"{LEFTOVER}{path.name}")  # same suffix: it tells the format
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        with beside.open("r+b") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError):
            raise ScratchaeError(f"cannot write {path}: {reason(error)}") from error
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove the incomplete files that a killed process left in `folder`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".writing-a.txt").write_text("hal")
    ...     remove_leftovers(Path(folder))
    ...     list(Path(folder).iterdir())
    []
    """
    for path in folder.glob(f"{LEFTOVER}*"):
        path.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file atomically: complete or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(f"{folder}/a.txt", "whole")
    ...     Path(f"{folder}/a.txt").read_text()
    'whole'
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def reason(error: OSError) -> str:
    """Say what went wrong and how to cure it, as the end of an error message.

    >>> reason(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full: free some space or choose another folder'
    """
    cures = {
        errno.ENOSPC: "the disk is full: free some space or choose another folder",
        errno.EDQUOT: "your disk quota is used up: free some space or choose another folder",
        errno.EFBIG: "the file is larger than this system allows: choose another folder",
        errno.EACCES: "permission denied: choose a folder that you may write to",
        errno.EPERM: "permission denied: choose a folder that you may write to",
        errno.EROFS: "the disk is read-only: choose another folder",
        errno.ENOTDIR: "a part of that path is a file: choose another folder",
        errno.EEXIST: "a part of that path is a file: choose another folder",
        errno.EISDIR: "there is a folder with that name: choose another name",
    }
    return cures.get(error.errno or 0, f"{error.strerror or error}: choose another folder")
