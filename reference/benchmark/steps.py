"""Steps: the contenders take turns in short bursts, and the medians of the bursts are compared.

Whatever else the machine does strikes all alike. Nobody is timed before the losses of its first
steps are those of torch.nn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby

from torch import Tensor

from reference.benchmark.cases import Case
from reference.benchmark.contenders import REFERENCE, Contender, Factory, UnusableError
from reference.benchmark.worker import Worker, pause
from scratchae.errors import ScratchaeError

BOUND = 1e-3  # relative: rounding stays below 1e-4, a step that is left out or wrong far above


@dataclass(frozen=True)
class Effort:
    """rounds: turns of every contender, fewer (but 5) where `limit` seconds are over; burst: seconds.

    A step that takes longer than a burst is a burst.
    """

    rounds: int = 11
    burst: float = 0.1
    limit: float = 30.0


LIGHT = Effort(rounds=7, burst=0.05, limit=10.0)
QUICK = Effort(rounds=3, burst=0.005, limit=2.0)


class WrongContenderError(ScratchaeError):
    """A contender's losses are not those of the reference."""


def measure(
    cases: Iterable[Case], factories: dict[str, Factory], effort: Effort, told=print
) -> list[dict]:
    """A row for each case; "missing" says why somebody is.

    factories: by name; one is REFERENCE. told: is called with a line when a case is done.
    """
    rows = []
    for threads, group in groupby(cases, lambda case: case.threads):
        with ExitStack() as stack:
            workers = {name: stack.enter_context(worker_for(name, threads)) for name in factories}
            for case in group:
                began = time.perf_counter()
                row = compare(case, workers, factories, effort)
                rows.append(row)
                told(f"{case}: measured in {time.perf_counter() - began:.0f} s")
    return rows


def worker_for(name: str, threads: int) -> Worker:
    return Worker(threads, pinned=name.startswith("JAX"), expected=(UnusableError,))


def compare(
    case: Case,
    workers: dict[str, Worker],
    factories: dict[str, Factory],
    effort: Effort,
) -> dict:
    """One row: milliseconds a step of every contender, and how far its losses are from torch.nn's."""
    steps = max(case.count, 10)
    for name, worker in workers.items():
        worker.start(prepare, factories[name], case, steps)
    losses, missing = {}, {}
    for name, worker in workers.items():
        try:
            losses[name] = worker.result()
        except UnusableError as error:
            missing[name] = str(error)
    differences = {
        name: check_losses(f"{name} ({case})", of, losses[REFERENCE]) for name, of in losses.items()
    }
    calls = {}
    for name in losses:
        pause()
        calls[name] = workers[name].ask(calibrate, effort.burst)
    times: dict[str, list[float]] = {name: [] for name in losses}
    began = time.perf_counter()
    for turn in range(effort.rounds):
        if turn >= 5 and time.perf_counter() - began > effort.limit:
            break
        for name in losses:
            pause()
            times[name].append(workers[name].ask(burst, calls[name]))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "model": case.model,
        "batch_size": case.batch_size,
        "threads": case.threads,
        "bursts": len(times[REFERENCE]),
        "ms": medians,
        "ms_quartiles": {name: statistics.quantiles(values, n=4) for name, values in times.items()},
        "ratio": {name: medians[REFERENCE] / ms for name, ms in medians.items()},
        "steps_compared": steps,
        "loss_difference": differences,
        "missing": missing,
    }


def check_losses(name: str, losses: list[float], reference: list[float]) -> float:
    """The largest relative difference; one that is too large, or no number, is an error.

    Where a call does several steps, their mean is compared with the reference's mean.

    >>> check_losses("same", [1.5, 3.5], [1.0, 2.0, 3.0, 4.0])
    0.0
    >>> check_losses("other", [2.0], [1.0])
    Traceback (most recent call last):
    reference.benchmark.steps.WrongContenderError: other does not make the step of torch.nn: ...
    """
    size = len(reference) // len(losses)
    worst = 0.0
    for i, loss in enumerate(losses):
        wanted = statistics.fmean(reference[i * size : (i + 1) * size])
        difference = abs(loss - wanted) / wanted
        if not difference <= BOUND:
            raise WrongContenderError(
                f"{name} does not make the step of {REFERENCE}: from step {i * size + 1} its loss is "
                f"{loss:.6g}, where {wanted:.6g} is right within {BOUND:g}, so its time means nothing"
            )
        worst = max(worst, difference)
    return worst


def prepare(state: dict, factory: Factory, case: Case, steps: int) -> list[float]:
    """In the worker: make the contender anew and do its first steps; the mean loss of every call."""
    state.clear()
    contender = state["contender"] = factory(case, case.images())
    return [
        mean(contender.step(feed(contender, i))) for i in range(steps // contender.steps_a_call)
    ]


def feed(contender: Contender, call: int) -> object:
    return contender.feed[call % len(contender.feed)]


def mean(loss) -> float:
    """A loss, or the mean of several, of torch or JAX."""
    return loss.double().mean().item() if isinstance(loss, Tensor) else float(loss.mean())


def calibrate(state: dict, seconds: float) -> int:
    """In the worker: how many calls fill so many seconds."""
    burst(state, 1)
    contender = state["contender"]
    a_call = burst(state, 1) * contender.steps_a_call / 1e3
    return max(1, round(seconds / a_call))


def burst(state: dict, calls: int) -> float:
    """In the worker: milliseconds a step; a fifth as many calls before, not timed, wake it up."""
    contender = state["contender"]
    for i in range(calls // 5):
        contender.step(feed(contender, i))
    contender.wait()
    began = time.perf_counter()
    for i in range(calls):
        contender.step(feed(contender, i))
    contender.wait()
    return (time.perf_counter() - began) / (calls * contender.steps_a_call) * 1e3
