"""The pieces of a training step, counted or timed while `scratchae.step.train_step` runs.

The caller passes a function that times or counts each piece. Times and counts come from different steps,
so the times never contain the cost of counting.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeGuard

import torch
from torch import Tensor

from scratchae.layers import Layer, Sequential, observed
from scratchae.profiling.counting import Counter
from scratchae.profiling.rates import synchronise
from scratchae.step import SupportsStep, loss_of, train_step, update_if_finite

WARM_UP = 3
SECONDS, LEAST = 4.0, 5  # after this many seconds, this many steps are enough
Key = tuple[str, str]  # a part and its pass: ("encoder.0", "forward")
Measure = Callable[..., Tensor]  # measure(key, call, *arguments) returns call(*arguments)


class NothingToMove:
    """The optimiser of a model without parameters."""

    def zero_grad(self) -> None:
        """Do nothing: there are no gradients."""

    def step(self) -> None:
        """Do nothing: there are no parameters."""


@contextmanager
def measured_step(
    model: Sequential,
    parts: list[tuple[str, Layer]],
    optimizer: SupportsStep | None,
    measure: Measure,
) -> Iterator[Callable[[Tensor, Tensor], Tensor]]:
    """Yield a function that makes the step of (x, target) and calls every piece through `measure`."""

    def around(name: str, which: str, call: Callable, *arguments: Tensor) -> Tensor:
        return measure((name, which), call, *arguments)

    def update(optimizer: SupportsStep, loss: Tensor) -> None:
        measure(("optimiser", "update"), update_if_finite, optimizer, loss)

    def step(x: Tensor, target: Tensor) -> Tensor:
        if optimizer is None:
            return train_step(model, NothingToMove(), x, target)
        return train_step(model, optimizer, x, target, update=update)

    with observed([*parts, ("loss", loss_of(model))], around):
        yield step


def count_step(
    model: Sequential,
    parts: list[tuple[str, Layer]],
    optimizer: SupportsStep | None,
    x: Tensor,
    target: Tensor,
) -> tuple[Counter[Key], dict[Key, int]]:
    """Return the counts of one step, and the bytes of each pass that still exist when backward begins."""
    counter: Counter[Key] = Counter()
    kept: dict[Key, int] = {}

    def measure(key: Key, call: Callable, *arguments: Tensor) -> Tensor:
        if key == ("loss", "backward"):
            kept.update(counter.alive())
        return counter.measure(key, call, *arguments)

    with measured_step(model, parts, optimizer, measure) as step:
        step(x, target)
    return counter, kept


def time_steps(
    model: Sequential,
    parts: list[tuple[str, Layer]],
    optimizer: SupportsStep | None,
    x: Tensor,
    target: Tensor,
    steps: int,
    device: torch.device,
) -> tuple[dict[Key, float], float, int]:
    """Return (milliseconds of each pass, those of a step that is timed as a whole, number of steps): medians.

    If the steps are slow, fewer steps than `steps` are run.
    """
    times: dict[Key, list[float]] = defaultdict(list)
    whole: list[float] = []

    def timed(key: Key, call: Callable, *arguments: Tensor) -> Tensor:
        synchronise(device)
        started = time.perf_counter()
        result = call(*arguments)
        synchronise(device)
        times[key].append(time.perf_counter() - started)
        return result

    deadline = time.perf_counter() + SECONDS
    for done in range(-WARM_UP, steps):
        if done >= LEAST and time.perf_counter() > deadline:
            break
        with measured_step(model, parts, optimizer, timed) as step:
            step(x, target)
        started = time.perf_counter()
        train_step(model, optimizer or NothingToMove(), x, target)
        synchronise(device)
        whole.append(time.perf_counter() - started)
    medians = {key: 1e3 * statistics.median(taken[WARM_UP:]) for key, taken in times.items()}
    return medians, 1e3 * statistics.median(whole[WARM_UP:]), len(whole) - WARM_UP


def parts_of(model: Sequential, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield (dotted name, layer); a Sequential with its own forward or backward is one part."""
    for name, layer in model.layers.items():
        if runs_in_order(layer):
            yield from parts_of(layer, f"{prefix}{name}.")
        else:
            yield prefix + name, layer


def runs_in_order(layer: object) -> TypeGuard[Sequential]:
    """Return whether it is a Sequential that only runs its layers one after the other."""
    return (
        isinstance(layer, Sequential)
        and type(layer).forward is Sequential.forward
        and type(layer).backward is Sequential.backward
    )
