"""Try every attack in a sandbox of this machine. An honest submission after each must lose nothing."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from scratchae.course.assignment import Assignment, load_assignment
from scratchae.course.grading.grader import Grader
from scratchae.course.grading.submissions import Submission
from scratchae.course.sandbox import InfrastructureError, Limits, Sandbox, SandboxFiles
from scratchae.course.selftest.archives import ARCHIVES, try_archive, try_hostile_texts
from scratchae.course.selftest.attack import Attack, Targets
from scratchae.course.selftest.data_access import DATA_ACCESS
from scratchae.course.selftest.denial_of_service import DENIAL_OF_SERVICE
from scratchae.course.selftest.escapes import ESCAPES
from scratchae.course.selftest.forgeries import FORGERIES
from scratchae.errors import ScratchaeError

ATTACKS: tuple[Attack, ...] = (*DENIAL_OF_SERVICE, *ESCAPES, *DATA_ACCESS, *FORGERIES)
HOSTILE_TEXTS = "terminal escapes, HTML and spreadsheet formulas in output"
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
class AttackResult:
    """The result of an attack. how: how it was contained, or what it reached.

    >>> AttackResult("sleep", True, "it did nothing for 2 seconds").contained
    True
    """

    name: str
    contained: bool
    how: str


def names() -> list[str]:
    """Return the name of every attack, in order."""
    return [*(attack.name for attack in ATTACKS), *ARCHIVES, HOSTILE_TEXTS]


def selftest(
    isolation: str, only: str = "", tell: Callable[[AttackResult], None] = lambda result: None
) -> list[AttackResult]:
    """Try every attack, or those with `only` in their name.

    isolation: how the sandbox is isolated. tell: called after each attack.

    >>> [(r.name, r.contained) for r in selftest("none", only="zip-slip")]
    [('zip-slip', True)]
    """
    chosen = [name for name in names() if only in name]
    if not chosen:
        raise ScratchaeError(
            f"no attack has {only!r} in its name: omit --only to try all of them and see their "
            "names"
        )
    results = []
    with AttackRunner(isolation) as runner:
        for name in chosen:
            results.append(runner.try_attack(name))
            tell(results[-1])
    return results


class AttackRunner:
    """A grader with a sandbox, and targets outside the sandbox."""

    def __init__(self, isolation: str) -> None:
        self.isolation = isolation
        self.assignment = small_assignment()

    def __enter__(self) -> AttackRunner:
        with contextlib.ExitStack() as stack:
            self.targets, self.damage = stack.enter_context(surroundings())
            files = SandboxFiles(self.assignment, self.isolation != "none")
            stack.callback(files.close)
            sandbox = stack.enter_context(Sandbox(files, self.isolation, LIMITS))
            self.grader = Grader(self.assignment, b"secret of the selftest", sandbox)
            sandbox.start()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def try_attack(self, name: str) -> AttackResult:
        """Carry out an attack, and find out whether it was contained."""
        if name in ARCHIVES:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "in").mkdir()
                return AttackResult(name, *try_archive(name, Path(folder) / "in"))
        if name == HOSTILE_TEXTS:
            return AttackResult(name, *try_hostile_texts(self.assignment, self.grader))
        (attack,) = (attack for attack in ATTACKS if attack.name == name)
        return self.grade_attack(attack)

    def grade_attack(self, attack: Attack) -> AttackResult:
        """Grade a hostile submission between two honest ones, and look for damage."""
        files = str(self.grader.sandbox.files.path)
        before = processes_of(files)
        hostile = {"activations.py": attack.source(self.targets).encode()}
        hostile |= {name: text.encode() for name, text in attack.extra.items()}
        honest = {"activations.py": RIGHT.encode()}
        try:
            self.grader.grade(Submission("the previous student", honest))
            result = self.grader.grade(Submission("mallory", hostile))
            after = self.grader.grade(Submission("the next student", honest))
        except InfrastructureError as error:
            return AttackResult(attack.name, False, f"the grader was damaged: {error}")
        contained, how = judge(attack, result)
        damage = self.damage()
        if after["score"] != after["points"]:
            damage.append("the next student lost points")
        if len(processes_of(files)) > len(before):
            damage.append("a process was left over")
        return AttackResult(attack.name, contained and not damage, "; ".join([how, *damage]))


def small_assignment() -> Assignment:
    """Return two tasks of one file: one to attack with, and one that must lose no points."""
    hw1 = load_assignment("hw1")
    tasks = tuple(
        replace(hw1.task(name), public=1, hidden=1) for name in ("relu_forward", "tanh_forward")
    )
    return replace(hw1, tasks=tasks)


def judge(attack: Attack, result: dict) -> tuple[bool, str]:
    """Return (whether the attack was contained, how), judged by the result of the submission."""
    hostile, other = result["tasks"]
    sentences = [row["sentence"] for row in hostile["rows"] if row["sentence"]]
    how = sentences[0] if sentences else "it earned no points"
    if attack.kind == "flag":
        return bool(result["flags"]), f"flagged: {'; '.join(result['flags'][:2])}"
    if not attack.whole_file and other["earned"] != other["points"]:
        return False, f"the other task lost points: {other['rows'][0]['sentence']}"
    if attack.kind == "probe":
        reached = [sentence for sentence in sentences if "reached: " in sentence]
        refused = any("refused: " in sentence for sentence in sentences)
        how = reached[0] if reached else how
        if how.startswith("it stopped with RuntimeError"):  # a probe reports in this way
            how = how.partition(": ")[2]
        return refused and not reached, how
    if attack.kind == "crash" and attack.reason not in how:
        return False, f"it did not end by {attack.reason!r}: {how}"
    if hostile["earned"]:
        return False, f"it earned {hostile['earned']:g} points"
    return True, how


@contextlib.contextmanager
def surroundings() -> Iterator[tuple[Targets, Callable[[], list[str]]]]:
    """Make targets to attack.

    Yields (where they are, a function that returns what an attack changed outside the sandbox).
    """
    with tempfile.TemporaryDirectory() as name, socket.socket() as server:
        folder, secret = Path(name) / "students", Path(name) / "secret"
        folder.mkdir()
        (folder / "other.py").write_text("the work of another student")
        secret.write_text("the secret of the course")
        for path in (Path(name), folder, folder / "other.py"):
            path.chmod(0o777)  # only the sandbox protects them
        secret.chmod(0o600)
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100_000)"])

        def damage() -> list[str]:
            found = []
            if sorted(path.name for path in folder.iterdir()) != ["other.py"]:
                found.append("another student's folder was changed")
            if victim.poll() is not None:
                found.append("a process of this machine was killed")
            with contextlib.suppress(OSError):
                server.accept()[0].close()
                found.append("it reached the network")
            return found

        try:
            yield Targets(folder, server.getsockname()[1], victim.pid, secret), damage
        finally:
            victim.kill()
            victim.wait()


def processes_of(files: str) -> list[int]:
    """Return the processes of this machine that were started for a sandbox with these files.

    They name the folder in their command line, and a fork keeps the command line.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if files.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
