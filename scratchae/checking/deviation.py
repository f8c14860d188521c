"""How a wrong gradient differs from the right one, in one sentence."""

from __future__ import annotations

import torch

from scratchae.checking.numeric_compare import Finding


def describe(name: str, finding: Finding, shape: torch.Size, batch: int) -> str:
    """The most useful true thing about a wrong gradient, in one sentence."""
    f = finding
    got, expected = f.got[~f.kink], f.expected[~f.kink]
    if not f.wrong.any():
        return (
            f"{name} is wrong in elements that the sample does not hold: along a random direction "
            f"it comes to {f.direction[0]:.6g} instead of {f.direction[1]:.6g}."
        )
    if not got.any():
        return f"{name} is zero everywhere, but should not be."
    if float(expected.norm()) > 0:
        factor = float(got @ expected) / float(expected @ expected)
        if float((got - factor * expected).norm()) < 1e-5 * abs(factor) * float(expected.norm()):
            return f"{name} {in_factors(factor, batch, shape.numel())}."
    if len(shape) == 2 and shape[0] == shape[1] and len(got) == shape.numel():
        turned = expected.reshape(shape).T.flatten()
        if float((got - turned).norm()) < 1e-5 * float(expected.norm()):
            return f"{name} is transposed."
    wrong, worst = f.wrong, int(f.error.argmax())
    where = [int(i) for i in torch.unravel_index(f.places[worst], shape)]
    if not f.got[wrong].any():
        return (
            f"{name} is zero in {int(wrong.sum())} elements where it should not be, as at {where}."
        )
    return (
        f"{name} is wrong in {int(wrong.sum())} of {len(got)} elements, most at {where}: "
        f"{f.got[worst]:.6g} instead of {f.expected[worst]:.6g}."
    )


def in_factors(factor: float, batch: int, numel: int) -> str:
    """In words, how a gradient is off that is the right one times a factor."""
    if abs(factor + 1) < 1e-4:
        return "has the wrong sign"
    sign = "has the wrong sign and " if factor < 0 else ""
    size = abs(factor)
    of = ""
    for n, what in ((numel, "the number of its elements"), (batch, "the batch size")):
        if n > 1 and min(abs(size / n - 1), abs(size * n - 1)) < 1e-4:
            of = f", {what}"
    if size > 1:
        return f"{sign}is {size:.8g} times too large{of}"
    return f"{sign}is {1 / size:.8g} times too small{of}"
