"""Worker: a process with a jail of its own, that grades what it is sent.

    ("grade", submission)  -> ("result", table, seconds) or ("trouble", sentence)
    ("canary", task name)  -> ("well",) or ("trouble", sentence); the name "" means the answers

It dies with the process that started it, and its jail with it.
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
from scratchae.course.grading.self_check import mistakes_lose, reference_earns_all, whole_home
from scratchae.course.sandbox import Cell, Home, InfrastructureError, Limits


@dataclass(frozen=True)
class Setup:
    """What every worker has to know. assignment: its name, or the path of its TOML file."""

    assignment: str | Path
    secret: bytes
    walls: str
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
    """A grader with its jail, and the canary's. Both are started when first needed."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.assignment = load_assignment(setup.assignment)
        self.home = Home(self.assignment, setup.walls != "none")
        self.cell = Cell(self.home, setup.walls, setup.limits)
        contest = self.assignment.kind == "contest"
        self.grader = (ContestGrader if contest else Grader)(
            self.assignment, setup.secret, self.cell
        )
        self.whole: Home | None = None

    def canary(self, task: str) -> None:
        """Raise InfrastructureError where something is not well."""
        if isinstance(self.grader, ContestGrader):
            contest_is_well(self.grader)
            return
        if not task:
            reference_earns_all(self.grader)
            return
        if self.whole is None:
            self.whole = whole_home(self.assignment, self.setup.walls != "none")
        with Cell(self.whole, self.setup.walls, self.setup.limits) as cell:
            mistakes_lose(self.assignment, self.assignment.task(task), cell)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.cell.close()
        self.home.close()
        if self.whole is not None:
            self.whole.close()


def die_with_parent() -> None:
    """Linux ends this process when its parent ends, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == 1:
            os._exit(1)
