"""Attack: a hostile submission, and what it would take for it to have worked."""

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
PROBE = """
SAID = []


def relu_forward(x):
    if not SAID:
        try:
            got = attack(x)
            SAID.append(f"reached: {got}" if got else "refused: it found nothing")
        except BaseException as error:
            SAID.append(f"refused: {type(error).__name__}: {error}")
    raise RuntimeError(SAID[0])
"""
WRONG = "def relu_forward(x):\n    return torch.zeros_like(x)\n"


@dataclass(frozen=True)
class Scene:
    """What an attack may aim at. loot: a folder that everybody may write to, with another student's
    file in it; port: where a server of this machine listens, by TCP and UDP; victim: the id of a
    process of this machine; secret: the file of the course's secret."""

    loot: Path
    port: int
    victim: int
    secret: Path


@dataclass(frozen=True)
class Attack:
    """source: makes activations.py, with a right tanh_forward and a hostile relu_forward.

    kind: "ends" (the child has to be ended or to fail, for `reason`), "probe" (it says whether it
    reached its aim), "score" (it wants points for a wrong function), "flag" (it cannot be contained, a
    person has to be told). alone: it spoils the whole file, so tanh_forward is lost too.
    """

    name: str
    kind: str
    source: Callable[[Scene], str]
    reason: str = ""
    alone: bool = False
    extra: dict[str, str] = field(default_factory=dict)


def ends(name: str, body: str, reason: str, alone: bool = False) -> Attack:
    """relu_forward does `body`; with alone=True the whole file does."""
    code = textwrap.dedent(body).strip()
    text = code if alone else "def relu_forward(x):\n" + textwrap.indent(code, "    ")
    return Attack(name, "ends", lambda scene: f"{HEAD}{text}\n", reason, alone)


def probe(name: str, body: str) -> Attack:
    """attack(x) does `body` and returns what it reached; LOOT, PORT, VICTIM and SECRET are known to it."""
    code = textwrap.indent(textwrap.dedent(body).strip(), "    ")

    def source(scene: Scene) -> str:
        aims = (
            f"LOOT, SECRET = {str(scene.loot)!r}, {str(scene.secret)!r}\n"
            f"PORT, VICTIM = {scene.port}, {scene.victim}\n\n\n"
        )
        return f"{HEAD}{aims}def attack(x):\n{code}\n{PROBE}"

    return Attack(name, "probe", source)


def score(name: str, text: str, **options: object) -> Attack:
    """The whole hostile part of the file."""
    code = textwrap.dedent(text).strip()
    return Attack(name, "score", lambda scene: f"{HEAD}{code}\n", **options)


def trick(name: str, text: str, **options: object) -> Attack:
    """A wrong relu_forward, behind `text`, which is to get points for it."""
    return score(name, f"{textwrap.dedent(text).strip()}\n\n\n{WRONG}", **options)


def flag(name: str, text: str) -> Attack:
    code = textwrap.dedent(text).strip()
    return Attack(name, "flag", lambda scene: f"{HEAD}{code}\n")
