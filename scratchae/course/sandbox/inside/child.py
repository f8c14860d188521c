"""The child process of the sandbox: it gives up its rights, reads a job, runs it and answers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys

from .protocol import Frames, frame
from .runner import run_job

MAX_JOB = 1 << 28  # bytes


def main(job: int, answer: int, bpf: bytes, limits: dict) -> None:
    """Read a job from one descriptor, run it, and write its answers to the other. Never return."""
    with contextlib.suppress(BaseException):
        give_up_rights(bpf, limits, keep=(job, answer))
        header, body = read_job(job)
        run_job(header, body, lambda header, body: send(answer, frame(header, body)))
    os._exit(0)


def give_up_rights(bpf: bytes, limits: dict, keep: tuple[int, ...]) -> None:
    """Change the user, set limits, close files and set the filter. Code that runs later is untrusted."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(3, min(keep))
    os.closerange(min(keep) + 1, max(keep))
    os.closerange(max(keep) + 1, 256)
    for name, value in limits["rlimits"].items():
        if hasattr(resource, name):
            resource.setrlimit(getattr(resource, name), (value, value))
    if limits.get("uid"):
        os.setgroups([])
        os.setresgid(limits["uid"], limits["uid"], limits["uid"])
        os.setresuid(limits["uid"], limits["uid"], limits["uid"])
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        refused = libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: die with the helper
        refused |= libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        if bpf:
            memory = ctypes.create_string_buffer(bpf)
            program = Program(len(bpf) // 8, ctypes.addressof(memory))
            refused |= libc.prctl(22, 2, ctypes.byref(program), 0, 0)  # PR_SET_SECCOMP, a filter
        if refused:
            os._exit(70)


class Program(ctypes.Structure):
    """The kernel's struct sock_fprog: the number of instructions, and their address."""

    _fields_ = (("length", ctypes.c_ushort), ("first", ctypes.c_void_p))


def read_job(descriptor: int) -> tuple[dict, bytes]:
    """Read one frame from the descriptor and close it."""
    frames = Frames(max_header=MAX_JOB, max_body=MAX_JOB)
    while data := os.read(descriptor, 1 << 20):
        for found in frames.feed(data):
            os.close(descriptor)
            return found
    raise EOFError


def send(descriptor: int, data: bytes) -> None:
    """Write all of the data to the descriptor."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
