"""Read the values of a sweep from text: a number 1e-3, a list 1e-4,1e-3 or a range 1e-4..1e-2."""

from __future__ import annotations

import math
import re

from scratchae.errors import ScratchaeError


def numbers(text: str, name: str) -> list[float]:
    """Return the positive numbers in a text.

    In a range, each value is the one before times a fixed factor, with two steps for each factor of ten.
    A number after a colon sets the number of values instead. The values between the ends are rounded to
    three digits, so that they can be printed exactly. name: the option, for the error text. Raises
    ScratchaeError if the text has another form.

    >>> numbers("1e-4..1e-2", "--lr")
    [0.0001, 0.000316, 0.001, 0.00316, 0.01]
    >>> numbers("1e-4..1e-2:3,0.5", "--lr")
    [0.0001, 0.001, 0.01, 0.5]
    """
    found = []
    for item in text.split(","):
        first, dots, rest = item.partition("..")
        last, colon, count = rest.partition(":")
        ends = [number(first, name, text), number(last, name, text)] if dots else []
        if not dots:
            found.append(number(item, name, text))
        elif ends[0] >= ends[1]:
            raise ScratchaeError(
                f"{name}: the range {item.strip()} does not go up: write the smaller number first"
            )
        elif colon and not (count.strip().isdecimal() and int(count) >= 2):
            raise ScratchaeError(
                f"{name}: {item.strip()} must end in a number of values, 2 or more, such as "
                f"{first.strip()}..{last.strip()}:5"
            )
        else:
            decades = math.log10(ends[1] / ends[0])
            n = int(count) if colon else max(2, round(2 * decades) + 1)
            inner = [
                float(f"{ends[0] * 10 ** (decades * i / (n - 1)):.3g}") for i in range(1, n - 1)
            ]
            found += [ends[0], *inner, ends[1]]
    return found


def whole_numbers(text: str, name: str) -> list[int]:
    """Return the integers in a text. A range includes both ends.

    >>> whole_numbers("2,3,8", "--latent"), whole_numbers("5..7", "--seeds")
    ([2, 3, 8], [5, 6, 7])
    """
    found: list[int] = []
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:\.\.\s*(\d+)\s*)?", item)
        if not match:
            raise ScratchaeError(
                f"{name} expects integers, such as 3, a list 2,3,8 or a range 2..8, but got {text!r}"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ScratchaeError(
                f"{name}: the range {item.strip()} does not go up: write the smaller number first"
            )
        found += range(first, last + 1)
    return found


def seed_numbers(text: str, name: str) -> list[int]:
    """Return the seeds. A single number n means 0, ..., n - 1. A list or a range contains the seeds.

    >>> seed_numbers("5", "--seeds"), seed_numbers("7..7", "--seeds")
    ([0, 1, 2, 3, 4], [7])
    """
    if not text.strip().isdecimal():
        return whole_numbers(text, name)
    if int(text) == 0:
        raise ScratchaeError(f"{name} is the number of seeds: give 1 or more")
    return list(range(int(text)))


def number(text: str, name: str, whole: str) -> float:
    """Return the number in `text`, a part of `whole`. Raises ScratchaeError if it is not a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ScratchaeError(
            f"{name} expects numbers above 0, such as 1e-3, a list 1e-4,1e-3 or a range 1e-4..1e-2, but "
            f"got {whole!r}"
        )
    return value
