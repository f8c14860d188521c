"""The plain process of a student's own check. It protects from accidents, not from attacks.

    python -I -S -B plain.py FOLDER CPU_SECONDS SITE...

It needs neither fork nor Linux. It writes "+" as soon as torch is imported, reads one job from stdin,
and answers in frames on stdout. The output that the student's code prints is kept and sent with the
answers.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time

MAX_PRINTED = 2000  # characters between two answers


class Printed(io.StringIO):
    """Keeps the beginning of the printed output."""

    def write(self, text: str) -> int:
        if self.tell() < MAX_PRINTED:
            super().write(text[: MAX_PRINTED - self.tell()])
        return len(text)

    def take(self) -> str:
        """Return the output that was printed since the last call."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


def main() -> None:
    folder, seconds = sys.argv[1], float(sys.argv[2])
    sys.path[:0] = [folder]
    sys.path += sys.argv[3:]
    from inside.protocol import Frames, frame
    from inside.runner import run_job, warm_up

    warm_up()
    answers = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # output that C code prints must not be mixed with the answers
    os.dup2(null, 2)
    answers.write(b"+")
    answers.flush()
    data = sys.stdin.buffer.read()
    ((header, body),) = Frames(max_header=len(data), max_body=len(data)).feed(data)
    printed, sys.stderr = Printed(), Printed()  # torch warns on stderr
    sys.stdout = printed

    def answer(header: dict, body: bytes) -> None:
        said = "" if "loaded" in header else printed.take()
        answers.write(frame(header | {"printed": said, "cpu": time.process_time()}, body))
        answers.flush()
        limit_cpu(seconds)

    limit_cpu(seconds)
    run_job(header, body, answer)
    os._exit(0)


def limit_cpu(seconds: float) -> None:
    """End the process after this many seconds of computing from now. Windows has no such timer."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()
