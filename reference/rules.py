"""Measure which mistakes popular gradient checks find, on the catalogue of mistakes.

    python -m reference.rules

Each rule is used by a well-known course or library. It is applied to every mistake of the backward
passes on 20 random cases. `scratchae.checking.check` is applied once, as a student calls it. The
result is the share of mistakes that one run of a rule catches. Writes reference/results/rules.json
and rules.md.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from scratchae.checking import EXERCISES, check, mistakes
from scratchae.checking.exercises import Case
from scratchae.files import write_text

RESULTS = Path(__file__).parent / "results"
SEEDS = range(20)
CLASSES = [name for name in EXERCISES if name.endswith("_backward")]
Differs = Callable[[Tensor, Tensor, random.Random], bool]


def everywhere_relative(got: Tensor, expected: Tensor, _: random.Random) -> bool:
    return bool((got - expected).abs().max() > 1e-6 * expected.abs().max())


def everywhere_absolute(got: Tensor, expected: Tensor, _: random.Random) -> bool:
    return bool(((got - expected).abs() > 1e-2).any())


def one_index_absolute(got: Tensor, expected: Tensor, pick: random.Random) -> bool:
    i = pick.randrange(expected.numel())
    return bool((got.flatten()[i] - expected.flatten()[i]).abs() > 1e-2)


RULES: dict[str, tuple[bool, bool, Differs]] = {  # upstream of ones?, only dx?, comparison
    ".sum() upstream, one random index of dx, to 1e-2": (True, True, one_index_absolute),
    ".sum() upstream, dx, to 1e-2": (True, True, everywhere_absolute),
    ".sum() upstream, all gradients, to 1e-2": (True, False, everywhere_absolute),
    ".sum() upstream, all gradients, to 1e-6 relative": (True, False, everywhere_relative),
    "random upstream, one random index of each, to 1e-2": (False, False, one_index_absolute),
    "random upstream, dx, to 1e-6 relative": (False, True, everywhere_relative),
    "random upstream, all gradients, to 1e-2": (False, False, everywhere_absolute),
    "random upstream, all gradients, to 1e-6 relative": (False, False, everywhere_relative),
}
OURS = "scratchae.checking.check"
COUNTS = "mistakes"


def caught_once(rule: str, function: Callable, case: Case, pick: random.Random) -> bool:
    """Say whether the rule finds on this case that the function is wrong."""
    ones, only_dx, differs = RULES[rule]
    results = []
    for candidate in (function, EXERCISES[case.exercise].reference):
        arguments = case.arguments()
        if ones and "dy" in arguments:
            arguments["dy"] = torch.ones_like(arguments["dy"])
        try:
            result = candidate(*arguments.values())
        except Exception:  # every rule notices an exception
            return True
        results.append(result if isinstance(result, tuple) else (result,))
    for got, expected in list(zip(*results, strict=True))[: 1 if only_dx else None]:
        if got.shape != expected.shape or differs(got, expected, pick):
            return True
    return False


def measure() -> dict[str, dict[str, float]]:
    """Return {rule: {exercise: share of its mistakes that one run catches}}, and their numbers."""
    table: dict[str, dict[str, float]] = {COUNTS: {n: len(mistakes(n)) for n in CLASSES}}
    for rule in RULES:
        table[rule] = {}
        for name in CLASSES:
            pick, hits = random.Random(0), []
            for mistake in mistakes(name):
                for seed in SEEDS:
                    case = Case(name, "random sizes", seed)
                    hits.append(caught_once(rule, mistake.function, case, pick))
            table[rule][name] = sum(hits) / len(hits)
    found = {name: [not check(name, m.function) for m in mistakes(name)] for name in CLASSES}
    table[OURS] = {name: sum(hits) / len(hits) for name, hits in found.items()}
    return table


def markdown(table: dict[str, dict[str, float]]) -> str:
    """Return the page with the table in per cent and the mean over all mistakes."""
    counts = table[COUNTS]
    total = sum(counts.values())
    short = [name.removesuffix("_backward") for name in counts]
    lines = [
        "# Which rule catches which mistake",
        "",
        "Per cent of the catalogue's wrong backward passes that one run of a rule catches "
        "(`python -m reference.rules`). The rules are used by well-known courses and libraries.",
        "",
        f"| rule | {' | '.join(short)} | all |",
        f"|---|{'---:|' * (len(short) + 1)}",
        f"| *mistakes* | {' | '.join(str(count) for count in counts.values())} | {total} |",
    ]
    for rule in (*RULES, OURS):
        row = table[rule]
        mean = sum(row[name] * count for name, count in counts.items()) / total
        cells = " | ".join(f"{100 * row[name]:.0f}" for name in counts)
        lines.append(f"| {rule} | {cells} | {100 * mean:.0f} |")
    lines += [
        "",
        "If the loss is `.sum()`, the upstream gradient is all ones. This hides a BatchNorm whose dx is "
        "wrong, because the correct dx is then 0 (a relative comparison to 1e-6 would compare rounding "
        "errors, and correct versions would fail too). The mistakes that only the last row catches are "
        "special cases (one sample, strides that leave a rest, exact zeros, groups) and side effects "
        "(inputs changed in place, gradients that share memory, state kept between calls).",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    torch.set_num_threads(1)
    table = measure()
    write_text(RESULTS / "rules.json", json.dumps(table, indent=1) + "\n")
    write_text(RESULTS / "rules.md", markdown(table))
    print(markdown(table))


if __name__ == "__main__":
    main()
