"""A plain process: it runs a student's code without isolation, on any system."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from io import BufferedReader

from scratchae.course.sandbox.files import SandboxFiles
from scratchae.course.sandbox.isolation import python_command
from scratchae.course.sandbox.limits import TOO_MUCH_CPU, Limits
from scratchae.course.sandbox.listen import ENDED, STOPPED, Ending, describe_exit, listen
from scratchae.errors import ScratchaeError

OUT_OF_TIME = -getattr(signal, "SIGPROF", 0) or None  # exit code


class PlainProcess:
    """Runs jobs as a `Sandbox` does, each in a fresh process with the rights of the current user.

    used: its CPU seconds until the latest answer. printed: the output that it printed before that
    answer. Only the time limits apply. On Windows a case may take `wall` seconds, because CPU time
    cannot be limited there.

    >>> from scratchae.course.assignment import load_assignment
    >>> from scratchae.course.sandbox.inside.protocol import frame
    >>> files = SandboxFiles(load_assignment("hw1"), isolated=False)
    >>> job = frame({"analyse": True, "files": {"f.py": "def f("}})
    >>> [header["analyse"] for header, body in PlainProcess(files).run(job)]
    [{'f.py': {'error': 'a syntax error in line 1'}}]
    >>> files.close()
    """

    def __init__(self, files: SandboxFiles, limits: Limits | None = None) -> None:
        self.files, self.limits = files, limits or Limits()
        self.used, self.printed = 0.0, ""
        self.ending = Ending("")

    def run(self, job: bytes) -> Iterator[tuple[dict, bytes]]:
        """Yield the answers to a job. Afterwards `ending` says how the process ended.

        Raises ScratchaeError if the process does not start.
        """
        self.ending, self.used = Ending(STOPPED), 0.0
        reason, chunks = STOPPED, queue.SimpleQueue[bytes]()
        with subprocess.Popen(
            python_command(self.files.path, "plain.py", str(self.limits.cpu)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        ) as process:
            assert process.stdin and isinstance(process.stdout, BufferedReader)
            thread = threading.Thread(target=pump, args=(process.stdout, chunks), daemon=True)
            try:
                if process.stdout.read(1) != b"+":  # torch is loaded: the clock starts now
                    raise ScratchaeError(
                        "Python did not start: check that torch is installed in this environment"
                    )
                thread.start()
                with contextlib.suppress(OSError):  # it has ended: `listen` finds out
                    process.stdin.write(job)
                    process.stdin.close()
                reason = yield from self.listen(chunks)
            finally:
                if reason == ENDED:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(5)
                process.kill()
                self.ending = Ending(self.why(reason, process.wait()), self.used)
                if thread.ident:
                    thread.join()

    def listen(self, chunks: queue.SimpleQueue[bytes]) -> Generator[tuple[dict, bytes], None, str]:
        """Yield answers; return why there are no more of them."""

        def receive() -> bytes | None:
            try:
                return chunks.get(timeout=0.25)
            except queue.Empty:
                return None

        # the CPU time is not known here between two answers: the process limits it itself
        limits = replace(self.limits, idle=math.inf)
        answers = listen(receive, lambda: 0.0, limits)
        while True:
            try:
                header, body = next(answers)
            except StopIteration as end:
                return end.value
            self.used, self.printed = header.pop("cpu", 0.0), header.pop("printed", "")
            yield header, body

    def why(self, reason: str, code: int) -> str:
        """Return why there are no more answers."""
        if reason != ENDED:
            return reason
        if code == OUT_OF_TIME:
            return TOO_MUCH_CPU.format(seconds=self.limits.cpu)
        return describe_exit(code)


def pump(stream: BufferedReader, chunks: queue.SimpleQueue[bytes]) -> None:
    """Put all received bytes into a queue, and b"" at the end: a pipe has no timeout on Windows."""
    while data := stream.read1(1 << 18):
        chunks.put(data)
    chunks.put(b"")
