"""Watch: when a child has had its time. Only time that could really be used counts."""

from __future__ import annotations

import time

from scratchae.course.sandbox.limits import Limits


class Clock:
    """Seconds that really could be used: where this process itself was paused, no time has passed."""

    def __init__(self) -> None:
        self.seconds, self.last = 0.0, time.monotonic()

    def tick(self) -> float:
        """The seconds since the last tick."""
        now = time.monotonic()
        passed, self.last = min(now - self.last, 0.5), now
        self.seconds += passed
        return passed


class Watch:
    """Tells when a test has had its time: CPU seconds, seconds without doing anything, or in all."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.restart(0.0)

    def restart(self, cpu: float) -> None:
        """A new test begins; cpu: what the child had used until then."""
        self.clock, self.idle, self.start, self.cpu = Clock(), 0.0, cpu, cpu

    def due(self) -> bool:
        return time.monotonic() - self.clock.last > 0.2

    def look(self, cpu: float) -> str:
        """Why the child has to be stopped, or ""."""
        passed = self.clock.tick()
        self.idle = 0.0 if cpu - self.cpu > 0.02 * passed else self.idle + passed
        self.cpu = cpu
        if cpu - self.start > self.limits.cpu:
            return (
                f"it used more than {self.limits.cpu:g} seconds of CPU time: does a loop never end?"
            )
        if self.idle > self.limits.idle:
            return f"it did nothing for {self.limits.idle:g} seconds: does it wait for something?"
        if self.clock.seconds > self.limits.wall:
            return f"it gave no answer in {self.limits.wall:g} seconds"
        return ""
