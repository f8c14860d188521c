"""Report an error once: if training ends, only one of the workers prints the reason.

The workers share a store of keys and values, torch.distributed's Store. If a worker dies, the others
notice it in one of three ways: their connection to it breaks, the launcher (torchrun) sends them SIGTERM,
or they read in the store that another worker is ending. Then each writes a note into the store, which
says that it is still there. The first of them reports the error, and names the workers without a note.

A second thread waits for the signal and for the store, because the main thread may be waiting in a sum
that never ends.
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
    """Ends this process, and prints the reason if no other worker prints it.

    advice: what the user can do; it is the end of the sentence about a lost worker.

    >>> reporter = ErrorReporter(Workers())
    >>> reporter.advice = "continue with: scratchae train fc --resume"
    """

    def __init__(self, workers: Workers) -> None:
        self.workers, self.advice = workers, "start all of them again"
        self.lock = threading.Lock()  # only one of the two threads may end the process

    @property
    def store(self) -> dist.Store:
        """The store in which the workers leave their notes."""
        assert self.workers.store is not None
        return self.workers.store

    def end(
        self, text: str | None, code: int, otherwise: str = "training was told to stop"
    ) -> None:
        """End this process with exit code `code`; only one worker prints `text`.

        text None: name the workers that are missing; if none is missing, print `otherwise`.
        """
        self.lock.acquire()
        with suppress(RuntimeError):  # if the store is gone, every worker prints its own report
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
                # the store is in this process, not in torchrun: wait until no worker needs it
                self.wait_for([f"done/{rank}" for rank in range(self.workers.size)], PATIENCE)
        os._exit(code)  # a normal exit would wait for the sum that never ends

    def missing(self) -> str:
        """Return a clause that names the workers without a note; "" if all have left one."""
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
        """Wait until all these notes are in the store, but at most so many seconds."""
        until = time.monotonic() + seconds
        while not self.store.check(notes) and time.monotonic() < until:
            time.sleep(0.02)

    def listen(self, inbox: int) -> None:
        """End this process at a signal, or if another worker is ending. This runs in the second thread.

        inbox: the end of the pipe from which the numbers of the signals are read.
        """
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
    """Inside the block, let an error, a signal or the death of a worker end all workers with one message.

    This is for a command, not for a library function, because the process ends. The exit code is 2 for a
    ScratchaeError, 1 if a worker is lost, and 128 + the number of the signal. If there is only one
    worker, nothing changes.

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
            warnings.simplefilter("ignore")  # rank 0 prints the same warnings
        threading.Thread(target=reporter.listen, args=(inbox,), daemon=True).start()
        try:
            yield reporter
        except WorkerLostError as error:
            reporter.end(None, 1, f"the workers lost their connection ({error.__cause__})")
        except ScratchaeError as error:
            reporter.end(str(error), 2)
        except Exception:
            with suppress(RuntimeError):
                store.add("reporters", 1)  # Python prints the traceback, which is the report
                store.set("reported", "")
            raise
        with suppress(RuntimeError):
            store.set(f"here/{workers.rank}", "")  # a worker that has finished is not missing


@contextmanager
def signals_in_a_pipe() -> Iterator[int]:
    """Inside the block, let each signal only write its number, as a byte, into a pipe; yield the other end."""
    outbox, inbox = (socket_end.detach() for socket_end in socket.socketpair())
    os.set_blocking(outbox, False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    old = signal.set_wakeup_fd(outbox, warn_on_full_buffer=False)
    try:
        yield inbox
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(outbox)  # `listen` then reads the end of the pipe, and its thread ends
