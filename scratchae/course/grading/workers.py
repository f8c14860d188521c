"""Workers: processes that grade side by side, each with a sandbox of its own.

A worker is sent a submission and answers with a `Graded`, or it is sent the name of a task, checks
itself and answers with a sentence, which is empty if all is well.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from scratchae.course.assignment import load_assignment
from scratchae.course.grading.grader import ContestGrader, Grader
from scratchae.course.grading.self_check import (
    check_contest,
    check_mistakes,
    check_reference,
    whole_library,
)
from scratchae.course.grading.submissions import Submission
from scratchae.course.sandbox import InfrastructureError, Limits, Sandbox, SandboxFiles

CHECK_EVERY = 50  # submissions of one worker between two self-checks


@dataclass(frozen=True)
class GradingConfig:
    """What a worker needs to know. assignment: its name, or the path of its TOML file."""

    assignment: str | Path
    secret: bytes
    isolation: str
    limits: Limits


@dataclass
class Graded:
    """A student's result, or the failure of the machine that prevented it."""

    student: str
    result: dict | None
    seconds: float = 0.0
    trouble: str = ""


class SelfCheckError(InfrastructureError):
    """A self-check failed. students: those graded since the last good self-check; discard their results."""

    def __init__(self, message: str, students: Iterable[str]) -> None:
        super().__init__(message)
        self.students = list(students)


class GradingSession:
    """A grader with its sandbox, and a second sandbox for self-checks. Each starts when needed."""

    def __init__(self, config: GradingConfig) -> None:
        self.config = config
        self.assignment = load_assignment(config.assignment)
        self.isolated = config.isolation != "none"
        self.files = SandboxFiles(self.assignment, self.isolated)
        self.sandbox = Sandbox(self.files, config.isolation, config.limits)
        kind = ContestGrader if self.assignment.kind == "contest" else Grader
        self.grader = kind(self.assignment, config.secret, self.sandbox)
        self.whole: SandboxFiles | None = None

    def grade(self, submission: Submission) -> Graded:
        """Grade a submission."""
        start, student = time.monotonic(), submission.student
        try:
            return Graded(student, self.grader.grade(submission), time.monotonic() - start)
        except InfrastructureError as error:
            return Graded(student, None, trouble=str(error))
        except MemoryError:
            return Graded(student, None, trouble="the grader itself ran out of memory")

    def self_check(self, task: str = "") -> str:
        """Check the mistakes of a task. Without a task, check the reference.

        Returns what is wrong with the machine, or "".
        """
        try:
            if isinstance(self.grader, ContestGrader):
                check_contest(self.grader)
            elif not task:
                check_reference(self.grader)
            else:
                self.whole = self.whole or whole_library(self.assignment, self.isolated)
                with Sandbox(self.whole, self.config.isolation, self.config.limits) as sandbox:
                    check_mistakes(self.assignment, self.assignment.task(task), sandbox)
        except InfrastructureError as error:
            return str(error)
        except MemoryError:
            return "the grader itself ran out of memory"
        return ""

    def __enter__(self) -> GradingSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.close()
        self.files.close()
        if self.whole is not None:
            self.whole.close()


def work(connection: Connection, config: GradingConfig) -> None:
    """Serve requests until the other side closes the connection."""
    die_with_parent()
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, OSError), GradingSession(config) as session:
        while True:
            request = connection.recv()
            serve = session.grade if isinstance(request, Submission) else session.self_check
            connection.send(serve(request))


def die_with_parent() -> None:
    """Tell Linux to end this process when its parent ends, and let only the parent react to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() == 1:  # the parent has ended already
            os._exit(1)


@dataclass
class Worker:
    """A process and the connection to it.

    request: what it is working on. unchecked: the students that it graded since its last self-check.
    """

    process: BaseProcess
    connection: Connection
    request: Submission | str | None = None
    unchecked: list[str] = field(default_factory=list)


class Pool:
    """Grades with `count` workers. `close` ends all of them."""

    def __init__(self, config: GradingConfig, count: int) -> None:
        self.config = config
        self.workers = [self.start_worker() for _ in range(count)]

    def start_worker(self) -> Worker:
        context = multiprocessing.get_context("spawn")  # a fork would share the expected values
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.config), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def self_check(self, tasks: Iterable[str] = ()) -> None:
        """Check the reference in every worker, and distribute the mistakes of `tasks` among the workers.

        Raises SelfCheckError if a check fails.
        """
        waiting = deque(tasks)
        for worker in self.workers:
            self.send(worker, "")
        for worker, _, reply in self.replies():
            self.accept_check(worker, reply, self.workers)
            if waiting:
                self.send(worker, waiting.popleft())

    def accept_check(
        self, worker: Worker, reply: Graded | str | None, affected: list[Worker]
    ) -> None:
        """Record a good self-check. After a bad one, raise SelfCheckError.

        The error names the students that the workers in `affected` graded since their last good one.
        """
        if reply != "":
            students = [student for other in affected for student in other.unchecked]
            message = reply if isinstance(reply, str) else "a worker ended during its self-check"
            raise SelfCheckError(message, students)
        worker.unchecked.clear()

    def grade(self, submissions: Iterable[Submission]) -> Iterator[Graded]:
        """Yield results in the order in which they are done. Raises SelfCheckError."""
        source = iter(submissions)
        again: deque[Submission] = deque()
        tried: set[str] = set()

        def send_next(worker: Worker) -> None:
            if len(worker.unchecked) >= CHECK_EVERY:
                self.send(worker, "")
            elif (submission := again.popleft() if again else next(source, None)) is not None:
                self.send(worker, submission)

        for worker in self.workers:
            send_next(worker)
        for worker, request, reply in self.replies():
            if not isinstance(request, Submission):
                self.accept_check(worker, reply, [worker])
            elif isinstance(reply, Graded):
                if reply.result is not None:
                    worker.unchecked.append(reply.student)
                yield reply
            else:  # the worker ended: try once more with another one
                worker = self.replace(worker)
                if request.student in tried:
                    trouble = "the grading process ended twice during this submission"
                    yield Graded(request.student, None, trouble=trouble)
                else:
                    tried.add(request.student)
                    again.append(request)
            send_next(worker)
        self.self_check()

    def replace(self, worker: Worker) -> Worker:
        """Start another worker to replace one that ended. Its self-check covers both."""
        new = self.start_worker()
        new.unchecked = worker.unchecked
        self.workers[self.workers.index(worker)] = new
        return new

    def send(self, worker: Worker, request: Submission | str) -> None:
        worker.request = request
        with contextlib.suppress(OSError):  # the worker has ended; `receive` will notice
            worker.connection.send(request)

    def replies(self) -> Iterator[tuple[Worker, Submission | str, Graded | str | None]]:
        """Yield (worker, request, reply) until no worker has a request. reply is None if the worker ended."""
        while busy := [worker for worker in self.workers if worker.request is not None]:
            ready = wait([worker.connection for worker in busy])
            for worker in busy:
                if worker.connection in ready and worker.request is not None:
                    request, worker.request = worker.request, None
                    yield worker, request, self.receive(worker)

    def receive(self, worker: Worker) -> Graded | str | None:
        try:
            return worker.connection.recv()
        except (EOFError, OSError):
            worker.process.kill()
            worker.process.join()
            return None

    def close(self) -> None:
        """Close the connections, and kill the workers that do not end by themselves."""
        for worker in self.workers:
            worker.connection.close()
        for worker in self.workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
