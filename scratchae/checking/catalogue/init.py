"""Mistakes in He's uniform initialisation (chapter 7): ±√3 · √(2 / (1 + a²)) / √fan_in."""

from __future__ import annotations

import math
from functools import partial

import torch

from scratchae.checking.mistake import mistake
from scratchae.layers.init import kaiming_uniform

wrong = partial(mistake, "kaiming_uniform", chapter=7)


def fan_out(shape: tuple[int, ...]) -> int:
    return shape[0] * math.prod(shape[2:])


@wrong(
    "The range is ±std, gain / √fan_in, so the spread is too small by √3: a uniform draw of that "
    "spread reaches ±√3 · std."
)
def std_as_bound(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_in, a, generator) / math.sqrt(3)


@wrong(
    "The range uses fan_out, the number of outputs: it has to be fan_in, the number of inputs "
    "that one output adds up."
)
def fan_out_for_fan_in(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_out(shape), a, generator)


@wrong(
    "This is Xavier's range, √6 / √(fan_in + fan_out): He's has fan_in alone and the gain √(2 / "
    "(1 + a²))."
)
def xavier(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_in + fan_out(shape), generator=generator)


@wrong(
    "The gain is missing, the bound is √3 / √fan_in: multiply it by √(2 / (1 + a²)), for what "
    "the ReLU after it takes away."
)
def gain_forgotten(shape, fan_in, a=0.0, generator=None):
    bound = math.sqrt(3 / fan_in)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


@wrong("a is ignored, the gain is always √2: it is √(2 / (1 + a²)), smaller for a larger a.")
def a_ignored(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_in, generator=generator)


@wrong("a is not squared in the gain: it is √(2 / (1 + a²)), not √(2 / (1 + a)).")
def a_not_squared(shape, fan_in, a=0.0, generator=None):
    bound = math.sqrt(3 * 2 / (1 + a) / fan_in)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


@wrong("The gain has no square root: it is √(2 / (1 + a²)), not 2 / (1 + a²).")
def gain_without_root(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_in, a, generator) * math.sqrt(2 / (1 + a**2))


@wrong(
    "The bound is divided by fan_in itself: a sum of fan_in numbers spreads by √fan_in, so "
    "divide by the root."
)
def fan_in_without_root(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_in**2, a, generator)


@wrong(
    "The root of fan_in is taken twice, so the bound is too large: divide by √fan_in, not by "
    "√√fan_in."
)
def fan_in_rooted_twice(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, math.sqrt(fan_in), a, generator)


@wrong(
    "The draw is normal: its spread is right, but some numbers lie outside ±bound; draw "
    "uniformly between −bound and bound."
)
def normal_for_uniform(shape, fan_in, a=0.0, generator=None):
    std = math.sqrt(2 / (1 + a**2) / fan_in)
    return torch.empty(shape).normal_(0, std, generator=generator)


@wrong(
    "The numbers run from 0 to bound: half of the weights have to be negative, so draw between "
    "−bound and bound."
)
def positive_only(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_in, a, generator).abs()


@wrong(
    "The range is bound wide, from −bound / 2 to bound / 2: it has to reach from −bound to bound."
)
def range_halved(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_in, a, generator) / 2


@wrong("All weights are 0: every output is then alike and learns alike; draw them at random.")
def all_zero(shape, fan_in, a=0.0, generator=None):
    return torch.zeros(shape)


@wrong(
    "All weights are the bound itself: it is the end of the range; draw between −bound and bound."
)
def all_at_bound(shape, fan_in, a=0.0, generator=None):
    return torch.full(shape, math.sqrt(6 / (1 + a**2) / fan_in))


@wrong(
    "generator is ignored and the global one is drawn from: pass it on, uniform_(-bound, bound, "
    "generator=generator)."
)
def generator_ignored(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape, fan_in, a)


@wrong(
    "The shape is reversed: weights of shape (O, I) are asked for, and (I, O) come back; use "
    "shape as it is given."
)
def shape_reversed(shape, fan_in, a=0.0, generator=None):
    return kaiming_uniform(shape[::-1], fan_in, a, generator)
