"""Sandbox: one sandbox with its warm helper, seen from the trusted side. A job goes in, answers come out."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from scratchae.course.sandbox.files import SandboxFiles
from scratchae.course.sandbox.inside.protocol import Frames, ProtocolError
from scratchae.course.sandbox.isolation import FIRST_UID, command
from scratchae.course.sandbox.limits import Clock, Limits, Timeouts

PATIENCE = 120.0  # seconds for the helper itself, which imports torch
ENDED = "it ended before it answered"


class InfrastructureError(Exception):
    """The machine's fault, not a student's: never a grade.

    >>> raise InfrastructureError("the sandbox's helper is gone")
    Traceback (most recent call last):
    scratchae.course.sandbox.sandbox.InfrastructureError: the sandbox's helper is gone
    """


@dataclass
class Ending:
    """How a child ended: why, CPU seconds, largest memory in bytes.

    >>> Ending("the process was ended by SIGSEGV").reason
    'the process was ended by SIGSEGV'
    """

    reason: str
    cpu: float = 0.0
    memory: int = 0


class Sandbox:
    """A sandbox. `run` forks a child for one job; `close` takes everything in it down.

    isolation: one of isolation.KINDS. used: CPU seconds of the child until its latest answer.

    >>> from scratchae.course.assignment import load_assignment
    >>> from scratchae.course.sandbox.inside.protocol import frame
    >>> files = SandboxFiles(load_assignment("hw1"), isolated=False)
    >>> job = frame({"analyse": True, "files": {"f.py": "def f("}})
    >>> with Sandbox(files, "none") as sandbox:
    ...     [header for header, body in sandbox.run(job)]
    [{'analyse': {'f.py': {'error': 'a syntax error in line 1'}}}]
    >>> files.close()
    """

    def __init__(self, files: SandboxFiles, isolation: str, limits: Limits | None = None) -> None:
        self.files, self.isolation, self.limits = files, isolation, limits or Limits()
        self.process: subprocess.Popen | None = None
        self.children = 0
        self.used = 0.0
        self.ending = Ending("")

    def start(self) -> None:
        """Start the helper afresh and wait until torch is warm; InfrastructureError where it fails."""
        self.close()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                command(self.isolation, self.files.path, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
                start_new_session=True,
            )
        self.held = self.hear()["held"]

    def run(self, job: bytes) -> Iterator[tuple[dict, bytes]]:
        """The frames that a fresh child answers the job with; afterwards `ending` says how it ended.

        The caller may stop asking at any time: the child is killed then. Between two answers there
        is at most the time of `limits`.
        """
        if self.process is None:
            self.start()
        self.ending, self.used = Ending("it was stopped"), 0.0
        answers, job_out = self.fork()
        reason = "it was stopped"
        try:
            reason = yield from self.listen(answers, job_out, job)
        except ProtocolError as error:
            reason = str(error)
        finally:
            os.close(answers)
            with contextlib.suppress(OSError):
                os.close(job_out)
            self.ending = self.end(reason)

    def fork(self) -> tuple[int, int]:
        """Ask the helper for a child: (where its answers come, where its job goes)."""
        job_in, job_out = os.pipe()
        answers, answers_in = os.pipe()
        self.children += 1
        limits: dict = {
            "rlimits": self.limits.rlimits(self.held) if self.isolation != "none" else {}
        }
        if self.isolation != "none" and os.geteuid() == 0:
            # a user that no other child of any sandbox on this machine has at this time
            limits["uid"] = FIRST_UID + os.getpid() % 100_000 * 10_000 + self.children % 10_000
        request = json.dumps({"do": "run", "limits": limits}).encode()
        try:
            socket.send_fds(self.control, [request], [job_in, answers_in])
        except OSError as error:
            self.close()
            raise InfrastructureError("the sandbox's helper is gone") from error
        finally:
            os.close(job_in)
            os.close(answers_in)
        self.hear()
        os.set_blocking(job_out, False)
        return answers, job_out

    def listen(self, answers: int, job_out: int, job: bytes) -> Iterator[tuple[dict, bytes]]:
        """Feed the job, hand out answers; returns why there are no more of them."""
        frames, rest = Frames(most_body=self.limits.answer), memoryview(job)
        timeouts, received = Timeouts(self.limits), 0
        while True:
            ready, writable, _ = select.select([answers], [job_out] if rest else [], [], 0.25)
            if writable:
                try:
                    rest = rest[os.write(job_out, rest[: 1 << 16]) :]
                except BrokenPipeError:
                    rest = rest[:0]
            if ready:
                data = os.read(answers, 1 << 18)
                if not data:
                    return ENDED
                received += len(data)
                for found in frames.feed(data):
                    received, self.used = 0, self.ask({"do": "cpu"})["cpu"]
                    yield found
                    timeouts.restart(self.used)
                if received > 2 * self.limits.answer:
                    return "its answer was too large"
            if timeouts.due() and (reason := timeouts.check(self.ask({"do": "cpu"})["cpu"])):
                return reason

    def end(self, reason: str) -> Ending:
        """Kill the child, or learn how it had ended; a signal it died from by itself is the reason."""
        reply = self.ask({"do": "end", "kill": reason != ENDED})
        if reason == ENDED and reply["code"] < 0:
            reason = f"the process was ended by {signal.Signals(-reply['code']).name}"
        elif reason == ENDED:
            reason = f"the process ended itself with exit code {reply['code']}"
        return Ending(reason, reply["cpu"], reply["memory"])

    def ask(self, request: dict) -> dict:
        try:
            self.control.send(json.dumps(request).encode())
        except OSError as error:
            self.close()
            raise InfrastructureError("the sandbox's helper is gone") from error
        return self.hear()

    def hear(self) -> dict:
        """The helper's reply; it is our own code, but a machine may fail it."""
        clock = Clock()
        while clock.seconds < PATIENCE:
            if select.select([self.control], [], [], 0.25)[0]:
                with contextlib.suppress(OSError):
                    if message := self.control.recv(4096):
                        return json.loads(message)
                break
            clock.tick()
        code = self.process.poll() if self.process else None
        self.close()
        raise InfrastructureError(f"the sandbox's helper does not answer (exit code {code})")

    def close(self) -> None:
        """Take the sandbox down: with its first process everything inside dies."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.control.close()
            self.process = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
