"""Files that are either as they were or complete: written beside, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scratchae.errors import ScratchaeError

LEFTOVER = ".writing-"  # how the names of files begin that are not complete yet


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a path to write to; when the block ends well, it becomes `path` in one step.

    When the block fails nothing is left behind and `path` is as it was. A full disk or a folder
    that may not be written to raises ScratchaeError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/a.txt") as path:
    ...         _ = path.write_text("whole")
    ...         before = Path(f"{folder}/a.txt").exists()
    ...     before, Path(f"{folder}/a.txt").read_text()
    (False, 'whole')
    """
    path = Path(path)
    beside = path.with_name(f"{LEFTOVER}{path.name}")  # the same ending: it tells the format
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
    """Remove what a killed process was writing when it ended.

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
    """Write a text file whole or not at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(f"{folder}/a.txt", "whole")
    ...     Path(f"{folder}/a.txt").read_text()
    'whole'
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def reason(error: OSError) -> str:
    """What went wrong and the cure, as half a sentence.

    >>> reason(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full: free some space or choose another folder'
    """
    cures = {
        errno.ENOSPC: "the disk is full: free some space or choose another folder",
        errno.EDQUOT: "your disk quota is used up: free some space or choose another folder",
        errno.EFBIG: "the file would be larger than this system allows: choose another folder",
        errno.EACCES: "permission denied: choose a folder that you may write to",
        errno.EPERM: "permission denied: choose a folder that you may write to",
        errno.EROFS: "the disk is read-only: choose another folder",
        errno.ENOTDIR: "a part of that path is a file: choose another folder",
        errno.EEXIST: "a part of that path is a file: choose another folder",
        errno.EISDIR: "there is a folder of that name: choose another name",
    }
    return cures.get(error.errno, f"{error.strerror or error}: choose another folder")
