"""Archive: read the files of a folder or of a zip without extracting anything or following a link.

Links, paths that leave the archive, encrypted members and files that are too large are refused with a
sentence. A zip bomb is read only up to the size limit.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

MAX_ENTRIES, MAX_DEPTH = 20_000, 8
MAX_FILE_BYTES, MAX_ZIP_BYTES = 8 * 1024 * 1024, 64 * 1024 * 1024


class RefusedError(Exception):
    """Why a file was not read, in one sentence."""


@dataclass(frozen=True)
class Entry:
    """A file in a folder or a zip.

    path: relative to the folder or the zip. read: a function of the largest number of bytes allowed;
    returns the bytes or raises RefusedError.
    """

    path: PurePosixPath
    read: Callable[[int], bytes]


def entries_of_folder(folder: Path) -> list[Entry]:
    """Return every file in a folder and its subfolders, in order.

    Links are listed too, but reading one is refused.
    """
    entries: list[Entry] = []

    def visit(directory: Path, inside: PurePosixPath, depth: int) -> None:
        for item in sorted(os.scandir(directory), key=lambda item: item.name):
            path = inside / item.name
            if len(entries) >= MAX_ENTRIES or depth > MAX_DEPTH:
                return
            if item.is_dir(follow_symlinks=False):
                visit(Path(item.path), path, depth + 1)
            else:
                entries.append(Entry(path, partial(read_file, Path(item.path))))

    visit(folder, PurePosixPath(), 0)
    return entries


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file. Raises RefusedError for anything else, such as a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        problem = "is a link" if path.is_symlink() else f"cannot be read ({error.strerror})"
        raise RefusedError(f"{path.name} {problem}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RefusedError(f"{path.name} is not a regular file")
        return checked_size(file.read(max_bytes + 1), max_bytes, path.name)


def entries_of_zip(data: bytes | Path, name: str) -> list[Entry]:
    """Return every file in a zip, in order.

    Raises RefusedError if it is not a zip or holds too many files.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data)
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise RefusedError(f"{name} is not a readable zip file") from error
    if len(members) > MAX_ENTRIES:
        raise RefusedError(f"{name} holds more than {MAX_ENTRIES} files")
    return [
        Entry(path_of(member), partial(read_member, archive, member))
        for member in sorted(members, key=lambda member: member.filename)
        if not member.is_dir()
    ]


def path_of(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(member.filename.replace("\\", "/"))


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> bytes:
    """Return the bytes of one member of a zip. Read no more than the limit."""
    path = path_of(member)
    if path.is_absolute() or ".." in path.parts or ":" in member.filename:
        raise RefusedError(f"{path.name} has a path that leads out of its zip file")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise RefusedError(f"{path.name} is a link in a zip file")
    if member.flag_bits & 1:
        raise RefusedError(f"{path.name} is encrypted")
    try:
        with archive.open(member) as file:
            data = file.read(max_bytes + 1)
    except Exception as error:  # a damaged member raises whatever its decompressor raises
        raise RefusedError(f"{path.name} is damaged in its zip file") from error
    return checked_size(data, max_bytes, path.name)


def checked_size(data: bytes, max_bytes: int, name: str) -> bytes:
    if len(data) > max_bytes:
        raise RefusedError(f"{name} is larger than {max_bytes // 1024} KB")
    return data
