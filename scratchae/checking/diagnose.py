"""diagnose: one true and useful sentence about a wrong tensor.

The questions are asked in this order. Is it there, a plain tensor, of the right dtype, on the right
device, of the right shape (if not: which sum or transposition would give it), finite, not all zero? Is
it a named mistake? Is it wrong by a factor, in its sign, flipped, with its axes exchanged, wrong only at
the border, only imprecise? Otherwise: where are the first and the largest difference? A sentence is used
only if it holds for the numbers. `check` and `gradcheck` both call this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from math import prod

import torch
from torch import Tensor

CLOSE = 1e-6  # relative to the largest element: how close a corrected tensor must be
ROUNDING = {torch.float64: 1e-9}  # relative: what is right up to rounding;
ROUNDING_ELSE = 1e-5  # in other dtypes than these


def diagnose(
    got: object,
    expected: Tensor,
    name: str = "result",
    arguments: Mapping[str, object] | None = None,
    named: str = "",
) -> str:
    """Return one sentence about what is wrong with `got`, or "" if it is right.

    name: the name of the tensor. arguments: those of the function; they explain factors such as the
    batch size. named: the sentence of a catalogued mistake with the same result, if there is one.

    >>> diagnose(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 2.0]), "dbias")
    'dbias is 2 times too large'
    >>> diagnose(torch.ones(2, 3), torch.ones(3, 2), "dweight")
    'dweight has shape (2, 3), expected (3, 2): transpose it'
    """
    if sentence := wrong_kind(got, expected, name):
        return sentence
    assert isinstance(got, Tensor)
    if sentence := wrong_shape(got, expected, name, lambda mended: near(mended, expected)):
        return sentence
    if sentence := not_finite(got, name) if expected.isfinite().all() else "":
        return sentence
    rounding = ROUNDING.get(got.dtype, ROUNDING_ELSE)
    wrong = (got != expected) & ~differs_by_at_most(rounding, got, expected)
    if not wrong.any():
        return ""
    known = torch.ones_like(wrong)
    close = max(CLOSE, rounding)
    return Difference(name, got, expected, known, wrong, close).sentence(arguments or {}, named)


# ------------------------------------------------------------------ checks that need no expected numbers


def wrong_kind(got: object, like: Tensor, name: str) -> str:
    """Say whether it is missing, not a plain tensor, or of another dtype or device than `like`."""
    if got is None:
        return f"{name} is None: compute it and return it"
    if type(got) is not Tensor:
        plain = "a plain torch.Tensor" if isinstance(got, Tensor) else "a torch.Tensor"
        return f"{name} is a {type(got).__name__}, expected {plain}"
    if got.dtype != like.dtype:
        is_, should = (str(tensor.dtype).removeprefix("torch.") for tensor in (got, like))
        return f"{name} is {is_}, expected {should}: keep the dtype of the inputs"
    if got.device != like.device:
        return f"{name} is on {got.device}, expected {like.device}: create it on the device of the inputs"
    return ""


def wrong_shape(got: Tensor, like: Tensor, name: str, fits: Callable[[Tensor], bool]) -> str:
    """Say whether it has another shape than `like`, and what would correct it.

    fits: returns whether a tensor of the right shape also has the right numbers.
    """
    if got.shape == like.shape:
        return ""
    sentence = f"{name} has shape {tuple(got.shape)}, expected {tuple(like.shape)}"
    for cure, mended in reshaped(got, like.shape):
        if fits(mended):
            return f"{sentence}: {cure}"
    if got.ndim == 2 and got.T.shape == like.shape:
        return f"{sentence}: its axes are exchanged, and its numbers are wrong too"
    return sentence


def reshaped(got: Tensor, shape: torch.Size) -> Iterator[tuple[str, Tensor]]:
    """Yield (words, tensor) for every simple way to turn a tensor into that shape."""
    for count in range(1, got.ndim + 1):
        for axes in combinations(range(got.ndim), count):
            for keepdim in (False, True):
                if got.sum(axes, keepdim).shape == shape:
                    yield f"sum over axis {listed(axes)}", got.sum(axes, keepdim)
                    yield f"average over axis {listed(axes)}", got.mean(axes, keepdim)
    if got.ndim == len(shape):
        for order in permutations(range(got.ndim)):
            if got.permute(order).shape == shape:
                cure = "transpose it" if got.ndim == 2 else f"permute its axes to {order}"
                yield cure, got.permute(order)
    if got.numel() == prod(shape):
        yield "the numbers are right, reshape it", got.reshape(shape)


def not_finite(got: Tensor, name: str) -> str:
    """Say whether there is NaN or infinity among the numbers."""
    bad = ~got.isfinite()
    if not bad.any():
        return ""
    what = "NaN" if bool(got.isnan().any()) else "infinity"
    return (
        f"{name} has {what} in {int(bad.sum())} of {got.numel()} elements, first at "
        f"{bad.nonzero()[0].tolist()}: look for a division by 0 or the root of a negative number"
    )


# --------------------------------------------------------------------- where the numbers are wrong


@dataclass(frozen=True)
class Difference:
    """A wrong tensor and the right one, of one shape.

    known: the elements whose right value is known: all of them, or a sample. wrong: those of them that
    differ by more than rounding. close: how close a corrected tensor must be, relative to the largest
    element.
    """

    name: str
    got: Tensor
    expected: Tensor
    known: Tensor
    wrong: Tensor
    close: float = CLOSE

    def sentence(self, arguments: Mapping[str, object], named: str = "") -> str:
        """Return the sentence of the first question that has an answer."""
        if not self.got.any():
            return f"{self.name} is zero everywhere: it is never filled, or it is multiplied by 0"
        return (
            named
            or self.wrong_factor(arguments)
            or self.wrong_order()
            or self.wrong_border()
            or self.wrong_precision()
            or self.where_wrong()
        )

    def is_mended_by(self, mended: Tensor) -> bool:
        """Return whether this tensor is right in all elements that are known."""
        return mended.shape == self.expected.shape and near(
            mended[self.known], self.expected[self.known], self.close
        )

    def wrong_factor(self, arguments: Mapping[str, object]) -> str:
        """Say whether all elements are wrong by the same factor."""
        got, expected = self.got[self.known].double(), self.expected[self.known].double()
        size = float((expected * expected).sum())
        factor = float((got * expected).sum()) / size if size else 0.0
        is_precision = abs(factor - 1) < 1e-4
        if abs(factor) < 1e-12 or is_precision or not near(got, factor * expected, self.close):
            return ""
        if abs(factor + 1) < self.close:
            return f"{self.name} has the wrong sign"
        times = abs(factor) if abs(factor) > 1 else 1 / abs(factor)
        is_whole = abs(times - round(times)) < self.close * times
        number = str(round(times)) if is_whole else f"{times:.4g}"
        large = "large" if abs(factor) > 1 else "small"
        sign = ", and has the wrong sign" if factor < 0 else ""
        why = explained(times, arguments, self.got.numel(), self.close)
        return f"{self.name} is {number} times too {large}{sign}{why}"

    def wrong_order(self) -> str:
        """Say whether the right numbers are in another order: flipped, or with exchanged axes."""
        if self.is_mended_by(self.got):  # the order is right; only the precision is too low
            return ""
        axes = range(self.got.ndim)
        for count in range(1, self.got.ndim + 1):
            for which in combinations(axes, count):
                if self.is_mended_by(self.got.flip(which)):
                    return f"{self.name} is flipped along axis {listed(which)}"
        for order in list(permutations(axes))[1:]:  # the first changes nothing
            if self.is_mended_by(self.got.permute(order)):
                cure = "transpose it" if self.got.ndim == 2 else f"permute them to {order}"
                return f"{self.name} has its axes exchanged: {cure}"
        return ""

    def wrong_border(self) -> str:
        """Say whether only the border of images is wrong."""
        if self.got.ndim != 4 or min(self.got.shape[2:]) < 3 or not self.known.all():
            return ""
        if self.wrong[:, :, 1:-1, 1:-1].any():
            return ""
        sides = {
            "the first row": self.wrong[:, :, 0],
            "the last row": self.wrong[:, :, -1],
            "the first column": self.wrong[..., 0],
            "the last column": self.wrong[..., -1],
        }
        where = ", ".join(side for side, wrong in sides.items() if wrong.any())
        return (
            f"{self.name} is wrong only at the border ({where}): look at the padding and at the "
            "last windows"
        )

    def wrong_precision(self) -> str:
        """Say whether most elements are nearly right."""
        got, expected = self.got[self.known], self.expected[self.known]
        error = float((got - expected).abs().max() / expected.abs().max().clamp(min=1e-300))
        most = float((got != expected).double().mean()) > 0.5
        if got.dtype != torch.float64 or not most or not error < 1e-5:
            return ""
        return f"{self.name} is right only to {error:.0e}: is a part of it computed in float32?"

    def where_wrong(self) -> str:
        """Say how many elements are wrong, and which are the first and the worst of them."""
        differences = (self.got - self.expected).abs().nan_to_num(float("inf"))
        worst = torch.where(self.wrong, differences, -1.0).argmax()
        at = [int(i) for i in torch.unravel_index(worst, self.got.shape)]
        first = self.wrong.nonzero()[0].tolist()
        compared = "" if self.known.all() else " that were compared"
        count = f"{int(self.wrong.sum())} of {int(self.known.sum())} elements{compared}"
        if not self.got[self.wrong].any():
            return f"{self.name} is 0 in {count}, where it should not be, first at {first}"
        place = f"first at {first}, most at {at}" if first != at else f"first and most at {at}"
        place = f"at {at}" if self.wrong.sum() == 1 else place
        values = (float(tensor.flatten()[worst]) for tensor in (self.got, self.expected))
        got, expected = (f"{value:.5g}" for value in values)
        return f"{self.name} is wrong in {count}, {place}: got {got}, expected {expected}"


def explained(times: float, arguments: Mapping[str, object], own: int, close: float) -> str:
    """Return ': that is the batch size' or the like, if a size of an argument, or `own`, is this factor."""
    tensors = [(name, t) for name, t in arguments.items() if isinstance(t, Tensor) and t.ndim]
    sizes = {}
    if tensors:
        name, (N, *shape) = tensors[0][0], tensors[0][1].shape
        if shape:
            sizes["the batch size"] = N
            sizes[f"the number of values in a sample of {name}"] = prod(shape)
        sizes[f"the number of elements of {name}"] = N * prod(shape)
        if len(shape) > 1:
            sizes[f"the number of values in a channel of {name}"] = N * prod(shape[1:])
            sizes["the number of positions in an image"] = prod(shape[1:])
    fitting = [what for what, n in sizes.items() if n > 2 and abs(times - n) < close * n]
    if not fitting and own > 2 and abs(times - own) < close * own:
        fitting = ["the number of its elements"]
    return f": that is {' or '.join(fitting)}" if len(fitting) in (1, 2) else ""


def listed(axes: tuple[int, ...]) -> str:
    return ", ".join(map(str, axes))


def differs_by_at_most(tolerance: float, got: Tensor, expected: Tensor) -> Tensor:
    """Return for every element whether it is right. The tolerance is relative to the largest one."""
    if expected.numel() == 0:
        return torch.ones_like(expected, dtype=torch.bool)
    return (got - expected).abs() <= tolerance * float(expected.abs().max())


def near(got: Tensor, expected: Tensor, tolerance: float | None = None) -> bool:
    """Return whether all elements are right. Without a tolerance, use that of a corrected tensor."""
    if tolerance is None:
        tolerance = max(CLOSE, ROUNDING.get(got.dtype, ROUNDING_ELSE))
    return bool(differs_by_at_most(tolerance, got, expected).all())
