"""Attacks with the files that are handed in, and with texts from them that are shown to people."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

from scratchae.course.assignment import Assignment
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.outputs import feedback_files, to_csv, to_junit
from scratchae.course.grading.submissions import Submission, find_submissions

EVIL = "<script>alert(1)</script>\x1b[2J\x1b]0;owned\x07=cmd|' /C calc'!A0\u202e"


def write_zip(folder: Path, members: dict[str, bytes], link: str = "") -> None:
    """Write a zip of one student with these members. link: the member that is a symlink."""
    with zipfile.ZipFile(folder / "mallory.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if name == link:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, data)


def zip_slip(folder: Path) -> None:
    write_zip(folder, {"../../activations.py": b"import os", "/etc/activations.py": b"import os"})


def symlink_member(folder: Path) -> None:
    write_zip(folder, {"activations.py": b"/etc/passwd"}, link="activations.py")


def symlink_in_a_folder(folder: Path) -> None:
    (folder / "mallory").mkdir()
    (folder / "mallory" / "activations.py").symlink_to("/etc/passwd")


def zip_bomb(folder: Path) -> None:
    write_zip(folder, {"activations.py": bytes(1 << 28)})


def zip_in_zip(folder: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("activations.py", "import os")
    write_zip(folder, {"more.zip": inner.getvalue()})


def damaged_zip(folder: Path) -> None:
    (folder / "mallory.zip").write_bytes(b"PK\x03\x04" + bytes(100))


ARCHIVES: dict[str, Callable[[Path], None]] = {
    "zip-slip": zip_slip,
    "a symlink member": symlink_member,
    "a symlink in a folder": symlink_in_a_folder,
    "a zip bomb": zip_bomb,
    "a zip in a zip": zip_in_zip,
    "a damaged zip": damaged_zip,
}


def try_archive(name: str, folder: Path) -> tuple[bool, str]:
    """Hand in a hostile archive. Returns (whether nothing of it was read, how it was refused)."""
    ARCHIVES[name](folder)
    (unread,) = find_submissions(folder, ("activations.py",))
    submission = unread.load()
    outside = (folder.parent / "activations.py").exists()
    reason = "; ".join(submission.problems) or "nothing in it was read"
    return not submission.files and not outside, reason


def try_hostile_texts(assignment: Assignment, grader: Grader) -> tuple[bool, str]:
    """Hand in terminal escapes, HTML and formulas as a name, an exception and a problem.

    Returns (whether they are harmless in every output, in which outputs).
    """
    source = f"import torch\n\ndef relu_forward(x):\n    raise ValueError({EVIL!r})\n"
    files = {"activations.py": source.encode()}
    result = grader.grade(Submission(f"=1+1{EVIL}", files, (EVIL,)))
    outputs = feedback_files(assignment, result, "")
    outputs["results.csv"] = to_csv(assignment, [result], {})
    outputs["junit.xml"] = to_junit(assignment, [result], {})
    bad = {name for name, text in outputs.items() if "\x1b" in text or "\u202e" in text}
    bad |= {n for n in ("feedback.html", "feedback.md", "junit.xml") if "<script" in outputs[n]}
    if any(line.startswith(("=", '"=')) for line in outputs["results.csv"].splitlines()):
        bad.add("results.csv")
    return not bad, f"not harmless in {sorted(bad)}" if bad else f"harmless in {', '.join(outputs)}"
