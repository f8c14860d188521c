"""diagnose: the most useful true sentence about a wrong tensor.

It asks, in this order: is it there, a plain tensor, of the right dtype, device and shape (and which
transposition or sum would mend it), finite, not all zero; is it a named mistake; is it a factor off,
of the wrong sign, flipped, with axes exchanged, wrong only at the border, only imprecise; or else,
where is it wrong. What a sentence says has been tried on the numbers.
"""

from __future__ import annotations

from itertools import combinations, permutations
from math import prod

import torch
from torch import Tensor

CLOSE = 1e-6  # relative, for what "would mend it"


def diagnose(
    got: object,
    expected: Tensor,
    name: str = "result",
    arguments: dict | None = None,
    named: str = "",
) -> str:
    """One sentence about what is wrong with `got`, or "" where nothing is.

    name: what the tensor is called. arguments: those of the function, for factors such as the batch
    size. named: the sentence of a named mistake that does the same, if there is one.

    >>> diagnose(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]), "dbias")
    'dbias is 2 times too large'
    >>> diagnose(torch.ones(2, 3), torch.ones(3, 2), "dweight")
    'dweight has shape (2, 3), wanted is (3, 2): transpose it'
    """
    form = wrong_form(got, expected, name) or wrong_shape(got, expected, name)
    if form:
        return form
    if agrees(got, expected, 1e-9 if got.dtype == torch.float64 else 1e-5):
        return ""
    if bool((got == 0).all()):
        return (
            f"{name} is zero everywhere: it is never filled, or multiplied by something that is 0"
        )
    return (
        named
        or wrong_factor(got, expected, name, arguments or {})
        or wrong_order(got, expected, name)
        or wrong_border(got, expected, name)
        or wrong_precision(got, expected, name)
        or where_wrong(got, expected, name)
    )


def wrong_form(got: object, expected: Tensor, name: str) -> str:
    """Missing, no plain tensor, another dtype or device."""
    if got is None:
        return f"{name} is None: is it computed, and returned?"
    if not isinstance(got, Tensor):
        return f"{name} is a {type(got).__name__}, wanted is a torch.Tensor"
    if type(got) is not Tensor:
        return f"{name} is a {type(got).__name__}, wanted is a plain torch.Tensor"
    if got.dtype != expected.dtype:
        kinds = [str(t.dtype).removeprefix("torch.") for t in (got, expected)]
        return f"{name} is {kinds[0]}, but its inputs are {kinds[1]}: it has to be as they are"
    if got.device != expected.device:
        return (
            f"{name} is on {got.device}, wanted is {expected.device}: make it where its inputs are"
        )
    return ""


def wrong_shape(got: Tensor, expected: Tensor, name: str) -> str:
    """Another shape, or not finite."""
    if got.shape != expected.shape:
        says = f"{name} has shape {tuple(got.shape)}, wanted is {tuple(expected.shape)}"
        mend = mend_shape(got, expected)
        if not mend and got.ndim == 2 and got.T.shape == expected.shape:
            mend = "its axes are exchanged, and the numbers are others too"
        return f"{says}: {mend}" if mend else says
    bad = ~got.isfinite()
    if bad.any() and expected.isfinite().all():
        what = "NaN" if bool(got.isnan().any()) else "infinity"
        at = tuple(int(i) for i in bad.nonzero()[0])
        return f"{name} has {what} in it, first at {list(at)}: look for a division by 0 or a root of < 0"
    return ""


def mend_shape(got: Tensor, expected: Tensor) -> str:
    """Which sum, mean, transposition or reshape gives the wanted tensor, numbers and all."""
    axes = range(got.ndim)
    for count in range(1, got.ndim + 1):
        for which in combinations(axes, count):
            for keepdim in (False, True):
                if got.sum(which, keepdim).shape == expected.shape:
                    if agrees(got.sum(which, keepdim), expected, CLOSE):
                        return f"sum over axis {', '.join(map(str, which))}"
                    if agrees(got.mean(which, keepdim), expected, CLOSE):
                        return f"average over axis {', '.join(map(str, which))}"
    if got.ndim == expected.ndim:
        for order in permutations(axes):
            turned = got.permute(order)
            if turned.shape == expected.shape and agrees(turned, expected, CLOSE):
                return "transpose it" if got.ndim == 2 else f"permute its axes to {order}"
    if got.numel() == expected.numel() and agrees(got.reshape(expected.shape), expected, CLOSE):
        return "the numbers are right, reshape it"
    return ""


def wrong_factor(got: Tensor, expected: Tensor, name: str, arguments: dict) -> str:
    """A single factor between the two."""
    size = float((expected * expected).sum())
    factor = float((got * expected).sum()) / size if size else 0.0
    nearly_one = abs(factor - 1) < 1e-4  # that is a matter of precision
    if abs(factor) < 1e-12 or nearly_one or not agrees(got, factor * expected, CLOSE):
        return ""
    if abs(factor + 1) < CLOSE:
        return f"{name} has the wrong sign"
    sign = ", and has the wrong sign" if factor < 0 else ""
    large = abs(factor) > 1
    times = abs(factor) if large else 1 / abs(factor)
    text = f"{times:.4g}" if abs(times - round(times)) > 1e-6 else f"{round(times)}"
    why = known_number(times, arguments)
    return f"{name} is {text} times too {'large' if large else 'small'}{sign}{why}"


def known_number(value: float, arguments: dict) -> str:
    """': that is the batch size', where only one quantity of the arguments has this value."""
    first = next((t for t in arguments.values() if isinstance(t, Tensor) and t.ndim), None)
    if first is None:
        return ""
    known = {
        "the batch size": first.shape[0],
        "the number of elements": first.numel(),
        "the values a sample": first.numel() // first.shape[0],
        "the values a channel": first.numel() // first.shape[1] if first.ndim > 2 else 0,
        "the positions of an image": prod(first.shape[2:]) if first.ndim > 2 else 0,
    }
    fitting = [
        what for what, number in known.items() if number > 2 and abs(value - number) < 1e-6 * number
    ]
    return f": that is {fitting[0]}" if len(fitting) == 1 else ""


def wrong_order(got: Tensor, expected: Tensor, name: str) -> str:
    """The right numbers in another order: flipped or with axes exchanged."""
    axes = range(got.ndim)
    for count in range(1, got.ndim + 1):
        for which in combinations(axes, count):
            if agrees(got.flip(which), expected, CLOSE):
                return f"{name} is flipped along axis {', '.join(map(str, which))}"
    for order in list(permutations(axes))[1:]:  # the first leaves all as it is
        turned = got.permute(order)
        if turned.shape == expected.shape and agrees(turned, expected, CLOSE):
            return f"{name} has axes exchanged: permute them to {order}"
    return ""


def wrong_border(got: Tensor, expected: Tensor, name: str) -> str:
    """Wrong only at the border of images."""
    if got.ndim != 4 or min(got.shape[2:]) < 3:
        return ""
    wrong = elementwise(got, expected)
    if not wrong[:, :, 1:-1, 1:-1].any():
        sides = {
            "the first row": wrong[:, :, 0],
            "the last row": wrong[:, :, -1],
            "the first column": wrong[..., 0],
            "the last column": wrong[..., -1],
        }
        named = ", ".join(side for side, values in sides.items() if values.any())
        return f"{name} is wrong only at the border ({named}): look at the padding and the last windows"
    return ""


def wrong_precision(got: Tensor, expected: Tensor, name: str) -> str:
    """Right but for rounding of a lower precision."""
    error = float((got - expected).abs().max() / expected.abs().max().clamp(min=1e-300))
    if got.dtype == torch.float64 and error < 1e-5:
        return f"{name} is right to {error:.0e} only: is something computed in float32 on the way?"
    return ""


def where_wrong(got: Tensor, expected: Tensor, name: str) -> str:
    """How many elements are wrong, and the worst of them."""
    wrong, n = elementwise(got, expected), got.numel()
    worst = int((got - expected).abs().flatten().argmax())
    at = [int(i) for i in torch.unravel_index(torch.tensor(worst), got.shape)]
    values = f"{float(got.flatten()[worst]):.5g}, wanted {float(expected.flatten()[worst]):.5g}"
    return f"{name} is wrong in {int(wrong.sum())} of {n} elements, most at {at}: got {values}"


def elementwise(got: Tensor, expected: Tensor) -> Tensor:
    """Which elements differ by more than rounding."""
    return (got - expected).abs() > CLOSE * expected.abs().max().clamp(min=1e-300)


def agrees(got: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Equal to the tolerance, relative to the largest element."""
    if expected.numel() == 0:
        return True
    largest = float(expected.abs().max())
    return bool((got - expected).abs().max() <= tolerance * largest)
