"""The pieces of a training step: run one after the other, and counted or timed on the way.

The step is written once, `run_step`, and is told what to do with each piece: to time it, to count
it, or just to run it. What counting costs can so never be in the times.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from scratchae.layers import Layer, Sequential
from scratchae.losses import mse_backward, mse_forward
from scratchae.optim import Optimizer
from scratchae.profiling.counting import Counter
from scratchae.profiling.rates import synchronise

WARM_UP = 3
SECONDS, LEAST = 4.0, 5  # after so long, so many steps are enough
Key = tuple[str, str]  # a part and its pass: ("encoder.0", "forward")
Measure = Callable[..., Tensor]  # measure(key, call, *args) -> call(*args)


def run_step(
    parts: list[tuple[str, Layer]],
    optimizer: Optimizer | None,
    x: Tensor,
    target: Tensor,
    measure: Measure,
) -> None:
    """What scratchae.step.train_step does, in pieces; the gradients are emptied last, not first."""
    y = x
    for name, layer in parts:
        y = measure((name, "forward"), layer.forward, y)
    measure(("loss", "forward"), loss_and_check, y, target)
    dy = measure(("loss", "backward"), mse_backward, y, target)
    for name, layer in reversed(parts):
        dy = measure((name, "backward"), layer.backward, dy)
    if optimizer is not None:
        measure(("optimiser", "update"), update, optimizer)


def loss_and_check(y: Tensor, target: Tensor) -> bool:
    """The loss, and a look at it, as in training."""
    return bool(mse_forward(y, target).isfinite())


def update(optimizer: Optimizer) -> None:
    optimizer.step()
    optimizer.zero_grad()


def count_step(
    parts: list[tuple[str, Layer]], optimizer: Optimizer | None, x: Tensor, target: Tensor
) -> tuple[Counter, dict[Key, int]]:
    """The counts of one step, and the bytes of each pass that are there when backward begins."""
    counter, kept = Counter(), {}

    def measure(key: Key, call: Callable, *args) -> Tensor:
        if key == ("loss", "backward"):
            kept.update(counter.alive())
        return counter.measure(key, call, *args)

    run_step(parts, optimizer, x, target, measure)
    return counter, kept


def time_steps(
    parts: list[tuple[str, Layer]],
    optimizer: Optimizer | None,
    x: Tensor,
    target: Tensor,
    steps: int,
    device: torch.device,
) -> tuple[dict[Key, float], float, int]:
    """(milliseconds of each pass, of a step in which no clock is read, steps that were run): medians.

    Fewer steps than asked for are run where they are slow.
    """
    times: dict[Key, list[float]] = defaultdict(list)
    whole: list[float] = []

    def timed(key: Key, call: Callable, *args) -> Tensor:
        synchronise(device)
        started = time.perf_counter()
        result = call(*args)
        synchronise(device)
        times[key].append(time.perf_counter() - started)
        return result

    deadline = time.perf_counter() + SECONDS
    for done in range(-WARM_UP, steps):
        if done >= LEAST and time.perf_counter() > deadline:
            break
        run_step(parts, optimizer, x, target, timed)
        started = time.perf_counter()
        run_step(parts, optimizer, x, target, lambda key, call, *args: call(*args))
        synchronise(device)
        whole.append(time.perf_counter() - started)
    medians = {key: 1e3 * statistics.median(taken[WARM_UP:]) for key, taken in times.items()}
    return medians, 1e3 * statistics.median(whole[WARM_UP:]), len(whole) - WARM_UP


def parts_of(model: Sequential, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """(dotted name, layer); a Sequential with a way of its own to run is one part."""
    for name, layer in model.layers.items():
        if runs_in_order(layer):
            yield from parts_of(layer, f"{prefix}{name}.")
        else:
            yield prefix + name, layer


def runs_in_order(layer: object) -> bool:
    """Whether it is a Sequential that does no more than run its layers one after the other."""
    return (
        isinstance(layer, Sequential)
        and type(layer).forward is Sequential.forward
        and type(layer).backward is Sequential.backward
    )
