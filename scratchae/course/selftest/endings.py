"""Attacks that want to hang, crash or drown the grader."""

from scratchae.course.selftest.attack import ends

CPU, IDLE = "seconds of CPU time", "did nothing for"
ENDINGS = (
    ends("infinite loop", "while True: pass", CPU),
    ends("sleep", "import time\ntime.sleep(10_000)", IDLE),
    ends(
        "ignoring signals",
        """
        import signal
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True: pass
        """,
        CPU,
    ),
    ends(
        "a C loop holding the GIL",
        "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
        CPU,
    ),
    ends(
        "catching every exception, for ever",
        """
        while True:
            try:
                while True: pass
            except BaseException:
                pass
        """,
        CPU,
    ),
    ends("os._exit(0)", "import os\nos._exit(0)", "exit code 0"),
    ends("sys.exit at import", "import sys\nsys.exit(0)", "SystemExit", alone=True),
    ends("os._exit(0) at import", "import os\nos._exit(0)", "could not be loaded", alone=True),
    ends("infinite loop at import", "while True: pass", CPU, alone=True),
    ends("segfault", "import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    ends("abort", "import os\nos.abort()", "ended by SIG"),
    ends("recursion without end", "return relu_forward(x)", "RecursionError"),
    ends(
        "memory bomb",
        """
        held = []
        while True:
            held.append(bytearray(16_000_000))
        """,
        "MemoryError",
    ),
    ends(
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
    ends(
        "memory bomb by torch",
        "held = [torch.ones(10_000_000) for _ in range(1000)]",
        "memory",
    ),
    ends(
        "huge stdout",
        """
        import os
        while True:
            os.write(1, b"x" * 1_000_000)
            os.write(2, b"y" * 1_000_000)
        """,
        CPU,
    ),
    ends("a huge exception text", "raise ValueError('x' * 50_000_000)", "ValueError"),
    ends(
        "an exception whose text ends the process",
        """
        import os
        class Sly(Exception):
            def __str__(self):
                os._exit(0)
        raise Sly()
        """,
        "exit code 0",
    ),
    ends(
        "source with deep nesting", "x = " + "(" * 5000 + ")" * 5000, "cannot be read", alone=True
    ),
    ends("source with deep operators", "x = " + "-" * 100_000 + "1", "", alone=True),
)
