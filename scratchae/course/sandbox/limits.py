"""Limits of one child."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """cpu, idle, wall: seconds for one case, of computing, of doing nothing, and in all; task: seconds
    that the cases of one function may waste, after which the rest of them is not tried; function:
    seconds of computing of all of them together; memory: bytes beyond what the warm helper holds;
    answer: bytes of one answer; threads: of one child.

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
        """What the kernel enforces on a child; held: bytes of address space of the helper."""
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
