"""The sandbox's helper: a fresh process with torch imported that forks one child for each job.

It never sees a job: it receives two descriptors, passes them to the child, and closes its copies. The
child reads its job from one and answers on the other. On request, the helper says how much CPU time the
child has used, or kills it and reports how it ended.

    python -I -S -B helper.py FOLDER SOCKET SITE...
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path


def main() -> None:
    folder, control = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    sys.path[:0] = [str(folder)]
    sys.path += sys.argv[3:]
    from inside import child, runner

    bpf = (folder / "filter.bpf").read_bytes() if (folder / "filter.bpf").exists() else b""
    runner.warm_up()
    gc.collect()
    gc.freeze()  # otherwise garbage collection in a child would copy all of torch's pages
    control.send(json.dumps({"ready": True, "held": address_space_used()}).encode())
    serve(control, child, bpf)


def serve(control: socket.socket, child, bpf: bytes) -> None:
    """Answer the requests run, cpu and end, until the grader closes the socket."""
    pid = 0
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4096, 2)
        if not message:
            return
        request = json.loads(message)
        if request["do"] == "run":
            pid = os.fork()
            if pid == 0:
                control.close()
                child.main(*descriptors, bpf, request["limits"])
            for descriptor in descriptors:
                os.close(descriptor)
            reply: dict[str, float] = {"running": pid}
        elif request["do"] == "cpu":
            reply = {"cpu": cpu_of(pid)}
        else:
            reply, pid = end(pid, request["kill"]), 0
        control.send(json.dumps(reply).encode())


def end(pid: int, kill: bool) -> dict:
    """Wait a second for the child, or kill it at once. Return its status, CPU seconds and bytes."""
    deadline = time.monotonic() + (0 if kill else 1)
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.001)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss * 1024}


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a running process: the number of its clock is computed from its id."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:  # it has ended
        return 0.0


def address_space_used() -> int:
    """Return the bytes of address space of this process. /proc is not mounted, so limits are tried."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    low, high = 0, 1 << 42
    while high - low > 1 << 20:
        middle = (low + high) // 2
        try:
            resource.setrlimit(resource.RLIMIT_AS, (middle, hard))
            mmap.mmap(-1, mmap.PAGESIZE).close()
            high = middle
        except (OSError, MemoryError, ValueError):
            low = middle
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    return high


if __name__ == "__main__":
    main()
