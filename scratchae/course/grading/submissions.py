"""Submissions: who handed in what, from the layouts that courses have.

    folders      <student>/linear.py, or any depth below
    zips         <student>.zip
    Gradescope   submission_<number>/ and submission_metadata.yml
    Canvas       <student>_<number>_<number>_linear.py (or .zip), all in one folder or zip
    Moodle       <student>_<number>_assignsubmission_file/linear.py (or ..._file_linear.py)

All of it may lie in a folder or in one zip. Only files with the names that the assignment asks for are
read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scratchae.course.grading.archive import (
    LARGEST_FILE,
    LARGEST_ZIP,
    Entry,
    RefusedError,
    entries_of_folder,
    entries_of_zip,
)
from scratchae.course.grading.grader import Submission
from scratchae.errors import ScratchaeError

METADATA = "submission_metadata.yml"
MOODLE = re.compile(r"^(?P<student>.+_\d+)_assignsubmission_\w+?_?$")
MOODLE_FLAT = re.compile(r"^(?P<student>.+_\d+)_assignsubmission_[a-z]+_(?P<file>.+)$")
CANVAS = re.compile(r"^(?P<student>[^_]+)_(?:LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)$")
# not read, but nobody who hands one in is lost
OTHER_ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz")
VERSION = re.compile(r"-\d+(?=\.\w+$)")  # Canvas calls the second linear.py linear-1.py


@dataclass(frozen=True)
class Waiting:
    """A student's entries; `load` reads the wanted ones."""

    student: str
    entries: tuple[Entry, ...]
    wanted: tuple[str, ...]

    def load(self) -> Submission:
        """The wanted files as bytes, and what was wrong."""
        problems: list[str] = []
        entries = unzipped(self.entries, problems)
        files = {}
        for name in self.wanted:
            fitting = [e for e in entries if fits(e.path.name, name) and not is_litter(e.path)]
            if not fitting:
                continue
            fitting.sort(key=lambda e: (len(e.path.parts), -version(e.path), str(e.path)))
            level = [e for e in fitting if len(e.path.parts) == len(fitting[0].path.parts)]
            for entry in fitting:
                try:
                    files[name] = entry.read(LARGEST_FILE)
                except RefusedError as error:
                    problems.append(f"refused: {error}")
                    continue
                if len(level) > 1 and version(entry.path) == 0:
                    problems.append(f"there are {len(level)} files {name}: {entry.path} was taken")
                break
        return Submission(self.student, files, tuple(problems))


def find_submissions(place: Path, wanted: tuple[str, ...]) -> list[Waiting]:
    """Every student's submission in a folder or zip, by name; ScratchaeError where there is none."""
    if place.is_dir():
        entries = entries_of_folder(place)
    elif place.is_file():
        try:
            entries = entries_of_zip(place, place.name)
        except RefusedError as error:
            raise ScratchaeError(f"{error}: give a folder or a zip of submissions") from error
    else:
        raise ScratchaeError(f"there is no {place}: give the folder or the zip of submissions")
    entries = [entry for entry in entries if not is_litter(entry.path)]
    if any(len(e.path.parts) == 1 and e.path.name in wanted for e in entries):
        return [Waiting(place.resolve().stem, tuple(entries), wanted)]
    groups = dict(grouped(without_wrapper(entries, wanted)))
    if not groups:
        raise ScratchaeError(
            f"there are no submissions in {place}: wanted is a folder or a zip a student, or an export "
            "of Gradescope, Canvas or Moodle"
        )
    return [Waiting(name, tuple(groups[name]), wanted) for name in sorted(groups)]


def without_wrapper(entries: list[Entry], wanted: tuple[str, ...]) -> list[Entry]:
    """The entries without a single folder that all of them lie in, if that is not a student's."""
    tops = {entry.path.parts[0] for entry in entries}
    if len(tops) != 1 or any(len(e.path.parts) < 3 and e.path.name in wanted for e in entries):
        return entries
    if any(len(e.path.parts) == 1 for e in entries) or MOODLE.match(min(tops)):
        return entries
    return [Entry(PurePosixPath(*e.path.parts[1:]), e.read) for e in entries]


def grouped(entries: list[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """(student, entries); the layout is told by the names."""
    names = gradescope_names(entries)
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        top, *rest = entry.path.parts
        if not rest:
            if (moodle := MOODLE_FLAT.match(top)) is not None:
                student = moodle["student"]
                inside = Entry(PurePosixPath(moodle["file"]), entry.read)
            elif (canvas := CANVAS.match(top)) is not None:
                student = f"{canvas['student']}_{canvas['id']}"
                inside = Entry(PurePosixPath(canvas["file"]), entry.read)
            elif entry.path.suffix.lower() in (".zip", *OTHER_ARCHIVES):
                student, inside = top[: -len(entry.path.suffix)], entry
            else:
                continue
        else:
            moodle = MOODLE.match(top)
            student = moodle["student"] if moodle else names.get(top, top)
            inside = Entry(PurePosixPath(*rest), entry.read)
        groups.setdefault(student, []).append(inside)
    yield from groups.items()


def gradescope_names(entries: list[Entry]) -> dict[str, str]:
    """{submission_<number>: the student's e-mail address, number or name} of a Gradescope export."""
    found: dict[str, str] = {}
    for entry in entries:
        if str(entry.path) != METADATA:
            continue
        try:
            text = entry.read(LARGEST_ZIP).decode("utf-8", "replace")
        except RefusedError as error:
            raise ScratchaeError(f"{error}: export the submissions again") from error
        current, told = "", {}
        for line in [*text.splitlines(), "submission_0:"]:
            if (head := re.match(r"^(submission_\d+):", line)) is not None:
                if current:
                    name = told.get("email") or told.get("sid") or told.get("name")
                    found[current] = f"{name} ({current})" if name else current
                current, told = head[1], {}
            elif (pair := re.match(r"^\s+-?\s*:(name|sid|email):\s*(.*)$", line)) is not None:
                told.setdefault(pair[1], pair[2].strip().strip("'\""))
    return found


def unzipped(entries: tuple[Entry, ...], problems: list[str]) -> list[Entry]:
    """The entries, with those of zips among them in their place; zips inside zips stay closed."""
    found = []
    for entry in entries:
        if (kind := entry.path.suffix.lower()) != ".zip":
            found.append(entry)
            if kind in OTHER_ARCHIVES:
                problems.append(
                    f"refused: {entry.path.name} is no zip: hand in the files, or a zip"
                )
            continue
        try:
            inside = entries_of_zip(entry.read(LARGEST_ZIP), entry.path.name)
            found += [Entry(entry.path.parent / e.path, e.read) for e in inside]
        except RefusedError as error:
            problems.append(f"refused: {error}")
    return found


def fits(name: str, wanted: str) -> bool:
    return name == wanted or VERSION.sub("", name) == wanted


def version(path: PurePosixPath) -> int:
    found = VERSION.search(path.name)
    return int(found[0][1:]) if found else 0


def is_litter(path: PurePosixPath) -> bool:
    """What operating systems leave in zips."""
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store"
