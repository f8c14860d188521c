"""Attack: a hostile submission, and what counts as a success of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HEAD = """\
import torch


def tanh_forward(x):
    return torch.tanh(x)


"""
PROBE_TOOLS = '''\
import ctypes


def successes(attempts):
    """Make every attempt; return the names of those that worked. If none did, raise its exception."""
    found = []
    for name, attempt in attempts.items():
        try:
            attempt()
            found.append(name)
        except (NameError, TypeError):  # the attack itself is broken
            raise
        except BaseException as error:
            last = error
    if not found:
        raise last
    return found


def system_call(number, *arguments):
    """Make a system call; raise OSError if it is refused."""
    result = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number} was refused")
    return result


'''
PROBE = """

REPORT = []


def relu_forward(x):
    if not REPORT:
        try:
            found = attack(x)
            REPORT.append(f"reached: {found}" if found else "refused: it found nothing")
        except (NameError, TypeError) as error:
            REPORT.append(f"the attack is broken: {error}")
        except BaseException as error:
            REPORT.append(f"refused: {type(error).__name__}: {error}")
    raise RuntimeError(REPORT[0])
"""
WRONG = "def relu_forward(x):\n    return torch.zeros_like(x)\n"


@dataclass(frozen=True)
class Targets:
    """Targets of the attacks on this machine.

    folder: holds another student's file, and everybody may write to it. port: a server listens there,
    by TCP and UDP. victim: the id of a process. secret: the file of the course's secret.
    """

    folder: Path
    port: int
    victim: int
    secret: Path


@dataclass(frozen=True)
class Attack:
    """A hostile activations.py. Its tanh_forward is right and its relu_forward is hostile.

    kind: what the attack tries.

    - "crash": to hang, crash or exhaust the grader. It is contained if it ends for `reason` and earns
      nothing.
    - "probe": to reach something outside. The attack itself reports whether it did.
    - "score": to earn points for a wrong function.
    - "flag": something that cannot be contained. An instructor must be told.

    source: makes the text of the file. whole_file: the attack spoils tanh_forward as well. extra: more
    files of the submission, {name: text}.
    """

    name: str
    kind: str
    source: Callable[[Targets], str]
    reason: str = ""
    whole_file: bool = False
    extra: dict[str, str] = field(default_factory=dict)


def dedented(text: str) -> str:
    return textwrap.dedent(text).strip()


def crash(name: str, body: str, reason: str, whole_file: bool = False) -> Attack:
    """Return an attack whose relu_forward, or whose whole file, does `body`."""
    code = dedented(body)
    text = code if whole_file else "def relu_forward(x):\n" + textwrap.indent(code, "    ")
    return Attack(name, "crash", lambda targets: f"{HEAD}{text}\n", reason, whole_file)


def probe(name: str, body: str) -> Attack:
    """Return an attack that does `body` as attack(x), which returns what it reached.

    The body may use FOLDER, PORT, VICTIM, SECRET and PROBE_TOOLS.
    """
    code = textwrap.indent(dedented(body), "    ")

    def source(targets: Targets) -> str:
        aims = (
            f"FOLDER, SECRET = {str(targets.folder)!r}, {str(targets.secret)!r}\n"
            f"PORT, VICTIM = {targets.port}, {targets.victim}\n\n\n"
        )
        return f"{HEAD}{PROBE_TOOLS}{aims}def attack(x):\n{code}\n{PROBE}"

    return Attack(name, "probe", source)


def score(
    name: str, text: str, *, whole_file: bool = False, extra: dict[str, str] | None = None
) -> Attack:
    """Return an attack with `text` as the hostile part of the file."""
    source = f"{HEAD}{dedented(text)}\n"
    return Attack(name, "score", lambda targets: source, "", whole_file, extra or {})


def trick(name: str, text: str, *, whole_file: bool = False) -> Attack:
    """Return an attack with a wrong relu_forward; the `text` before it tries to earn the points."""
    return score(name, f"{dedented(text)}\n\n\n{WRONG}", whole_file=whole_file)


def flag(name: str, text: str) -> Attack:
    """Return an attack that must be flagged for the instructor."""
    source = f"{HEAD}{dedented(text)}\n"
    return Attack(name, "flag", lambda targets: source)
