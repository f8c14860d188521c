"""Mistakes in He's uniform initialisation: numbers in ±bound, bound = √3 · √(2 / (1 + a²)) / √fan_in."""

from __future__ import annotations

import math

CHAPTER = 7


def fan_out(shape: tuple[int, ...]) -> int:
    return shape[0] * math.prod(shape[2:])


MISTAKES = {
    "kaiming_uniform": {
        "std_as_bound": (
            "...; result = result / math.sqrt(3)",
            "The bound is the standard deviation, gain / √fan_in. Uniform numbers with that "
            "standard deviation reach √3 times as far: multiply the bound by √3.",
        ),
        "fan_out_for_fan_in": (
            "fan_in = fan_out(shape); ...",
            "The bound uses fan_out, the number of outputs. Use fan_in, the number of inputs that one "
            "output adds up.",
        ),
        "xavier": (
            "fan_in, a = fan_in + fan_out(shape), 0; ...",
            "This is Xavier's bound, √6 / √(fan_in + fan_out). He's uses fan_in alone, and the gain "
            "√(2 / (1 + a²)).",
        ),
        "gain_forgotten": (
            "a = 1; ...",
            "The gain is missing: the bound is √3 / √fan_in. Multiply it by √(2 / (1 + a²)), which "
            "makes up for the numbers that a ReLU sets to 0.",
        ),
        "a_ignored": (
            "a = 0; ...",
            "a is not used: the gain is always √2. It is √(2 / (1 + a²)), smaller for a larger a.",
        ),
        "a_not_squared": (
            "a = math.sqrt(a); ...",
            "a is not squared in the gain. It is √(2 / (1 + a²)), not √(2 / (1 + a)).",
        ),
        "gain_without_root": (
            "...; result = result * math.sqrt(2 / (1 + a**2))",
            "The gain has no square root. It is √(2 / (1 + a²)), not 2 / (1 + a²).",
        ),
        "fan_in_without_root": (
            "fan_in = fan_in**2; ...",
            "The bound is divided by fan_in itself. The standard deviation of a sum of fan_in "
            "numbers grows as √fan_in: divide by the root.",
        ),
        "fan_in_rooted_twice": (
            "fan_in = math.sqrt(fan_in); ...",
            "The root of fan_in is taken twice, so the bound is too large. Divide by √fan_in, not by "
            "√√fan_in.",
        ),
        "normal_for_uniform": (
            "std = math.sqrt(2 / (1 + a**2) / fan_in)\n"
            "return torch.empty(shape).normal_(0, std, generator=generator)",
            "The numbers are normally distributed: their standard deviation is right, but some lie "
            "outside ±bound. Draw uniform numbers between −bound and bound.",
        ),
        "positive_only": (
            "...; result = result.abs()",
            "The numbers run from 0 to bound. Half of the weights must be negative: draw between −bound "
            "and bound.",
        ),
        "range_halved": (
            "...; result = result / 2",
            "The numbers run from −bound / 2 to bound / 2. Draw between −bound and bound.",
        ),
        "all_zero": (
            "result = torch.zeros(shape)",
            "All weights are 0, so all outputs are equal and stay equal. Draw random numbers.",
        ),
        "all_at_bound": (
            "result = torch.full(shape, math.sqrt(6 / (1 + a**2) / fan_in))",
            "All weights are equal to the bound, which is the end of the range. Draw numbers between "
            "−bound and bound.",
        ),
        "generator_ignored": (
            "generator = None; ...",
            "generator is not used: the numbers come from the global one. Pass it on: "
            "uniform_(-bound, bound, generator=generator).",
        ),
        "shape_reversed": (
            "shape = shape[::-1]; ...",
            "The shape is reversed: for (O, I) the weights come as (I, O). Use shape as it is given.",
        ),
    }
}
