"""Attacks that try to hang, crash or exhaust the grader."""

from scratchae.course.selftest.attack import crash

CPU, IDLE = "seconds of CPU time", "did nothing for"
DENIAL_OF_SERVICE = (
    crash("infinite loop", "while True: pass", CPU),
    crash("sleep", "import time\ntime.sleep(10_000)", IDLE),
    crash(
        "ignoring signals",
        """
        import signal
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True: pass
        """,
        CPU,
    ),
    crash(
        "a C loop holding the GIL",
        "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
        CPU,
    ),
    crash(
        "catching every exception, forever",
        """
        while True:
            try:
                while True: pass
            except BaseException:
                pass
        """,
        CPU,
    ),
    crash("os._exit(0)", "import os\nos._exit(0)", "exit code 0"),
    crash("sys.exit at import", "import sys\nsys.exit(0)", "SystemExit", whole_file=True),
    crash(
        "os._exit(0) at import", "import os\nos._exit(0)", "could not be loaded", whole_file=True
    ),
    crash("infinite loop at import", "while True: pass", CPU, whole_file=True),
    crash("segfault", "import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    crash("abort", "import os\nos.abort()", "ended by SIG"),
    crash("endless recursion", "return relu_forward(x)", "RecursionError"),
    crash(
        "memory bomb",
        """
        held = []
        while True:
            held.append(bytearray(16_000_000))
        """,
        "MemoryError",
    ),
    crash(
        "memory bomb in shared memory",
        """
        import mmap
        held = []
        while True:
            held.append(mmap.mmap(-1, 16_000_000))
            held[-1].write(b"x" * 16_000_000)
        """,
        "OSError",
    ),
    crash(
        "memory bomb by torch",
        "held = [torch.ones(10_000_000) for _ in range(1000)]",
        "memory",
    ),
    crash(
        "huge stdout",
        """
        import os
        while True:
            os.write(1, b"x" * 1_000_000)
            os.write(2, b"y" * 1_000_000)
        """,
        CPU,
    ),
    crash("a huge exception text", "raise ValueError('x' * 50_000_000)", "ValueError"),
    crash(
        "an exception whose text ends the process",
        """
        import os
        class Deadly(Exception):
            def __str__(self):
                os._exit(0)
        raise Deadly()
        """,
        "exit code 0",
    ),
    crash(
        "source with deep nesting",
        "x = " + "(" * 5000 + ")" * 5000,
        "cannot be read",
        whole_file=True,
    ),
    crash("source with deep operators", "x = " + "-" * 100_000 + "1", "", whole_file=True),
)
