"""Isolation: how submissions are separated from this machine.

bubblewrap   own namespaces; only Python and torch are mounted, read-only; no network
container    only another user, limits and the filter of system calls: for a platform's container,
             such as Gradescope's, which does not allow namespaces
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

SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache")
FIRST_UID = 1_000_000_000  # if the grader is root, children get user ids from here on
DESCRIPTIONS = {
    "bubblewrap": "Submissions ran in a bubblewrap sandbox: no network, no other files, limits, and a "
    "filter of system calls.",
    "container": "Submissions ran as another user with limits and a filter of system calls, but without "
    "namespaces, because this container does not allow them: they could read files that all users "
    "may read.",
    "none": "Submissions were TRUSTED: they ran with the rights of the user who graded them.",
}


@functools.cache
def why_no_bubblewrap() -> str:
    """Return why this machine cannot have a bubblewrap sandbox, or "" if it can.

    >>> choose_isolation() == "bubblewrap" if not why_no_bubblewrap() else why_no_bubblewrap() != ""
    True
    """
    if sys.platform != "linux":
        return "the sandbox needs Linux"
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
    """Return the strongest isolation that this machine allows.

    trusted: accept "none". container: accept "container". Raises ScratchaeError if this machine has only
    weaker isolation.

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
        f"submissions cannot be isolated here: {why}. Grade on Linux with bubblewrap, or give "
        "--trust-submissions if you would run each of these files by hand"
    )


def python_command(folder: Path, script: str, argument: str) -> list[str]:
    """Return the command that runs a script of `inside` in a bare Python. folder: that of SandboxFiles."""
    sites = [str(site) for site in site_folders()]
    python = [os.path.realpath(sys.executable), "-I", "-S", "-B"]
    return [*python, str(folder / "inside" / script), str(folder), argument, *sites]


def sandbox_command(isolation: str, folder: Path, socket: int) -> list[str]:
    """Return the command that starts the helper."""
    run = python_command(folder, "helper.py", str(socket))
    if isolation != "bubblewrap":
        return run
    seen = [Path(sys.base_prefix), *site_folders(), folder]
    seen = [path for path in seen if not str(path).startswith(SYSTEM)]
    return [*bubblewrap([*map(Path, SYSTEM), Path(run[0]), *seen], hidden()), "--", *run]


def bubblewrap(visible: Iterable[Path], secret: Iterable[Path] = ()) -> list[str]:
    """Return the command line of bwrap: `visible` paths can be read, except the `secret` ones."""
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
    for covered in secret:
        if any(covered.is_relative_to(path) for path in visible) and covered.exists():
            words += ["--tmpfs", str(covered), "--remount-ro", str(covered)]
    if Path("/") not in visible:
        for device in ("/dev/null", "/dev/urandom"):
            words += ["--dev-bind", device, device]
        for info in ("/proc/cpuinfo", "/sys/devices/system/cpu"):  # torch reads the CPU's features
            words += ["--ro-bind-try", info, info]
        words += ["--remount-ro", "/"]
    return words


def site_folders() -> list[Path]:
    """Return the folders in which torch and numpy are installed."""
    found = (Path(str(module.__file__)).resolve().parents[1] for module in (torch, numpy))
    return list(dict.fromkeys(found))


def hidden() -> list[Path]:
    """Return the folders that hold answers: this library, in every place where it is installed."""
    root = Path(scratchae.__file__).resolve().parent
    editable = [root.parent / name for name in ("tests", "reference", "tutorials", ".git")]
    return [root, *(editable if (root.parent / "pyproject.toml").exists() else [])]
