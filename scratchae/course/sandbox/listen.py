"""Read the answers of the process that runs a submission, or find out why it must be stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from dataclasses import dataclass

from scratchae.course.sandbox.inside.protocol import Frames, ProtocolError
from scratchae.course.sandbox.limits import Limits, Timeouts

STOPPED = "it was stopped"
ENDED = "it ended before it answered"


@dataclass
class Ending:
    """How a process ended: why, CPU seconds, largest memory in bytes.

    >>> Ending("the process was ended by SIGSEGV").reason
    'the process was ended by SIGSEGV'
    """

    reason: str
    cpu: float = 0.0
    memory: int = 0


def listen(
    receive: Callable[[], bytes | None], cpu: Callable[[], float], limits: Limits
) -> Generator[tuple[dict, bytes], None, str]:
    """Yield the frames of a process; return why there are no more of them.

    receive: waits a moment and returns bytes, None if none came, or b"" if the process has ended. cpu:
    returns the CPU seconds that it has used so far. The time limits apply to each frame.
    """
    frames, timeouts, size = Frames(max_body=limits.answer), Timeouts(limits), 0
    while True:
        data = receive()
        if data == b"":
            return ENDED
        if data:
            size += len(data)
            try:
                for found in frames.feed(data):
                    size, used = 0, cpu()
                    yield found
                    timeouts.restart(used)
            except ProtocolError as error:
                return str(error)
            if size > 2 * limits.answer:
                return "its answer was too large"
        if timeouts.due() and (reason := timeouts.check(cpu())):
            return reason


def describe_exit(code: int) -> str:
    """Say how a process ended by itself. code: its exit code, or the negative number of a signal.

    >>> describe_exit(3)
    'the process ended itself with exit code 3: remove exit() and os._exit()'
    """
    if code < 0:
        known = -code in list(signal.Signals)
        return f"the process was ended by {signal.Signals(-code).name if known else -code}"
    return f"the process ended itself with exit code {code}: remove exit() and os._exit()"
