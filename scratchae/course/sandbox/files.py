"""The files of a sandbox: the only folder of ours that a submission can read.

It holds the helper's files, the compiled filter, and the library that a submission may use, one copy for
every set of blanked functions. It never holds a case, an expected value or a submission.
"""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from scratchae.course.assignment import Assignment, Task
from scratchae.course.blanked_sources import library_sources
from scratchae.course.sandbox.syscall_filter import compile_filter

PREFIX = "scratchae-sandbox-"
INSIDE = Path(__file__).with_name("inside")


def remove_leftovers() -> None:
    """Remove the folders of graders that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdecimal() and not is_running(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True


class SandboxFiles:
    """A temporary folder that all users may read. `close` removes it.

    libraries: {task: the folder with its library}.

    >>> from scratchae.course.assignment import load_assignment
    >>> files = SandboxFiles(load_assignment("hw1"), isolated=False)
    >>> sorted(path.name.partition("-")[0] for path in files.path.iterdir())
    ['inside', 'library']
    >>> files.close()
    """

    def __init__(self, assignment: Assignment, isolated: bool = True) -> None:
        remove_leftovers()
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        (self.path / INSIDE.name).mkdir()
        for path in INSIDE.glob("*.py"):
            shutil.copyfile(path, self.path / INSIDE.name / path.name)
        if isolated:
            (self.path / "filter.bpf").write_bytes(compile_filter())
        self.libraries: dict[str, str] = {}
        for task in assignment.tasks:
            self.libraries[task.name] = self.add_library(assignment, task)
        self.open_to_all()

    def open_to_all(self) -> None:
        """Compile the sources, and let every user read them."""
        compileall.compile_dir(self.path, quiet=2)
        for path in (self.path, *self.path.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def add_library(self, assignment: Assignment, task: Task) -> str:
        """Write the library for a task. Return its folder, which tasks with the same library share."""
        sources = library_sources(assignment, task)
        digest = hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()[:12]
        folder = self.path / f"library-{digest}"
        for file, source in sources.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(source, encoding="utf-8")
        return str(folder)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
