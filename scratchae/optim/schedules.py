"""Schedules: the learning rate as a function of the number of the step.

η is the learning rate of the optimizer (`lr`), and t = 0, 1, 2, ... is the number of steps made so far.
The learning rate of the next step is

    StepLR             η γ^⌊t / S⌋
    LinearLR           η (a + (b − a) min(t, T) / T)                      from a η to b η
    CosineAnnealingLR  η_min + (η − η_min) (1 + cos(π t / T)) / 2         from η to η_min
    OneCycleLR         from η / D up to η, and then down to η / (D F)

S is the step_size, γ is gamma, a and b are the start_factor and the end_factor, T is total_iters or T_max, D
is the div_factor and F the final_div_factor. Along each way of OneCycleLR, let p go from 0 to 1. Then the
rate goes from `start` to `end` along

    start + (end − start) (1 − cos(π p)) / 2       or, with the strategy "linear", start + (end − start) p

(Cosine: Loshchilov and Hutter 2017. One cycle: Smith and Topin 2019. Linear warm-up: Goyal et al. 2017.)

torch.optim.lr_scheduler computes each rate from the one before. These are the closed forms of the same
sequences. So a schedule has no state, and a run that resumes at step t needs only t. The exception is
ReduceLROnPlateau: it reads the losses, so its state is the losses so far (plateau.py).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from scratchae.errors import ScratchaeError

Number = float | Tensor  # a number, or a tensor of shape ()


class Schedule:
    """Base of all schedules. A subclass defines `rate`.

    >>> class Halving(Schedule):
    ...     def rate(self, step, lr):
    ...         return lr / 2**step
    >>> [Halving().rate(step, 8.0) for step in range(3)]
    [8.0, 4.0, 2.0]
    """

    def rate(self, step: int, lr: Number) -> Number:
        """Return the learning rate of the next step.

        step: the number of steps made so far. lr: the optimizer's learning rate.
        """
        raise NotImplementedError

    def observe(self, loss: float) -> None:
        """Take note of a loss, normally the validation loss of an epoch. Most schedules ignore it."""


def step_lr(step: int, lr: Number, step_size: int, gamma: float = 0.1) -> Number:
    """Return lr, multiplied by gamma once for every `step_size` steps made so far.

    >>> [step_lr(step, 8.0, step_size=2, gamma=0.5) for step in range(5)]
    [8.0, 8.0, 4.0, 4.0, 2.0]
    """
    return lr * gamma ** (step // step_size)


def linear_lr(
    step: int,
    lr: Number,
    start_factor: float = 1 / 3,
    end_factor: float = 1.0,
    total_iters: int = 5,
) -> Number:
    """Return a rate on the line from start_factor · lr to end_factor · lr; it ends after total_iters steps.

    >>> [linear_lr(step, 8.0, 0.25, 1.0, total_iters=3) for step in range(5)]
    [2.0, 4.0, 6.0, 8.0, 8.0]
    """
    done = min(step, total_iters) / total_iters
    return lr * (start_factor + (end_factor - start_factor) * done)


def cosine_annealing_lr(step: int, lr: Number, T_max: int, eta_min: float = 0.0) -> Number:
    """Return a rate on half a wave of the cosine, from lr to eta_min in T_max steps, and then up again.

    >>> [round(cosine_annealing_lr(step, 8.0, T_max=4), 2) for step in range(6)]
    [8.0, 6.83, 4.0, 1.17, 0.0, 1.17]
    """
    return eta_min + (lr - eta_min) * ((1 + math.cos(math.pi * step / T_max)) / 2)


def one_cycle_lr(
    step: int,
    lr: Number,
    total_steps: int,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Number:
    """Return a rate that rises from lr / div_factor to lr, and falls to lr / (div_factor · final_div_factor).

    The rate reaches lr after the fraction pct_start of all steps. With three_phase, it first falls as fast
    as it rose, and then to the final rate.

    >>> [round(one_cycle_lr(step, 8.0, 6, 0.5, "linear", 4.0, 100.0), 2) for step in range(6)]
    [2.0, 5.0, 8.0, 5.34, 2.68, 0.02]
    """
    first, last = 1 / div_factor, 1 / (div_factor * final_div_factor)
    peak = pct_start * total_steps - 1  # the step with the rate lr
    ends, factors = [peak, total_steps - 1], [first, 1.0, last]
    if three_phase:
        ends, factors = [peak, 2 * peak, total_steps - 1], [first, 1.0, first, last]
    way = next((i for i, end in enumerate(ends) if step <= end), len(ends) - 1)
    begin, end = ends[way - 1] if way else 0, ends[way]
    p = min((step - begin) / (end - begin), 1.0) if end > begin else 1.0
    if anneal_strategy == "cos":
        p = (1 - math.cos(math.pi * p)) / 2
    start, goal = factors[way], factors[way + 1]
    return lr * (start + (goal - start) * p)


@dataclass(frozen=True)
class StepLR(Schedule):
    """Multiply the learning rate by gamma after every `step_size` steps, as torch's StepLR.

    >>> [StepLR(2, gamma=0.5).rate(step, 8.0) for step in range(5)]
    [8.0, 8.0, 4.0, 4.0, 2.0]
    """

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        require(self, "step_size", is_count(self.step_size, 1), "a whole number of at least 1")
        require(self, "gamma", self.gamma >= 0, "at least 0")

    def rate(self, step: int, lr: Number) -> Number:
        return step_lr(step, lr, self.step_size, self.gamma)


@dataclass(frozen=True)
class LinearLR(Schedule):
    """Change the learning rate along a line, as torch's LinearLR. It serves as a warm-up.

    >>> [LinearLR(0.25, total_iters=3).rate(step, 8.0) for step in range(5)]
    [2.0, 4.0, 6.0, 8.0, 8.0]
    """

    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_iters: int = 5

    def __post_init__(self) -> None:
        require(self, "start_factor", 0 < self.start_factor <= 1, "above 0 and at most 1")
        require(self, "end_factor", 0 <= self.end_factor <= 1, "from 0 to 1")
        require(self, "total_iters", is_count(self.total_iters, 1), "a whole number of at least 1")

    def rate(self, step: int, lr: Number) -> Number:
        return linear_lr(step, lr, self.start_factor, self.end_factor, self.total_iters)


@dataclass(frozen=True)
class CosineAnnealingLR(Schedule):
    """Lower the learning rate to eta_min along a cosine, as torch's CosineAnnealingLR.

    >>> [CosineAnnealingLR(T_max=2).rate(step, 8.0) for step in range(3)]
    [8.0, 4.0, 0.0]
    """

    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        require(self, "T_max", is_count(self.T_max, 1), "a whole number of at least 1")
        require(self, "eta_min", self.eta_min >= 0, "at least 0")

    def rate(self, step: int, lr: Number) -> Number:
        return cosine_annealing_lr(step, lr, self.T_max, self.eta_min)


@dataclass(frozen=True)
class OneCycleLR(Schedule):
    """Raise the learning rate to the optimizer's lr and lower it again, as torch's OneCycleLR.

    torch's max_lr is here the learning rate of the optimizer. Momentum does not change, as with torch's
    cycle_momentum=False. After total_steps, the rate stays the lowest one.

    >>> cycle = OneCycleLR(total_steps=5, pct_start=0.6, div_factor=4.0)
    >>> [round(cycle.rate(step, 8.0), 2) for step in range(5)]
    [2.0, 5.0, 8.0, 4.0, 0.0]
    """

    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        require(self, "total_steps", is_count(self.total_steps, 1), "a whole number of at least 1")
        require(self, "pct_start", 0 <= self.pct_start <= 1, "from 0 to 1")
        known = self.anneal_strategy in ("cos", "linear")
        require(self, "anneal_strategy", known, "'cos' or 'linear'")
        require(self, "div_factor", self.div_factor > 0, "above 0")
        require(self, "final_div_factor", self.final_div_factor > 0, "above 0")

    def rate(self, step: int, lr: Number) -> Number:
        return one_cycle_lr(step, lr, **vars(self))


@dataclass(frozen=True)
class SequentialLR(Schedule):
    """Use one schedule after another, as torch's SequentialLR.

    milestones: the steps at which the second schedule begins, the third, and so on. Each schedule counts its
    own steps from 0.

    >>> warm_up = SequentialLR([LinearLR(0.5, total_iters=2), CosineAnnealingLR(2)], [2])
    >>> [warm_up.rate(step, 8.0) for step in range(5)]
    [4.0, 6.0, 8.0, 4.0, 0.0]
    """

    schedules: Sequence[Schedule]
    milestones: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.milestones) != len(self.schedules) - 1:
            raise ScratchaeError(
                f"SequentialLR expects one milestone fewer than schedules, got {len(self.milestones)} "
                f"for {len(self.schedules)}: give the first step of each schedule but the first"
            )
        rising = sorted(set(self.milestones)) == list(self.milestones)
        require(self, "milestones", rising, "a rising list")

    def rate(self, step: int, lr: Number) -> Number:
        index = bisect_right(self.milestones, step)
        begin = self.milestones[index - 1] if index else 0
        return self.schedules[index].rate(step - begin, lr)

    def observe(self, loss: float) -> None:
        for schedule in self.schedules:
            schedule.observe(loss)


def is_count(value: object, least: int) -> bool:
    """Return whether a value is a whole number of at least `least`.

    >>> is_count(3, least=1), is_count(2.5, least=1)
    (True, False)
    """
    return isinstance(value, int) and value >= least


def require(schedule: Schedule, name: str, fits: bool, expected: str) -> None:
    """Raise ScratchaeError, with what is expected, if a setting of a schedule does not fit.

    >>> StepLR(step_size=0)
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: StepLR expects step_size to be a whole number of at least 1, got 0
    """
    if not fits:
        raise ScratchaeError(
            f"{type(schedule).__name__} expects {name} to be {expected}, got {getattr(schedule, name)!r}"
        )
