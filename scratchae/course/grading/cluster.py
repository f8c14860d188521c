"""Cluster: grading on a Dask cluster, beyond one machine.

Submissions travel in batches; each worker has its own sandbox, and the canary sings before and after every
batch. The workers need this library with the extra `course`, bubblewrap, and the assignment under the
same name or path. The course's secret travels too: use a cluster of your own, with TLS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, as_completed
from itertools import islice

from scratchae.course.grading.grader import Submission
from scratchae.course.grading.pool import Graded
from scratchae.course.grading.worker import Bench, Setup
from scratchae.course.sandbox import InfrastructureError
from scratchae.errors import ScratchaeError

BATCH = 50  # submissions that travel together


class Cluster:
    """The workers of a Dask scheduler, used as a `Pool` is."""

    def __init__(self, setup: Setup, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise ScratchaeError(
                "--dask needs Dask distributed: pip install 'scratchae[dask]'"
            ) from error
        self.setup = setup
        try:
            self.client = Client(address, timeout=30, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ScratchaeError(
                f"there is no Dask scheduler at {address}: start one with `dask scheduler`"
            ) from error
        self.executor = self.client.get_executor(pure=False, retries=1)

    def canary(self, tasks: Iterable[str] = ()) -> None:
        """The answers, and the mistakes of `tasks`, shared out; InfrastructureError."""
        futures = [self.executor.submit(sing, self.setup, task) for task in ("", *tasks)]
        for future in as_completed(futures):
            if trouble := answer_of(future):
                raise InfrastructureError(trouble)

    def grade(
        self, submissions: Iterable[Submission], void: Callable[[list[Submission]], None]
    ) -> Iterator[Graded]:
        """Results, batch by batch, in the order in which batches are done."""
        source, futures = iter(submissions), {}
        while together := tuple(islice(source, BATCH)):
            futures[self.executor.submit(grade_all, self.setup, together)] = together
        for future in as_completed(futures):
            found = answer_of(future)
            if isinstance(found, str):  # nothing of this batch is believed
                yield from (Graded(s, None, trouble=found) for s in futures[future])
            else:
                yield from found

    def last_canary(self, void: Callable[[list[Submission]], None]) -> None:
        """Nothing to do: every batch has had its own."""

    def close(self) -> None:
        self.executor.shutdown()
        self.client.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def answer_of(future: Future) -> object:
    """What a worker answered; a worker that is lost is trouble of the machine."""
    try:
        return future.result()
    except Exception as error:  # whatever the cluster makes of a lost worker
        return f"a worker of the cluster was lost: {type(error).__name__}"


def sing(setup: Setup, task: str) -> str:
    """On a worker: the canary of a task, or of the answers; the trouble, or ""."""
    try:
        with Bench(setup) as bench:
            bench.canary(task)
    except InfrastructureError as error:
        return str(error)
    return ""


def grade_all(setup: Setup, submissions: tuple[Submission, ...]) -> list[Graded] | str:
    """On a worker: a batch between two canaries, or the trouble that makes it void."""
    found = []
    try:
        with Bench(setup) as bench:
            bench.canary("")
            for submission in submissions:
                began = time.monotonic()
                try:
                    table = bench.grader.grade(submission)
                    found.append(Graded(submission, table, time.monotonic() - began))
                except InfrastructureError as error:
                    found.append(Graded(submission, None, trouble=str(error)))
            bench.canary("")
    except InfrastructureError as error:
        return str(error)
    return found
