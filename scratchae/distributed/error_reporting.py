"""Report an error once: however many workers there are, one of them prints why training ended.

If a worker dies, the others notice it: gloo's connections to it break, the launcher (torchrun) sends
them SIGTERM, or they read in the store that another worker is ending. Each then leaves a note in the
store that it is still there. The first to ask is the one that reports; it names those whose note is
missing.

A thread of its own waits for all of this, since the main one may be inside a sum that never ends.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch.distributed as dist

from scratchae.distributed.workers import WorkerLostError, Workers
from scratchae.errors import ScratchaeError

SIGNALS = [s for name in ("SIGTERM", "SIGINT", "SIGHUP") if (s := getattr(signal, name, None))]
PATIENCE = 3.0  # seconds to wait for the other workers' notes


class ErrorReporter:
    """Ends this process, and prints the reason if no other worker has done so.

    advice: how to go on; it ends the sentence about a lost worker.

    >>> reporter = ErrorReporter(Workers())
    >>> reporter.advice = "continue with: scratchae train fc --resume"
    """

    def __init__(self, workers: Workers) -> None:
        self.workers, self.advice = workers, "start all of them again"
        self.lock = threading.Lock()  # the main thread and the listening one must not both end it

    @property
    def store(self) -> dist.Store:
        """Where the workers leave their notes."""
        assert self.workers.store is not None
        return self.workers.store

    def end(
        self, text: str | None, code: int, otherwise: str = "training was told to stop"
    ) -> None:
        """End this process with exit code `code`; one worker alone prints `text`.

        text None: say which workers are missing, or `otherwise` if none is.
        """
        self.lock.acquire()
        with suppress(RuntimeError):  # without the store every worker reports by itself
            self.store.set(f"here/{self.workers.rank}", "")
            self.store.set("ending", "")
            if self.store.add("reporters", 1) > 1:
                self.wait_for(["reported"], 2 * PATIENCE)
                text = ""
        if text is None:
            text = f"{self.missing() or otherwise}: {self.advice}"
        if text:
            print(f"\nerror: {text}", file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        with suppress(RuntimeError):
            self.store.set("reported", "")
            self.store.set(f"done/{self.workers.rank}", "")
            if self.workers.is_rank_0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
                # the store lives in this process, not in torchrun: stay until nobody needs it
                self.wait_for([f"done/{rank}" for rank in range(self.workers.size)], PATIENCE)
        os._exit(code)  # nothing else can end a sum that waits for a dead worker

    def missing(self) -> str:
        """Return which workers have left no note, as half a sentence; empty if all have."""
        ranks = range(self.workers.size)
        try:
            self.wait_for([f"here/{rank}" for rank in ranks], PATIENCE)
            lost = [rank for rank in ranks if not self.store.check([f"here/{rank}"])]
            names = [f"{rank} ({self.store.get(f'home/{rank}').decode()})" for rank in lost]
        except RuntimeError:
            return "the process that started the workers cannot be reached"
        if not lost:
            return ""
        who = f"worker {names[0]}" if len(lost) == 1 else f"workers {', '.join(names)}"
        return f"{who} of {self.workers.size} died or cannot be reached, so training stopped"

    def wait_for(self, notes: list[str], seconds: float) -> None:
        """Wait until all notes are there, or so many seconds have passed."""
        until = time.monotonic() + seconds
        while not self.store.check(notes) and time.monotonic() < until:
            time.sleep(0.02)

    def listen(self, inbox: int) -> None:
        """Run in a thread: end this process at a signal, or if another worker is ending."""
        while True:
            ready, _, _ = select.select([inbox], [], [], 1.0)
            if ready:
                number = os.read(inbox, 1)
                if not number:
                    return os.close(inbox)
                self.end(None, 128 + number[0])
            try:
                ending = self.store.check(["ending"])
            except RuntimeError:
                ending = True
            if ending:
                self.end(None, 1)


@contextmanager
def report_errors_once(workers: Workers) -> Iterator[ErrorReporter]:
    """Inside, an error, a signal or the death of a worker ends all workers, with one message.

    For a command, not for a library call: the process ends. Its exit code is 2 for a ScratchaeError,
    1 if a worker is lost, and 128 + the number of a signal. With one worker nothing is changed.

    >>> with report_errors_once(Workers()) as reporter:
    ...     reporter.advice = "continue with: scratchae train fc --resume"
    """
    reporter = ErrorReporter(workers)
    if workers.size == 1:
        yield reporter
        return
    store = reporter.store
    store.set(f"home/{workers.rank}", f"process {os.getpid()} on {socket.gethostname()}")
    with signals_in_a_pipe() as inbox, warnings.catch_warnings():
        if not workers.is_rank_0:
            warnings.simplefilter("ignore")  # rank 0 prints the same ones
        threading.Thread(target=reporter.listen, args=(inbox,), daemon=True).start()
        try:
            yield reporter
        except WorkerLostError as error:
            reporter.end(None, 1, f"the workers lost their connection ({error.__cause__})")
        except ScratchaeError as error:
            reporter.end(str(error), 2)
        except Exception:
            with suppress(RuntimeError):
                store.add("reporters", 1)  # the traceback is the report
                store.set("reported", "")
            raise
        with suppress(RuntimeError):
            store.set(f"here/{workers.rank}", "")  # a worker that has finished is not missing


@contextmanager
def signals_in_a_pipe() -> Iterator[int]:
    """Inside, signals only arrive in the pipe whose end is yielded, one byte each."""
    outbox, inbox = (socket_end.detach() for socket_end in reversed(socket.socketpair()))
    os.set_blocking(outbox, False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    old = signal.set_wakeup_fd(outbox, warn_on_full_buffer=False)
    try:
        yield inbox
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(outbox)  # ends the thread
