"""Pool: workers on all cores; submissions go out as workers become free, results come as they are done."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from scratchae.course.grading.grader import Submission
from scratchae.course.grading.worker import Setup, work
from scratchae.course.sandbox import InfrastructureError

EVERY = 50  # submissions of one worker between two canaries


@dataclass
class Graded:
    """A submission and its table, or the trouble of the infrastructure that kept it from one."""

    submission: Submission
    table: dict | None
    seconds: float = 0.0
    trouble: str = ""


@dataclass
class Worker:
    """A process, the line to it, what it is at, and what it graded since its last canary."""

    process: BaseProcess
    line: Connection
    at: Submission | str | None = None
    since: list[Submission] = field(default_factory=list)


class Pool:
    """`count` workers. Everything they hold ends with `close`."""

    def __init__(self, setup: Setup, count: int) -> None:
        self.setup = setup
        self.workers = [self.hire() for _ in range(count)]

    def hire(self) -> Worker:
        context = multiprocessing.get_context("spawn")  # a fork would share the expected values
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.setup), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def canary(self, tasks: Iterable[str] = ()) -> None:
        """Every worker's answers, and the mistakes of `tasks`, shared out; InfrastructureError."""
        waiting = deque(tasks)
        for worker in self.workers:
            self.send(worker, "canary", "")
        while busy := [worker for worker in self.workers if worker.at is not None]:
            for worker in self.ready(busy):
                reply = self.receive(worker)
                if reply is None or reply[0] != "well":
                    raise InfrastructureError(reply[1] if reply else "a worker died at its canary")
                worker.since.clear()
                if waiting:
                    self.send(worker, "canary", waiting.popleft())

    def grade(
        self, submissions: Iterable[Submission], void: Callable[[list[Submission]], None]
    ) -> Iterator[Graded]:
        """Results in the order they are done. void: told what not to believe when a canary dies."""
        source, again, tried = iter(submissions), deque(), set()

        def next_for(worker: Worker) -> None:
            if len(worker.since) >= EVERY:
                self.send(worker, "canary", "")
                return
            submission = again.popleft() if again else next(source, None)
            if submission is not None:
                self.send(worker, "grade", submission)

        for worker in self.workers:
            next_for(worker)
        while busy := [worker for worker in self.workers if worker.at is not None]:
            for worker in self.ready(busy):
                at, reply = worker.at, self.receive(worker)
                if isinstance(at, str):
                    if reply is None or reply[0] != "well":
                        void(worker.since)
                        raise InfrastructureError(reply[1] if reply else "a worker died")
                    worker.since.clear()
                elif reply is None:  # the worker died: once more, with another
                    since, place = worker.since, self.workers.index(worker)
                    self.workers[place] = worker = self.hire()
                    worker.since = since  # the next canary vouches for these too
                    if at.student in tried:
                        yield Graded(at, None, trouble="the grading process died twice at it")
                    else:
                        tried.add(at.student)
                        again.append(at)
                elif reply[0] == "trouble":
                    yield Graded(at, None, trouble=reply[1])
                else:
                    worker.since.append(at)
                    yield Graded(at, reply[1], reply[2])
                next_for(worker)

    def last_canary(self, void: Callable[[list[Submission]], None]) -> None:
        """After the batch; what a sick worker graded is void."""
        try:
            self.canary()
        except InfrastructureError:
            for worker in self.workers:
                void(worker.since)
            raise

    def send(self, worker: Worker, kind: str, what: Submission | str) -> None:
        worker.at = what
        with contextlib.suppress(OSError):  # it is dead: `receive` finds out
            worker.line.send((kind, what))

    def ready(self, busy: list[Worker]) -> list[Worker]:
        lines = wait([worker.line for worker in busy])
        return [worker for worker in busy if worker.line in lines]

    def receive(self, worker: Worker) -> tuple | None:
        """Its reply, or None where it is dead."""
        worker.at = None
        try:
            return worker.line.recv()
        except (EOFError, OSError):
            worker.process.kill()
            worker.process.join()
            return None

    def close(self) -> None:
        """Hang up; whoever does not go is killed."""
        for worker in self.workers:
            worker.line.close()
        for worker in self.workers:
            worker.process.join(5)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
