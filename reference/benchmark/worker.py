"""Worker: a process for one contender, so that nobody's threads or settings reach the others.

The parent asks it to call functions of this package, one at a time. In between it blocks on a
pipe, and its OpenMP threads, which spin for a moment after their last work, are asleep after a short
pause. They may spin inside of a step: with OMP_WAIT_POLICY=passive a step of `fc` by torch.nn took 5.9
ms on two threads, and 2.2 ms as it is, whatever the pause.
"""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from reference.benchmark.machine import processors

PAUSE = 0.02  # seconds in which the threads of the one before fall asleep


class WorkerError(RuntimeError):
    """Something failed in a worker; the text is its traceback."""


class Worker:
    """A process with so many threads; `ask(function, ...)` is function(state, ...), carried out there.

    state: a dict of the worker's own that stays from call to call. flush: denormals count as 0.
    pinned: the process may use no more processors than threads, which is what limits JAX.
    Exceptions of the kind `expected` come back as they are, others as WorkerError.

    >>> with Worker(threads=1) as worker:
    ...     worker.ask(dict.__len__)
    0
    """

    def __init__(
        self,
        threads: int,
        *,
        flush: bool = True,
        pinned: bool = False,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        arguments = (theirs, threads, flush, expected)
        self.process = spawn.Process(target=serve, args=arguments, daemon=True)
        with environment(threads, pinned):
            self.process.start()
        theirs.close()

    def start(self, function: Callable, *args) -> None:
        """Ask without waiting for the answer."""
        self.connection.send((function, args))

    def result(self) -> Any:
        """The answer to the oldest `start` that is still open."""
        try:
            kind, value = self.connection.recv()
        except EOFError as error:
            self.process.join()
            raise WorkerError(f"a worker ended with code {self.process.exitcode}") from error
        if kind == "expected":
            raise value
        if kind == "failed":
            raise WorkerError(value)
        return value

    def ask(self, function: Callable, *args) -> Any:
        self.start(function, *args)
        return self.result()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()  # it reads this as the end
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextmanager
def environment(threads: int, pinned: bool) -> Iterator[None]:
    """What a process that starts inside will inherit: its number of threads and its processors."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in (*names, "XLA_PYTHON_CLIENT_PREALLOCATE")}
    allowed = os.sched_getaffinity(0) if pinned else None
    try:
        os.environ.update(dict.fromkeys(names, str(threads)))
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # on a GPU, leave room for others
        if pinned:
            os.sched_setaffinity(0, processors(threads))
        yield
    finally:
        if pinned:
            os.sched_setaffinity(0, allowed)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def serve(
    connection: Connection,
    threads: int,
    flush: bool,
    expected: tuple[type[Exception], ...],
) -> None:
    """The worker's side: call what is asked for until the parent closes the pipe."""
    import torch

    torch.set_flush_denormal(flush)  # before the first parallel operation: its threads inherit it
    torch.backends.cudnn.allow_tf32 = False  # float32 on all sides
    torch.set_num_threads(threads)
    # an engine that falls back to eager would be measured under a name that is not its own
    warnings.filterwarnings("error", message=".*steps are those of eager")
    state: dict = {}
    while True:
        try:
            function, args = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            answer = ("done", function(state, *args))
        except expected as error:
            answer = ("expected", error)
        except KeyboardInterrupt:
            return
        except Exception:
            answer = ("failed", traceback.format_exc())
        connection.send(answer)


def pause() -> None:
    time.sleep(PAUSE)
