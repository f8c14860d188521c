"""Attacks by the way in which files are handed in, and by what is shown of them."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

from scratchae.course.assignment import Assignment
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.outputs import feedback_files, to_csv, to_junit
from scratchae.course.grading.submissions import Submission, find_submissions

WANTED = ("activations.py",)
EVIL = "<script>alert(1)</script>\x1b[2J\x1b]0;owned\x07=cmd|' /C calc'!A0\u202e"


def archive(folder: Path, members: dict[str, bytes], link: str = "") -> Path:
    """A zip of one student with these members; `link` becomes a symlink."""
    path = folder / "mallory.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if name == link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, data)
    return path


def handed_in(folder: Path) -> Submission:
    (found,) = find_submissions(folder, WANTED)
    return found.load()


def zip_slip(folder: Path) -> tuple[bool, str]:
    archive(folder, {"../../activations.py": b"import os", "/etc/activations.py": b"import os"})
    got = handed_in(folder)
    outside = (folder.parent / "activations.py").exists()
    return not got.files and not outside, "; ".join(got.problems)


def symlink_member(folder: Path) -> tuple[bool, str]:
    archive(folder, {"activations.py": b"/etc/passwd"}, link="activations.py")
    got = handed_in(folder)
    return not got.files, "; ".join(got.problems)


def symlink_in_a_folder(folder: Path) -> tuple[bool, str]:
    (folder / "mallory").mkdir()
    (folder / "mallory" / "activations.py").symlink_to("/etc/passwd")
    got = handed_in(folder)
    return not got.files, "; ".join(got.problems)


def zip_bomb(folder: Path) -> tuple[bool, str]:
    archive(folder, {"activations.py": bytes(1 << 28)})
    got = handed_in(folder)
    return not got.files, "; ".join(got.problems)


def zip_in_zip(folder: Path) -> tuple[bool, str]:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("activations.py", "import os")
    archive(folder, {"more.zip": inner.getvalue(), "a/activations.py": b"x = 1"})
    got = handed_in(folder)
    return got.files == {"activations.py": b"x = 1"}, "zips inside a student's zip stay closed"


def no_zip_at_all(folder: Path) -> tuple[bool, str]:
    (folder / "mallory.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    got = handed_in(folder)
    return not got.files, "; ".join(got.problems)


ARCHIVES = {
    "zip-slip": zip_slip,
    "a symlink member": symlink_member,
    "a symlink in a folder": symlink_in_a_folder,
    "a zip bomb": zip_bomb,
    "a zip in a zip": zip_in_zip,
    "a damaged zip": no_zip_at_all,
}


def output(assignment: Assignment, grader: Grader) -> tuple[bool, str]:
    """Terminal escapes, HTML and formulas in what a student can write: name, exception, file's problems."""
    source = f"import torch\n\ndef relu_forward(x):\n    raise ValueError({EVIL!r})\n"
    files = {"activations.py": source.encode()}
    result = grader.grade(Submission(f"=1+1{EVIL}", files, (EVIL,)))
    shown = feedback_files(assignment, result, "")
    shown["results.csv"] = to_csv(assignment, [result], {})
    shown["junit.xml"] = to_junit(assignment, [result], {})
    bad = {name for name, text in shown.items() if "\x1b" in text or "\u202e" in text}
    bad |= {n for n in ("feedback.html", "feedback.md", "junit.xml") if "<script" in shown[n]}
    if any(line.startswith(("=", '"=')) for line in shown["results.csv"].splitlines()):
        bad.add("results.csv")
    return not bad, f"not harmless: {sorted(bad)}" if bad else f"harmless in {', '.join(shown)}"
