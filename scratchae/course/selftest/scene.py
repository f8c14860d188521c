"""Scene: what attacks may aim at, set up around the sandbox, and a look at it afterwards."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scratchae.course.selftest.attack import Scene


def harm_done(aims: Scene, server: socket.socket) -> list[str]:
    """What changed outside the sandbox."""
    harm = []
    if sorted(path.name for path in aims.loot.iterdir()) != ["other.py"]:
        harm.append("another student's folder was changed")
    with contextlib.suppress(OSError):
        os.kill(aims.victim, 0)
        return harm + heard(server)
    return [*harm, "a process of this machine was killed"]


def heard(server: socket.socket) -> list[str]:
    with contextlib.suppress(OSError):
        server.accept()[0].close()
        return ["it reached the network"]
    return []


def processes_of(folder: str) -> list[int]:
    """Every process of this machine that was started for this sandbox; forks keep the command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if folder.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


@contextlib.contextmanager
def scene() -> Iterator[tuple[Scene, socket.socket]]:
    """Things to attack, that everybody may write to, and a look at them afterwards."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as server:
        loot, secret = Path(folder) / "loot", Path(folder) / "secret"
        loot.mkdir()
        (loot / "other.py").write_text("the work of another student")
        secret.write_text("the secret of the course")
        for path in (Path(folder), loot, loot / "other.py"):
            path.chmod(0o777)
        secret.chmod(0o600)
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100_000)"])
        try:
            yield Scene(loot, server.getsockname()[1], victim.pid, secret), server
        finally:
            victim.kill()
            victim.wait()
