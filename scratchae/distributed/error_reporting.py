"""One voice: however many workers there are, and however training ends, one of them says why.

When a worker dies the others notice: gloo's connections to it break, the launcher (torchrun) sends
them SIGTERM, or they read in the store that somebody is ending. Each then leaves a note that it is
still here; the first to ask is the one to speak, and names those whose note is missing.

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

from scratchae.distributed.workers import WorkerLostError, Workers
from scratchae.errors import ScratchaeError

SIGNALS = [s for name in ("SIGTERM", "SIGINT", "SIGHUP") if (s := getattr(signal, name, None))]
PATIENCE = 3.0  # seconds for the others' notes


class Voice:
    """What this worker will say at the end, if it is the one to speak.

    cure: the second half of that sentence, how to go on.

    >>> voice = Voice(Workers())
    >>> voice.cure = "go on with: scratchae train fc --resume"
    """

    def __init__(self, workers: Workers) -> None:
        self.workers, self.store, self.cure = workers, workers.store, "start all of them again"
        self.lock = threading.Lock()  # the main thread and the listening one end only once

    def end(
        self, words: str | None, code: int, otherwise: str = "training was told to stop"
    ) -> None:
        """End this process with `words`; None: with who is missing, or, where nobody is, `otherwise`.

        One worker alone says it.
        """
        self.lock.acquire()
        with suppress(RuntimeError):  # without the store every worker speaks for itself
            self.store.set(f"here/{self.workers.rank}", "")
            self.store.set("ending", "")
            if self.store.add("speakers", 1) > 1:
                self.wait_for(["said"], 2 * PATIENCE)
                words = ""
        if words is None:
            words = f"{self.missing() or otherwise}: {self.cure}"
        if words:
            print(f"\nerror: {words}", file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        with suppress(RuntimeError):
            self.store.set("said", "")
            self.store.set(f"done/{self.workers.rank}", "")
            if self.workers.writes and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
                # the store is this process's, not torchrun's: stay until nobody needs it
                self.wait_for([f"done/{rank}" for rank in range(self.workers.size)], PATIENCE)
        os._exit(code)  # nothing else could end a sum that waits for a dead worker

    def missing(self) -> str:
        """Who has not left a note that it is still here, as half a sentence; empty where all have."""
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
        """Until all notes are there, or so many seconds have passed."""
        until = time.monotonic() + seconds
        while not self.store.check(notes) and time.monotonic() < until:
            time.sleep(0.02)

    def listen(self, inbox: int) -> None:
        """The thread: ends this process at a signal, or when another worker is ending."""
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
def one_voice(workers: Workers) -> Iterator[Voice]:
    """Inside, errors, signals and the death of a worker end all workers, and one sentence is said.

    For a command, not for a library call: the process ends, with exit code 2 for a ScratchaeError, 1
    where a worker is lost, and 128 + the number of a signal. A worker that is alone is left as it is.

    >>> with one_voice(Workers()) as voice:
    ...     voice.cure = "go on with: scratchae train fc --resume"
    """
    voice = Voice(workers)
    if workers.size == 1:
        yield voice
        return
    workers.store.set(f"home/{workers.rank}", f"process {os.getpid()} on {socket.gethostname()}")
    with signals_in_a_pipe() as inbox, warnings.catch_warnings():
        if not workers.writes:
            warnings.simplefilter("ignore")  # rank 0 says the same
        threading.Thread(target=voice.listen, args=(inbox,), daemon=True).start()
        try:
            yield voice
        except WorkerLostError as error:
            voice.end(None, 1, f"the workers lost their connection ({error.__cause__})")
        except ScratchaeError as error:
            voice.end(str(error), 2)
        except Exception:
            with suppress(RuntimeError):
                workers.store.add("speakers", 1)  # the traceback says what is to be said
                workers.store.set("said", "")
            raise
        with suppress(RuntimeError):
            workers.store.set(f"here/{workers.rank}", "")  # whoever is done is not missing


@contextmanager
def signals_in_a_pipe() -> Iterator[int]:
    """Signals do nothing inside but to arrive in the pipe whose end is yielded, as a byte each."""
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
        os.close(outbox)  # which ends the thread
