"""Cluster: grade on a Dask cluster of several machines.

Submissions are sent in batches. Each worker has its own sandbox and checks itself before and after every
batch. The workers need this library with the extra `course`, bubblewrap, and the assignment under the
same name or path. The course's secret is sent to them too: use your own cluster, with TLS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, as_completed
from itertools import islice
from typing import TypeVar

from scratchae.course.grading.submissions import Submission
from scratchae.course.grading.workers import Graded, GradingConfig, GradingSession, SelfCheckError
from scratchae.errors import ScratchaeError

BATCH = 50  # submissions that are sent together
T = TypeVar("T")


class Cluster:
    """The workers of a Dask scheduler. It is used like a `Pool`."""

    def __init__(self, config: GradingConfig, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise ScratchaeError(
                "--dask needs Dask distributed: pip install 'scratchae[dask]'"
            ) from error
        self.config = config
        try:
            self.client = Client(address, timeout=30, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ScratchaeError(
                f"there is no Dask scheduler at {address}: start one with `dask scheduler`"
            ) from error
        self.executor = self.client.get_executor(pure=False, retries=1)

    def self_check(self, tasks: Iterable[str] = ()) -> None:
        """Distribute the checks of the reference and of the mistakes of `tasks` among the workers.

        Raises SelfCheckError if a check fails.
        """
        futures = [self.executor.submit(check_worker, self.config, task) for task in ("", *tasks)]
        for future in as_completed(futures):
            if trouble := answer_of(future):
                raise SelfCheckError(trouble, ())

    def grade(self, submissions: Iterable[Submission]) -> Iterator[Graded]:
        """Yield results, batch by batch, in the order in which the batches are done."""
        source, futures = iter(submissions), {}
        while batch := tuple(islice(source, BATCH)):
            futures[self.executor.submit(grade_batch, self.config, batch)] = batch
        for future in as_completed(futures):
            found = answer_of(future)
            if isinstance(found, str):
                yield from (Graded(s.student, None, trouble=found) for s in futures[future])
            else:
                yield from found

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown()
        self.client.close()


def answer_of(future: Future[T]) -> T | str:
    """Return a worker's answer. If the worker is lost, return the trouble."""
    try:
        return future.result()
    except Exception as error:  # whatever Dask raises for a lost worker
        return f"a worker of the cluster was lost: {type(error).__name__}"


def check_worker(config: GradingConfig, task: str) -> str:
    """Run a self-check on a worker. Returns the trouble, or ""."""
    with GradingSession(config) as session:
        return session.self_check(task)


def grade_batch(config: GradingConfig, submissions: tuple[Submission, ...]) -> list[Graded] | str:
    """Grade a batch on a worker between two self-checks.

    Returns the trouble if one of them fails; the results of the batch are discarded then.
    """
    with GradingSession(config) as session:
        if trouble := session.self_check():
            return trouble
        found = [session.grade(submission) for submission in submissions]
        return session.self_check() or found
