"""Steps: the contenders take turns in short bursts of steps, and their medians are compared.

So other work on the machine slows down all contenders equally. A contender is timed only if the
losses of its first steps are equal to those of torch.nn.
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

BOUND = 1e-3  # relative: rounding is below 1e-4, and a wrong or missing step far above


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    rounds: the turns of every contender; after `limit` seconds, 5 are enough. burst: the seconds of
    a turn. A turn makes at least one step.
    """

    rounds: int = 11
    burst: float = 0.1
    limit: float = 30.0


LIGHT = Effort(rounds=7, burst=0.05, limit=10.0)
QUICK = Effort(rounds=3, burst=0.005, limit=2.0)


class WrongContenderError(ScratchaeError):
    """The losses of a contender differ from those of the reference."""


def measure(
    cases: Iterable[Case], factories: dict[str, Factory], effort: Effort, told=print
) -> list[dict]:
    """Return one row per case; "missing" says why a contender is missing.

    factories: by name, including REFERENCE. told: is called with a line of text after each case.
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
    """Return one row: the milliseconds per step and the difference of the losses to torch.nn."""
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
    """Return the largest relative difference. Raises WrongContenderError if it is above BOUND or NaN.

    If a call makes several steps, their mean loss is compared with the mean of the reference.

    >>> check_losses("same", [1.5, 3.5], [1.0, 2.0, 3.0, 4.0])
    0.0
    >>> check_losses("other", [2.0], [1.0])
    Traceback (most recent call last):
    reference.benchmark.steps.WrongContenderError: other does not make the step of torch.nn: ...
    """
    size = len(reference) // len(losses)
    worst = 0.0
    for i, loss in enumerate(losses):
        expected = statistics.fmean(reference[i * size : (i + 1) * size])
        difference = abs(loss - expected) / expected
        if not difference <= BOUND:
            raise WrongContenderError(
                f"{name} does not make the step of {REFERENCE}: from step {i * size + 1} its loss is "
                f"{loss:.6g} instead of {expected:.6g} (tolerance {BOUND:g}), so its time is meaningless"
            )
        worst = max(worst, difference)
    return worst


def prepare(state: dict, factory: Factory, case: Case, steps: int) -> list[float]:
    """In the worker: make a new contender, and return the mean losses of its first calls."""
    state.clear()
    contender = state["contender"] = factory(case, case.images())
    return [
        mean(contender.step(feed(contender, i))) for i in range(steps // contender.steps_a_call)
    ]


def feed(contender: Contender, call: int) -> object:
    return contender.feed[call % len(contender.feed)]


def mean(loss) -> float:
    """Return the mean of one or several losses of torch or JAX."""
    return loss.double().mean().item() if isinstance(loss, Tensor) else float(loss.mean())


def calibrate(state: dict, seconds: float) -> int:
    """In the worker: return the number of calls that take about `seconds`."""
    burst(state, 1)
    contender = state["contender"]
    a_call = burst(state, 1) * contender.steps_a_call / 1e3
    return max(1, round(seconds / a_call))


def burst(state: dict, calls: int) -> float:
    """In the worker: return the milliseconds per step, after a fifth as many calls to warm up."""
    contender = state["contender"]
    for i in range(calls // 5):
        contender.step(feed(contender, i))
    contender.wait()
    began = time.perf_counter()
    for i in range(calls):
        contender.step(feed(contender, i))
    contender.wait()
    return (time.perf_counter() - began) / (calls * contender.steps_a_call) * 1e3
