"""Worker: a process for one contender, so that its threads and settings do not affect the others.

The parent asks the worker to call functions, one at a time. Between calls the worker waits on a
pipe. Its OpenMP threads spin for a moment after their last work, and sleep after a short pause. They
may spin during a step: with OMP_WAIT_POLICY=passive a step of `fc` by torch.nn takes 5.9 ms on two
threads, instead of 2.2 ms.
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

PAUSE = 0.02  # seconds until the threads of the previous contender sleep


class WorkerError(RuntimeError):
    """A function failed in a worker. The message is its traceback."""


class Worker:
    """A process with a given number of threads. `ask(function, ...)` calls function(state, ...) in it.

    state: a dict of the worker that is kept between calls. flush: flush denormals to 0. pinned: the
    process may use only as many processors as threads; this limits JAX. Exceptions of the types
    `expected` are raised again in the parent, all others as WorkerError.

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
        """Start a call without waiting for its result."""
        self.connection.send((function, args))

    def result(self) -> Any:
        """Return the result of the oldest call that was started."""
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
        """Call a function in the worker, and return its result."""
        self.start(function, *args)
        return self.result()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()  # tells the worker to end
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextmanager
def environment(threads: int, pinned: bool) -> Iterator[None]:
    """Set the threads and processors that a process started in this block inherits."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in (*names, "XLA_PYTHON_CLIENT_PREALLOCATE")}
    allowed = os.sched_getaffinity(0) if pinned else None
    try:
        os.environ.update(dict.fromkeys(names, str(threads)))
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # leave GPU memory for the others
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
    """In the worker: call functions until the parent closes the pipe."""
    import torch

    torch.set_flush_denormal(flush)  # before the first parallel operation, whose threads inherit it
    torch.backends.cudnn.allow_tf32 = False  # float32 on all sides
    torch.set_num_threads(threads)
    # An engine that falls back to eager must not be measured under its own name.
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
