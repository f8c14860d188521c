"""Submissions: find out who handed in which files, in the usual layouts.

    folders      <student>/linear.py, or any depth below
    zips         <student>.zip
    Gradescope   submission_<number>/ and submission_metadata.yml
    Canvas       <student>_<number>_<number>_linear.py (or .zip), all in one folder or zip
    Moodle       <student>_<number>_assignsubmission_file/linear.py (or ..._file_linear.py)

All of them may be in a folder or in one zip. Only files with the names that the assignment expects are
read.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scratchae.course.grading.archive import (
    MAX_FILE_BYTES,
    MAX_ZIP_BYTES,
    Entry,
    RefusedError,
    entries_of_folder,
    entries_of_zip,
)
from scratchae.errors import ScratchaeError

METADATA = "submission_metadata.yml"
MOODLE = re.compile(r"^(?P<student>.+_\d+)_assignsubmission_\w+?_?$")
MOODLE_FLAT = re.compile(r"^(?P<student>.+_\d+)_assignsubmission_[a-z]+_(?P<file>.+)$")
CANVAS = re.compile(r"^(?P<student>[^_]+)_(?:LATE_)?(?P<id>\d+)_\d+_(?P<file>.+)$")
# Archives of these kinds are not read, but a student who hands one in appears in the results.
OTHER_ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz")
VERSION = re.compile(r"-\d+(?=\.\w+$)")  # Canvas calls the second linear.py linear-1.py


@dataclass(frozen=True)
class Submission:
    """A student's files as bytes, by name. problems: what was wrong with the files, as sentences."""

    student: str
    files: dict[str, bytes]
    problems: tuple[str, ...] = ()

    def digest(self) -> str:
        """Return a hash of the student and the files."""
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        content = json.dumps([self.student, sorted(hashes.items()), list(self.problems)])
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class UnreadSubmission:
    """A student's entries, not read yet. expected: the names of the files to read."""

    student: str
    entries: tuple[Entry, ...]
    expected: tuple[str, ...]

    def load(self) -> Submission:
        """Read the expected files."""
        problems: list[str] = []
        entries = unzipped(self.entries, problems)
        files = {}
        for name in self.expected:
            matching = [e for e in entries if has_name(e, name) and not is_system_file(e.path)]
            # prefer the file nearest to the top, then the newest version
            matching.sort(key=lambda e: (len(e.path.parts), -version(e.path), str(e.path)))
            same_level = [e for e in matching if len(e.path.parts) == len(matching[0].path.parts)]
            for entry in matching:
                try:
                    files[name] = entry.read(MAX_FILE_BYTES)
                except RefusedError as error:
                    problems.append(f"refused: {error}")
                    continue
                if len(same_level) > 1 and version(entry.path) == 0:
                    problems.append(
                        f"there are {len(same_level)} files {name}: {entry.path} was graded, so "
                        "hand in only one"
                    )
                break
        return Submission(self.student, files, tuple(problems))


def find_submissions(path: Path, expected: tuple[str, ...]) -> list[UnreadSubmission]:
    """Return every student's submission in a folder or zip, sorted by student.

    Raises ScratchaeError if there is none.
    """
    if path.is_dir():
        entries = entries_of_folder(path)
    elif path.is_file():
        try:
            entries = entries_of_zip(path, path.name)
        except RefusedError as error:
            raise ScratchaeError(f"{error}: give a folder or a zip of submissions") from error
    else:
        raise ScratchaeError(f"there is no {path}: give the folder or the zip of submissions")
    entries = [entry for entry in entries if not is_system_file(entry.path)]
    if any(len(e.path.parts) == 1 and e.path.name in expected for e in entries):
        return [UnreadSubmission(path.resolve().stem, tuple(entries), expected)]
    groups = by_student(without_outer_folder(entries, expected))
    if not groups:
        raise ScratchaeError(
            f"there are no submissions in {path}: it must hold one folder or zip for each student, or "
            "an export of Gradescope, Canvas or Moodle"
        )
    return [UnreadSubmission(name, tuple(groups[name]), expected) for name in sorted(groups)]


def without_outer_folder(entries: list[Entry], expected: tuple[str, ...]) -> list[Entry]:
    """Remove the outer folder if it contains all entries and is not a student's."""
    tops = {entry.path.parts[0] for entry in entries}
    if len(tops) != 1 or any(len(e.path.parts) < 3 and e.path.name in expected for e in entries):
        return entries
    if any(len(e.path.parts) == 1 for e in entries) or MOODLE.match(min(tops)):
        return entries
    return [Entry(PurePosixPath(*e.path.parts[1:]), e.read) for e in entries]


def by_student(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Group entries by student. The names of files and folders show the layout."""
    names = gradescope_names(entries)
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        top, *rest = entry.path.parts
        inside = entry.path
        if rest:
            moodle = MOODLE.match(top)
            student = moodle["student"] if moodle else names.get(top, top)
            inside = PurePosixPath(*rest)
        elif flat := MOODLE_FLAT.match(top):
            student, inside = flat["student"], PurePosixPath(flat["file"])
        elif canvas := CANVAS.match(top):
            student, inside = f"{canvas['student']}_{canvas['id']}", PurePosixPath(canvas["file"])
        elif entry.path.suffix.lower() in (".zip", *OTHER_ARCHIVES):
            student = top[: -len(entry.path.suffix)]
        else:
            continue
        groups.setdefault(student, []).append(Entry(inside, entry.read))
    return groups


def gradescope_names(entries: list[Entry]) -> dict[str, str]:
    """Return {submission_<number>: e-mail address, number or name of the student}.

    The names come from the metadata file of a Gradescope export; {} if there is none.
    """
    names: dict[str, str] = {}
    for entry in entries:
        if str(entry.path) != METADATA:
            continue
        try:
            text = entry.read(MAX_ZIP_BYTES).decode("utf-8", "replace")
        except RefusedError as error:
            raise ScratchaeError(f"{error}: export the submissions again") from error
        folder, student = "", dict[str, str]()
        for line in text.splitlines():
            if head := re.match(r"(submission_\d+):", line):
                folder, student = head[1], {}
                names[folder] = folder
            elif folder and (pair := re.match(r"\s+-?\s*:(name|sid|email):\s*(.*)$", line)):
                # setdefault: the first member of a group counts
                student.setdefault(pair[1], pair[2].strip().strip("'\""))
                name = student.get("email") or student.get("sid") or student.get("name")
                names[folder] = f"{name} ({folder})" if name else folder
    return names


def unzipped(entries: tuple[Entry, ...], problems: list[str]) -> list[Entry]:
    """Replace each zip by the entries in it. Zips inside zips stay closed.

    problems: a sentence is added for each archive that is not read.
    """
    found = []
    for entry in entries:
        kind = entry.path.suffix.lower()
        if kind != ".zip":
            found.append(entry)
            if kind in OTHER_ARCHIVES:
                problems.append(
                    f"refused: {entry.path.name} is not a zip: hand in the files, or a zip"
                )
            continue
        try:
            inside = entries_of_zip(entry.read(MAX_ZIP_BYTES), entry.path.name)
            found += [Entry(entry.path.parent / e.path, e.read) for e in inside]
        except RefusedError as error:
            problems.append(f"refused: {error}")
    return found


def has_name(entry: Entry, name: str) -> bool:
    return name in (entry.path.name, VERSION.sub("", entry.path.name))


def version(path: PurePosixPath) -> int:
    """Return the number that Canvas added to a file that was handed in again, or 0."""
    found = VERSION.search(path.name)
    return int(found[0][1:]) if found else 0


def is_system_file(path: PurePosixPath) -> bool:
    """Return whether the operating system, not the student, put the file into the zip."""
    return "__MACOSX" in path.parts or path.name.startswith("._") or path.name == ".DS_Store"
