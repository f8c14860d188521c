"""Walls: how the helper is shut in on this machine.

bubblewrap   own namespaces, nothing mounted but Python and torch, read-only; no network
container    another user, limits and the system-call filter only: for a platform's own container,
             such as Gradescope's, in which no namespace can be made
none         nothing: only for submissions that are trusted
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy
import torch

import scratchae
from scratchae.errors import ScratchaeError

KINDS = ("bubblewrap", "container", "none")
SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache")
FIRST_UID = (
    1_000_000_000  # of the users that children run as, where we may choose: nobody else has these
)
DESCRIPTIONS = {
    "bubblewrap": "Submissions ran in a bubblewrap sandbox: no network, no other files, limits, and a "
    "filter of system calls.",
    "container": "Submissions ran as another user under limits and a filter of system calls, but not in "
    "namespaces of their own, since this container allows none: they could read files that all "
    "users may read.",
    "none": "Submissions were TRUSTED: they ran with the rights of whoever graded them.",
}


@functools.cache
def why_no_bubblewrap() -> str:
    """Why there can be no sandbox on this machine, "" where there can.

    >>> choose_isolation() == "bubblewrap" if not why_no_bubblewrap() else why_no_bubblewrap() != ""
    True
    """
    if sys.platform != "linux":
        return "a sandbox needs Linux"
    if shutil.which("bwrap") is None:
        return "bubblewrap is missing (apt-get install bubblewrap)"
    try:
        from scratchae.course.sandbox.syscall_filter import compile_filter

        compile_filter()
    except ScratchaeError as error:
        return str(error)
    tried = subprocess.run(
        [*bubblewrap([Path("/")]), "--", shutil.which("true") or "/bin/true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        return f"bubblewrap cannot make namespaces here ({tried.stderr.strip()[:120]})"
    return ""


def choose_isolation(trusted: bool = False, container: bool = False) -> str:
    """The strongest isolation that can be had; ScratchaeError where there are none and none were waived.

    >>> choose_isolation(trusted=True)
    'none'
    """
    if trusted:
        if not hasattr(os, "fork"):
            raise ScratchaeError(
                "grading needs Linux or macOS: use a virtual machine or a container"
            )
        return "none"
    why = why_no_bubblewrap()
    if not why:
        return "bubblewrap"
    if container and sys.platform == "linux" and os.geteuid() == 0:
        return "container"
    raise ScratchaeError(
        f"submissions cannot be shut in here: {why}. Grade on Linux with bubblewrap, or give "
        "--trust-submissions if you would run each of these files by hand"
    )


def command(isolation: str, files: Path, socket: int) -> list[str]:
    """How the helper is started."""
    python = os.path.realpath(sys.executable)
    sites = [str(site) for site in site_folders()]
    run = [
        python,
        "-I",
        "-S",
        "-B",
        str(files / "inside" / "helper.py"),
        str(socket),
        str(files),
        *sites,
    ]
    if isolation != "bubblewrap":
        return run
    seen = [Path(sys.base_prefix), *site_folders(), files]
    seen = [path for path in seen if not str(path).startswith(SYSTEM)]
    return [*bubblewrap([*map(Path, SYSTEM), Path(python), *seen], hidden()), "--", *run]


def bubblewrap(visible: Iterable[Path], secret: Iterable[Path] = ()) -> list[str]:
    """bwrap with these paths to be read and nothing to be written; `secret` ones inside are covered."""
    words = ["bwrap", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"]
    words += ["--unshare-ipc", "--unshare-net", "--unshare-pid", "--unshare-uts"]
    words += ["--unshare-cgroup-try", "--chdir", "/", "--cap-drop", "ALL"]
    if os.geteuid() == 0:  # so that every child can have a user of its own
        words += [w for c in ("SETUID", "SETGID", "KILL") for w in ("--cap-add", f"CAP_{c}")]
    else:
        words += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    made: set[Path] = set()
    for path in visible:
        for folder in reversed(path.parents):
            if folder not in made and folder != Path("/"):
                words += ["--perms", "0755", "--dir", str(folder)]
                made.add(folder)
        if path.is_symlink() and len(path.parents) == 1:  # /lib is usr/lib
            words += ["--symlink", str(path.readlink()), str(path)]
        else:
            words += ["--ro-bind-try", str(path), str(path)]
    for path in secret:
        if any(path.is_relative_to(place) for place in visible) and path.exists():
            words += ["--tmpfs", str(path), "--remount-ro", str(path)]
    if Path("/") not in visible:
        for path in ("/dev/null", "/dev/urandom"):
            words += ["--dev-bind", path, path]
        for path in ("/proc/cpuinfo", "/sys/devices/system/cpu"):  # torch asks what the CPU can do
            words += ["--ro-bind-try", path, path]
        words += ["--remount-ro", "/"]
    return words


def site_folders() -> list[Path]:
    """Where torch and numpy are installed."""
    found = (Path(module.__file__).resolve().parents[1] for module in (torch, numpy))
    return list(dict.fromkeys(found))


def hidden() -> list[Path]:
    """The answer key: this library, wherever it is installed."""
    root = Path(scratchae.__file__).resolve().parent
    editable = [root.parent / name for name in ("tests", "reference", "tutorials", ".git")]
    return [root, *(editable if (root.parent / "pyproject.toml").exists() else [])]
