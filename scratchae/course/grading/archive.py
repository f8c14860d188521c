"""Archive: the files of a folder or of a zip, looked at but never extracted and never followed.

Links, odd names, encrypted members and whatever is too large are refused with a sentence; a zip bomb
is read only as far as the cap.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MOST_ENTRIES, DEEPEST = 20_000, 8
LARGEST_FILE, LARGEST_ZIP = 8 * 1024 * 1024, 64 * 1024 * 1024


class RefusedError(Exception):
    """Why a file was not read, in one sentence."""


@dataclass(frozen=True)
class Entry:
    """A file: where it lies, and how at most so many of its bytes are read (RefusedError)."""

    path: PurePosixPath
    read: Callable[[int], bytes]


def entries_of_folder(folder: Path) -> list[Entry]:
    """Every file in a folder and those below it, links too (reading one is refused), in order."""
    found: list[Entry] = []

    def look(place: Path, inside: PurePosixPath, depth: int) -> None:
        for item in sorted(os.scandir(place), key=lambda item: item.name):
            path = inside / item.name
            if len(found) >= MOST_ENTRIES or depth > DEEPEST:
                return
            if item.is_dir(follow_symlinks=False):
                look(Path(item.path), path, depth + 1)
            else:
                found.append(Entry(path, lambda most, at=Path(item.path): read_file(at, most)))

    look(folder, PurePosixPath(), 0)
    return found


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a plain file; anything else, a link above all, is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        kind = "is a link" if path.is_symlink() else f"cannot be read ({error.strerror})"
        raise RefusedError(f"{path.name} {kind}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RefusedError(f"{path.name} is no plain file")
        return capped(file.read(most + 1), most, path.name)


def entries_of_zip(data: bytes | Path, name: str) -> list[Entry]:
    """Every file in a zip, in order; RefusedError where it is none or has too many."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data)
        infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RefusedError(f"{name} is no zip file that can be read") from error
    if len(infos) > MOST_ENTRIES:
        raise RefusedError(f"{name} has more than {MOST_ENTRIES} files in it")
    return [
        Entry(
            PurePosixPath(info.filename.replace("\\", "/")),
            lambda most, info=info: read_member(archive, info, most),
        )
        for info in sorted(infos, key=lambda info: info.filename)
        if not info.is_dir()
    ]


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """The bytes of one member, read as far as the cap."""
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in info.filename:
        raise RefusedError(f"{path.name} has a path that leads out of its zip file")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise RefusedError(f"{path.name} is a link in a zip file")
    if info.flag_bits & 1:
        raise RefusedError(f"{path.name} is encrypted")
    try:
        with archive.open(info) as file:
            return capped(file.read(most + 1), most, path.name)
    except RefusedError:
        raise
    except Exception as error:  # a damaged member may raise whatever its decompressor does
        raise RefusedError(f"{path.name} is damaged in its zip file") from error


def capped(data: bytes, most: int, name: str) -> bytes:
    if len(data) > most:
        raise RefusedError(f"{name} is larger than {most // 1024} KB")
    return data
