"""Limits of a submission's process, and the clock that shows when it has reached them."""

from __future__ import annotations

import time
from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    For one case: `cpu` seconds of computing, `idle` seconds of doing nothing, `wall` seconds in total.
    For all cases of a function: `task` seconds without an answer, and `function` seconds of
    computing; beyond these the remaining cases are not tried. memory: bytes beyond those that the
    process starts with. answer: bytes of one answer. threads: of one process.

    >>> Limits().rlimits(held=0)["RLIMIT_FSIZE"]  # bytes of a file that may be written
    0
    """

    cpu: float = 5.0
    idle: float = 8.0
    wall: float = 60.0
    task: float = 10.0
    function: float = 60.0
    memory: int = 1024 * MEGABYTE
    answer: int = 4 * MEGABYTE
    threads: int = 64

    def rlimits(self, held: int) -> dict[str, int]:
        """Return the kernel's limits. held: bytes of address space before the submission runs."""
        return {
            "RLIMIT_AS": held + self.memory,
            "RLIMIT_CPU": 600,
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_NPROC": self.threads,
        }


class Clock:
    """Counts seconds, without those during which this process itself was paused."""

    def __init__(self) -> None:
        self.seconds, self.last = 0.0, time.monotonic()

    def tick(self) -> float:
        """Return the seconds since the last tick, at most half a second."""
        now = time.monotonic()
        passed, self.last = min(now - self.last, 0.5), now
        self.seconds += passed
        return passed


class Timeouts:
    """Decides when one case has used its seconds: of computing, of doing nothing, or in total."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.restart(0.0)

    def restart(self, cpu: float) -> None:
        """Start a new case. cpu: the CPU seconds that the process has used so far."""
        self.clock, self.idle, self.start, self.cpu = Clock(), 0.0, cpu, cpu

    def due(self) -> bool:
        """Return whether it is time for another `check`."""
        return time.monotonic() - self.clock.last > 0.2

    def check(self, cpu: float) -> str:
        """Return why the process must be stopped, or "". cpu: the CPU seconds that it has used so far."""
        passed = self.clock.tick()
        self.idle = 0.0 if cpu - self.cpu > 0.02 * passed else self.idle + passed
        self.cpu = cpu
        if cpu - self.start > self.limits.cpu:
            return TOO_MUCH_CPU.format(seconds=self.limits.cpu)
        if self.idle > self.limits.idle:
            return f"it did nothing for {self.limits.idle:g} seconds: remove what it waits for, such as sleep()"
        if self.clock.seconds > self.limits.wall:
            return f"it gave no answer in {self.limits.wall:g} seconds"
        return ""


TOO_MUCH_CPU = "it used more than {seconds:g} seconds of CPU time: look for a loop that never ends"
