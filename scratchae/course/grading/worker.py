"""Worker: a process with a sandbox of its own, that grades what it is sent.

    ("grade", submission)  -> ("result", table, seconds) or ("trouble", sentence)
    ("canary", task name)  -> ("well",) or ("trouble", sentence); the name "" means the answers

It dies with the process that started it, and its sandbox with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from scratchae.course.assignment import load_assignment
from scratchae.course.grading.contest import ContestGrader, contest_is_well
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.self_check import mistakes_lose, reference_earns_all, whole_library
from scratchae.course.sandbox import InfrastructureError, Limits, Sandbox, SandboxFiles


@dataclass(frozen=True)
class Setup:
    """What every worker has to know. assignment: its name, or the path of its TOML file."""

    assignment: str | Path
    secret: bytes
    isolation: str
    limits: Limits


def work(requests: Connection, setup: Setup) -> None:
    """Serve requests until the other side hangs up."""
    die_with_parent()
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, OSError), Bench(setup) as bench:
        while True:
            kind, what = requests.recv()
            began = time.monotonic()
            try:
                if kind == "grade":
                    table = bench.grader.grade(what)
                    requests.send(("result", table, time.monotonic() - began))
                else:
                    bench.canary(what)
                    requests.send(("well",))
            except InfrastructureError as error:
                requests.send(("trouble", str(error)))
            except MemoryError:
                requests.send(("trouble", "the grader itself ran out of memory"))


class Bench:
    """A grader with its sandbox, and the canary's. Both are started when first needed."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.assignment = load_assignment(setup.assignment)
        self.files = SandboxFiles(self.assignment, setup.isolation != "none")
        self.sandbox = Sandbox(self.files, setup.isolation, setup.limits)
        contest = self.assignment.kind == "contest"
        self.grader = (ContestGrader if contest else Grader)(
            self.assignment, setup.secret, self.sandbox
        )
        self.whole: SandboxFiles | None = None

    def canary(self, task: str) -> None:
        """Raise InfrastructureError where something is not well."""
        if isinstance(self.grader, ContestGrader):
            contest_is_well(self.grader)
            return
        if not task:
            reference_earns_all(self.grader)
            return
        if self.whole is None:
            self.whole = whole_library(self.assignment, self.setup.isolation != "none")
        with Sandbox(self.whole, self.setup.isolation, self.setup.limits) as sandbox:
            mistakes_lose(self.assignment, self.assignment.task(task), sandbox)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.close()
        self.files.close()
        if self.whole is not None:
            self.whole.close()


def die_with_parent() -> None:
    """Linux ends this process when its parent ends, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == 1:
            os._exit(1)
