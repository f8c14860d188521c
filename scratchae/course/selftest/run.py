"""Trying every attack in a sandbox of this machine, one behind the other, with a victim after each."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from scratchae.course.assignment import Assignment, load_assignment
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.submissions import Submission
from scratchae.course.sandbox import InfrastructureError, Limits, Sandbox, SandboxFiles
from scratchae.course.selftest.archives import ARCHIVES, output
from scratchae.course.selftest.attack import Attack, Scene
from scratchae.course.selftest.endings import ENDINGS
from scratchae.course.selftest.escapes import ESCAPES
from scratchae.course.selftest.forgeries import FORGERIES
from scratchae.course.selftest.probes import PROBES
from scratchae.course.selftest.scene import harm_done, processes_of, scene
from scratchae.errors import ScratchaeError

ATTACKS: tuple[Attack, ...] = (*ENDINGS, *ESCAPES, *PROBES, *FORGERIES)
LIMITS = Limits(cpu=2.0, idle=2.0, wall=30.0, task=2.0, memory=256 * 1024 * 1024)
RIGHT = """\
# SOURCE-OF-THE-PREVIOUS-STUDENT
import torch


def relu_forward(x):
    return x.clamp(min=0)


def tanh_forward(x):
    return torch.tanh(x)
"""


@dataclass(frozen=True)
class Tried:
    """An attack, whether it was contained, and how.

    >>> Tried("sleep", True, "it did nothing for 2 seconds").contained
    True
    """

    name: str
    contained: bool
    how: str


def names() -> list[str]:
    """Every attack's name, in the order in which they are tried."""
    return [*(attack.name for attack in ATTACKS), *ARCHIVES, OUTPUT]


OUTPUT = "terminal escapes, HTML and spreadsheet formulas in output"


def selftest(
    isolation: str, only: str = "", tell: Callable[[Tried], None] = lambda tried: None
) -> list[Tried]:
    """Try all attacks (or those with `only` in their name); `tell` hears of each as it is done.

    >>> [(tried.name, tried.contained) for tried in selftest("none", only="zip-slip")]
    [('zip-slip', True)]
    """
    if not any(only in name for name in names()):
        raise ScratchaeError(
            f"no attack has {only!r} in its name: leave --only out to see all of them"
        )
    found = []
    for tried in try_all(isolation, only):
        tell(tried)
        found.append(tried)
    return found


def try_all(isolation: str, only: str) -> Iterator[Tried]:
    with Stage(isolation) as stage:
        for name in names():
            if only in name:
                yield stage.try_attack(name)


class Stage:
    """A sandbox, and around it things to attack. `try_attack` tries one by its name."""

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation
        self.assignment = small_assignment()

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            self.aims, self.server = stack.enter_context(scene())
            files = SandboxFiles(self.assignment, self.isolation != "none")
            stack.callback(files.close)
            sandbox = stack.enter_context(Sandbox(files, self.isolation, LIMITS))
            self.grader = Grader(self.assignment, b"secret of the selftest", sandbox)
            sandbox.start()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def try_attack(self, name: str) -> Tried:
        """Really do it, and say whether it was contained."""
        if name in ARCHIVES:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "in").mkdir()
                return Tried(name, *ARCHIVES[name](Path(folder) / "in"))
        if name == OUTPUT:
            return Tried(name, *output(self.assignment, self.grader))
        (attack,) = (attack for attack in ATTACKS if attack.name == name)
        return try_one(attack, self.aims, self.grader, self.server)


def small_assignment() -> Assignment:
    """Two tasks of one file: one to attack with, and one to see that nothing else is hurt."""
    hw1 = load_assignment("hw1")
    tasks = tuple(
        replace(hw1.task(name), public=1, hidden=1) for name in ("relu_forward", "tanh_forward")
    )
    return replace(hw1, tasks=tasks)


def try_one(attack: Attack, aims: Scene, grader: Grader, server: socket.socket) -> Tried:
    """Grade the hostile submission, look at what it did, and then at a victim's grade."""
    folder = str(grader.sandbox.files.path)
    before = processes_of(folder)
    files = {"activations.py": attack.source(aims).encode()}
    files |= {name: text.encode() for name, text in attack.extra.items()}
    right = {"activations.py": RIGHT.encode()}
    try:
        grader.grade(Submission("the previous student", right))
        result = grader.grade(Submission("mallory", files))
        victim = grader.grade(Submission("the next student", right))
    except InfrastructureError as error:
        return Tried(attack.name, False, f"the grader was hurt: {error}")
    contained, how = judge(attack, result)
    harm = harm_done(aims, server)
    if victim["score"] != victim["points"]:
        harm.append("the next student lost points")
    if len(processes_of(folder)) > len(before):
        harm.append("a process was left over")
    return Tried(attack.name, contained and not harm, "; ".join([how, *harm]))


def judge(attack: Attack, result: dict) -> tuple[bool, str]:
    """Whether the submission got what it wanted."""
    hostile, other = result["tasks"]
    said = [row["sentence"] for row in hostile["rows"] if not row["passed"]]
    how = next((s for s in said if s), "")
    if attack.kind == "flag":
        return bool(result["flags"]), f"flagged: {'; '.join(result['flags'][:2])}"
    if not attack.alone and other["earned"] != other["points"]:
        return False, f"the other task lost points: {other['rows'][0]['sentence']}"
    if attack.kind == "probe":
        reached = [sentence for sentence in said if "reached" in sentence]
        told = any("refused" in sentence for sentence in said)
        how = (reached or [how])[0].partition("relu_forward: ")[2] or (reached or [how])[0]
        how = how.partition(": ")[2] if how.startswith("it stopped with RuntimeError") else how
        return told and not reached, how
    if attack.kind == "ends" and attack.reason not in how:
        return False, f"another end than {attack.reason!r}: {how}"
    return hostile["earned"] == 0, how or "no points"
