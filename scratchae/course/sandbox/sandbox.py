"""A sandbox and its helper, seen from the trusted side. A job goes in, answers come out."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator

from scratchae.course.sandbox.files import SandboxFiles
from scratchae.course.sandbox.isolation import FIRST_UID, sandbox_command
from scratchae.course.sandbox.limits import Clock, Limits
from scratchae.course.sandbox.listen import ENDED, STOPPED, Ending, describe_exit, listen

HELPER_TIMEOUT = 120.0  # seconds for the helper, which imports torch


class InfrastructureError(Exception):
    """The machine failed, not a student's work. This is never a grade.

    >>> raise InfrastructureError("the sandbox's helper is gone")
    Traceback (most recent call last):
    scratchae.course.sandbox.sandbox.InfrastructureError: the sandbox's helper is gone
    """


class Sandbox:
    """A sandbox. `run` forks a child for one job; `close` ends everything in it.

    isolation: "bubblewrap", "container" or "none", see `choose_isolation`. used: the CPU seconds of the
    child, as of its latest answer.

    >>> from scratchae.course.assignment import load_assignment
    >>> from scratchae.course.sandbox.inside.protocol import frame
    >>> files = SandboxFiles(load_assignment("hw1"), isolated=False)
    >>> job = frame({"analyse": True, "files": {"f.py": "def f("}})
    >>> with Sandbox(files, "none") as sandbox:
    ...     [header for header, body in sandbox.run(job)]
    [{'analyse': {'f.py': {'error': 'a syntax error in line 1'}}}]
    >>> files.close()
    """

    printed = ""  # output that is printed in a sandbox is discarded

    def __init__(self, files: SandboxFiles, isolation: str, limits: Limits | None = None) -> None:
        self.files, self.isolation, self.limits = files, isolation, limits or Limits()
        self.process: subprocess.Popen | None = None
        self.children = 0
        self.used = 0.0
        self.ending = Ending("")

    def start(self) -> None:
        """Start a fresh helper and wait until it has loaded torch.

        Raises InfrastructureError if that fails.
        """
        self.close()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                sandbox_command(self.isolation, self.files.path, theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
                start_new_session=True,
            )
        self.held = self.hear()["held"]

    def run(self, job: bytes) -> Iterator[tuple[dict, bytes]]:
        """Yield the answers of a fresh child to the job. Afterwards `ending` says how it ended.

        The caller may stop at any time: then the child is killed.
        """
        if self.process is None:
            self.start()
        self.ending, self.used = Ending(STOPPED), 0.0
        answers, job_out = self.fork()
        rest, reason = memoryview(job), STOPPED

        def receive() -> bytes | None:
            nonlocal rest
            ready, writable, _ = select.select([answers], [job_out] if rest else [], [], 0.25)
            if writable:
                try:
                    rest = rest[os.write(job_out, rest[: 1 << 16]) :]
                except BrokenPipeError:
                    rest = rest[:0]
            return os.read(answers, 1 << 18) if ready else None

        try:
            reason = yield from listen(receive, self.cpu, self.limits)
        finally:
            os.close(answers)
            with contextlib.suppress(OSError):
                os.close(job_out)
            self.ending = self.end(reason)

    def fork(self) -> tuple[int, int]:
        """Ask the helper for a child. Return the descriptors of its answers and of its job."""
        job_in, job_out = os.pipe()
        answers, answers_in = os.pipe()
        self.children += 1
        limits: dict = {
            "rlimits": self.limits.rlimits(self.held) if self.isolation != "none" else {}
        }
        if self.isolation != "none" and os.geteuid() == 0:
            # a user id that no other child on this machine has at this time
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

    def cpu(self) -> float:
        """Return the CPU seconds that the child has used so far."""
        self.used = self.ask({"do": "cpu"})["cpu"]
        return self.used

    def end(self, reason: str) -> Ending:
        """Kill the child, or find out how it ended by itself."""
        reply = self.ask({"do": "end", "kill": reason != ENDED})
        if reason == ENDED:
            reason = describe_exit(reply["code"])
        return Ending(reason, reply["cpu"], reply["memory"])

    def ask(self, request: dict) -> dict:
        try:
            self.control.send(json.dumps(request).encode())
        except OSError as error:
            self.close()
            raise InfrastructureError("the sandbox's helper is gone") from error
        return self.hear()

    def hear(self) -> dict:
        """Return the helper's reply. Raises InfrastructureError if there is none."""
        clock = Clock()
        while clock.seconds < HELPER_TIMEOUT:
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
        """End the sandbox: if its first process ends, the kernel ends all processes inside."""
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
