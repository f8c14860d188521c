"""Goals: the speed and memory that we want to reach, compared with the results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from reference.benchmark.contenders import REFERENCE
from reference.benchmark.results import row_of
from reference.benchmark.whole import EPOCHS, FLUSHED, PUBLISHED

Found = tuple[float, str] | None  # a number and its contender; None if not measured


@dataclass(frozen=True)
class Goal:
    """A goal: of(results) must be at least `target`, or at most `target` if least is False.

    words: what is compared.
    """

    words: str
    target: float
    of: Callable[[dict], Found]
    least: bool = True
    unit: str = "x"

    def reached(self, results: dict) -> bool | None:
        """Say whether the goal is reached; None if it was not measured."""
        found = self.of(results)
        if found is None:
            return None
        return found[0] >= self.target if self.least else found[0] <= self.target

    def line(self, results: dict) -> str:
        """Return the result in words: 'fc ...: goal >= 5x: 2.3x by scratchae buffered, missed'."""
        sign = ">=" if self.least else "<="
        start = f"{self.words}: goal {sign} {self.target:g}{self.unit}: "
        found = self.of(results)
        if found is None:
            return start + "not measured"
        verdict = "reached" if self.reached(results) else "missed"
        return f"{start}{found[0]:.2f}{self.unit} by {found[1]}, {verdict}"


def fastest(row: dict, prefix: str) -> str | None:
    """Return the fastest contender whose name begins with `prefix`.

    >>> fastest({"ms": {"JAX jit": 2.0, "JAX scan": 1.0, "torch.nn": 0.5}}, "JAX")
    'JAX scan'
    """
    names = [name for name in row["ms"] if name.startswith(prefix)]
    return min(names, key=row["ms"].get, default=None)


def step_ratio(results: dict, model: str, batch: int, rival: str, threads: int | None) -> Found:
    """Return how many times faster our fastest engine is than the rival. threads None: any number."""
    key = {"model": model, "batch_size": batch}
    row = row_of(results, "steps", **key, **({"threads": threads} if threads else {}))
    names = (fastest(row, "scratchae"), fastest(row, rival)) if row else (None, None)
    if rival == REFERENCE and row:
        names = (names[0], REFERENCE)
    if None in names:
        return None
    return row["ms"][names[1]] / row["ms"][names[0]], names[0]


def whole_ratio(results: dict, model: str, rival: str) -> Found:
    """Return the rival's time for a whole run divided by ours; without a rival, our seconds."""
    row = row_of(results, "whole", model=model, epochs=EPOCHS[model])
    if row is None:
        return None
    ours = next(name for name in row["seconds"] if name.startswith("scratchae"))
    return row["seconds"][rival] / row["seconds"][ours] if rival else row["seconds"][ours], ours


def memory_ratio(results: dict, model: str, batch: int, frugal: bool) -> Found:
    """Return the memory of our fastest (or most frugal) engine divided by that of torch.nn."""
    memory = row_of(results, "memory", model=model, batch_size=batch)
    if memory is None or REFERENCE not in memory["bytes"]:
        return None
    shares = {
        name: bytes_ / memory["bytes"][REFERENCE]
        for name, bytes_ in memory["bytes"].items()
        if name.startswith("scratchae")
    }
    rows = [row_of(results, "steps", model=model, batch_size=batch, threads=n) for n in (2, 1)]
    row = next((row for row in rows if row), None) or row_of(
        results, "steps", model=model, batch_size=batch
    )
    if frugal:
        name = min(shares, key=shares.get)
        speed = f" ({row['ratio'][name]:.2f}x as fast as torch.nn)" if row else ""
        return shares[name], name + speed
    name = fastest(row, "scratchae") if row else None
    return (shares[name], name) if name in shares else None


def steps_goal(model: str, batch: int, threads: int, rival: str, target: float) -> Goal:
    words = f"{model}, batch {batch}, {threads} thread{'s'[: threads > 1]}, speed against {rival}"
    return Goal(
        words,
        target,
        partial(step_ratio, model=model, batch=batch, rival=rival, threads=threads),
    )


def memory_goal(model: str, batch: int, target: float, frugal: bool = False) -> Goal:
    words = (
        f"{model}, batch {batch}, memory of {'the most frugal' if frugal else 'the fastest'} engine"
    )
    of = partial(memory_ratio, model=model, batch=batch, frugal=frugal)
    return Goal(f"{words} against torch.nn's", target, of, least=False)


GOALS = {
    "cpu": [
        steps_goal("fc", 64, 2, REFERENCE, 5),
        steps_goal("fc", 512, 2, REFERENCE, 1.8),
        steps_goal("fc", 64, 2, "JAX jit", 1.5),
        steps_goal("fc", 64, 2, "JAX scan", 1),
        Goal("fc, 20 epochs against the published loop", 8,
             partial(whole_ratio, model="fc", rival=PUBLISHED)),
        Goal("fc, 20 epochs against the loop flushed and in memory", 4,
             partial(whole_ratio, model="fc", rival=FLUSHED)),
        steps_goal("conv", 64, 1, REFERENCE, 2),
        steps_goal("conv", 64, 2, REFERENCE, 2),
        steps_goal("conv", 64, 2, "torch.compile", 1.4),
        steps_goal("conv", 64, 2, "JAX jit", 1),
        memory_goal("fc", 64, 1),
        memory_goal("fc", 512, 1),
        memory_goal("conv", 64, 2.5),
        memory_goal("conv", 64, 1, frugal=True),
    ],
    "cuda": [
        Goal("fc, 20 epochs", 1, partial(whole_ratio, model="fc", rival=""), False, " s"),
        Goal("conv, 10 epochs", 1.5, partial(whole_ratio, model="conv", rival=""), False, " s"),
        *(
            Goal(f"{model}, batch 64, speed against {rival}", target,
                 partial(step_ratio, model=model, batch=64, rival=rival, threads=None))
            for model in ("fc", "conv")
            for rival, target in [
                (REFERENCE, 10), ("torch.compile, reduce-overhead", 1.5), ("JAX scan", 1)
            ]
        ),
    ],
}  # fmt: skip


def goal_lines(results: dict, device: str) -> list[str]:
    """Return a line for every goal of a device."""
    return [goal.line(results) for goal in GOALS[device]]
