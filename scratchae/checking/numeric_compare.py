"""Compare the elements of a gradient with numeric derivatives, and estimate how certain each result is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scratchae.checking.diagnose import Difference
from scratchae.checking.differences import (
    STEPS,
    Derivative,
    central_difference,
    complex_derivative,
    derivative,
    ladder,
    noise_of,
)

TOLERANCE = 3e-7  # relative to the largest element: an error of 1e-6 is found
TRUST = 10  # a right gradient may seem wrong by this many estimated errors
ENOUGH = 20  # wrong elements of a tensor that are computed again more precisely
CLOSE = 1e-5  # relative: how close a corrected gradient must be to the numeric one


@dataclass
class Function:
    """forward() computes y from `tensors`, which are contiguous. `point` is the one that varies."""

    forward: Callable[[], Tensor]
    point: Tensor
    tensors: list[Tensor]

    def curve(self, move: int | Tensor) -> Callable[[complex], Tensor]:
        """Return h -> y, with h added to element number `move`, or h · move added to the tensor."""
        flat = self.point.view(-1)
        where = slice(None) if isinstance(move, Tensor) else slice(move, move + 1)
        before, direction = flat[where].clone(), move if isinstance(move, Tensor) else 1

        def y(h: complex) -> Tensor:
            flat[where] = before + h * direction
            try:
                return self.forward().clone()  # a view of the point would change back with it
            finally:
                flat[where] = before

        return y


@dataclass
class NumericComparison:
    """One gradient compared with numeric derivatives, at the flat indices `places`.

    error: the difference of got and expected, minus the possible error of the numeric derivative. wrong:
    elements that are certainly wrong. kink: elements without a derivative, which are omitted.
    uncertainty: the largest possible error of a numeric derivative. direction: (got, expected) along a
    random direction, if the sample looks right but these two differ.
    """

    method: str
    step: float | None
    places: Tensor
    got: Tensor
    expected: Tensor
    error: Tensor
    wrong: Tensor
    kink: Tensor
    uncertainty: float = 0.0
    direction: tuple[float, float] | None = None

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.wrong.any() and self.direction is None

    @property
    def scale(self) -> float:
        """Return the size of the largest expected element."""
        kept = self.expected[~self.kink]
        return float(kept.abs().max()) if len(kept) else 0.0

    def sentence(self, name: str, gradient: Tensor, arguments: Mapping[str, Tensor]) -> str:
        """Say what is wrong with the gradient of that name. arguments: the inputs of forward, by name."""
        if self.direction and not self.wrong.any():
            got, expected = self.direction
            return (
                f"{name} is wrong in elements that were not compared: along a random direction it "
                f"gives {got:.6g}, expected {expected:.6g}"
            )
        whole = gradient.detach().cpu().double()

        def spread(values: Tensor) -> Tensor:
            flat = torch.zeros(whole.numel(), dtype=values.dtype)
            flat[self.places] = values
            return flat.reshape(whole.shape)

        return Difference(
            name, whole, spread(self.expected), spread(~self.kink), spread(self.wrong), CLOSE
        ).sentence(arguments)


def compare(
    got: Tensor,
    real: Function,
    analytic: Function,
    dy: Tensor,
    most: int,
    generator: torch.Generator,
) -> NumericComparison:
    """Compare the gradient `got` with numeric ones of ⟨dy, f⟩ at up to `most` random elements.

    real, analytic: f in float64 and in complex128, which is used if f is analytic. If `got` has more
    than `most` elements, it is also compared as a whole along one random direction.
    """
    n, point = got.numel(), real.point.view(-1)
    middling = float(point.abs().median()) or 1.0
    units = point.abs().clamp(min=middling).tolist()
    direction = torch.randn(n, generator=generator, dtype=torch.float64).to(point.device)
    direction *= middling / float(direction.norm())
    along = derivative(real.curve(direction), dy)
    places = torch.randperm(n, generator=generator)
    numeric = NumericDerivatives(real, None, dy, units)
    if is_analytic(complex_slope(analytic, direction, dy), along, dy):
        numeric.analytic = analytic
    else:
        numeric.step = best_step(real, dy, [(i, units[i]) for i in places[:3].tolist()])
    flat = got.reshape(-1).cpu().double()
    comparison = compare_elements(flat, places[:most].sort().values, numeric, generator)
    if n > most and not along.kink:
        whole, direction = float(flat @ direction.cpu()), direction.cpu()
        scale = float((flat * direction).norm())
        if abs(whole - along.value) > max(TOLERANCE * scale, TRUST * along.error):
            comparison.direction = whole, along.value
    return comparison


@dataclass
class NumericDerivatives:
    """The derivatives of ⟨dy, f⟩ with respect to single elements. units: the size of each element.

    analytic: f in complex128, or None, if central differences with the relative `step` are used.
    """

    real: Function
    analytic: Function | None
    dy: Tensor
    units: list[float]
    step: float = 0.0

    def by(self, i: int) -> float:
        """Return the derivative with respect to element i, computed fast."""
        if self.analytic:
            return complex_derivative(self.analytic.curve(i), self.dy, self.units[i])
        return central_difference(self.real.curve(i), self.dy, self.step * self.units[i])

    def carefully_by(self, i: int, generator: torch.Generator) -> Derivative:
        """Return the derivative with respect to element i. Its error includes the rounding inside f."""
        real, analytic, dy, unit = self.real, self.analytic, self.dy, self.units[i]
        best = derivative(real.curve(i), dy, unit)
        noise = rounding_of(
            real, lambda: central_difference(real.curve(i), dy, best.step), generator
        )
        best = replace(best, error=best.error + noise)
        if analytic is None:
            return best
        value = complex_derivative(analytic.curve(i), dy, unit)
        if not abs(value - best.value) <= TRUST * best.error:  # not analytic here
            return best
        noise = rounding_of(
            analytic, lambda: complex_derivative(analytic.curve(i), dy, unit), generator
        )
        made_of_y = noise_of(real.forward(), dy) / min(1.0, unit)  # as tanh' = 1 − y² is
        return replace(best, value=value, error=min(best.error, noise + made_of_y))


def compare_elements(
    gradient: Tensor, places: Tensor, numeric: NumericDerivatives, generator: torch.Generator
) -> NumericComparison:
    """Compare the elements at `places`; compute those that seem wrong again, more precisely."""
    expected = torch.tensor([numeric.by(i) for i in places.tolist()], dtype=torch.float64)
    got = gradient[places]
    scale = min(float(got.abs().max()), float(expected.nan_to_num(0, 0, 0).abs().max()))
    tolerance = TOLERANCE * scale
    error = (got - expected).abs().nan_to_num(float("inf"))
    wrong = torch.zeros(len(got), dtype=torch.bool)
    kink, uncertainty = wrong.clone(), 0.0
    rounding = noise_of(numeric.real.forward(), numeric.dy)
    for j in error.argsort(descending=True).tolist():
        i = int(places[j])
        floor = 0.0 if numeric.analytic else rounding / (numeric.step * numeric.units[i])
        if error[j] <= tolerance:
            continue
        if error[j] <= floor:
            uncertainty, error[j] = max(uncertainty, floor), 0.0
            continue
        if wrong.sum() >= ENOUGH:
            wrong[j] = True
            continue
        best = numeric.carefully_by(i, generator)
        expected[j] = best.value
        off = abs(float(got[j]) - best.value)
        error[j] = off if off <= tolerance else max(0.0, off - TRUST * best.error)
        if off <= tolerance:
            continue
        if best.kink:
            kink[j], error[j] = True, 0.0
        elif error[j] > 0:
            wrong[j] = True
        else:
            uncertainty = max(uncertainty, TRUST * best.error)
    method = "complex step" if numeric.analytic else "central differences"
    step = None if numeric.analytic else numeric.step
    return NumericComparison(method, step, places, got, expected, error, wrong, kink, uncertainty)


def rounding_of(
    function: Function, slope: Callable[[], float], generator: torch.Generator
) -> float:
    """Return the rounding error of a slope: how much it changes if all tensors change by a few ε."""
    value, far = slope(), []
    kept = [tensor.clone() for tensor in function.tensors]
    for _ in range(4):
        for tensor, before in zip(function.tensors, kept, strict=True):
            signs = torch.randn(before.shape, generator=generator, dtype=torch.float64)
            tensor.copy_(before * (1 + 2.0**-51 * signs.to(before.device)))
        far.append(abs(slope() - value))
    for tensor, before in zip(function.tensors, kept, strict=True):
        tensor.copy_(before)
    return 4 * max(far)


def complex_slope(analytic: Function, direction: Tensor, dy: Tensor) -> float | None:
    """Return L' along the direction, by the complex step, or None if f does not accept complex numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as "discards the imaginary part"
            return complex_derivative(analytic.curve(direction), dy)
    except Exception:  # code may raise anything on numbers that it was not written for
        return None


def is_analytic(slope: float | None, along: Derivative, dy: Tensor) -> bool:
    """Return whether the complex step and central differences give the same slope."""
    if slope is None or along.kink:
        return False
    rounding = 1e-12 * float(dy.norm())  # two slopes of 0 may differ by this much
    tolerance = max(1e-6 * abs(along.value), TRUST * along.error, rounding)
    return abs(slope - along.value) <= tolerance


def best_step(real: Function, dy: Tensor, probes: list[tuple[int, float]]) -> float:
    """Return the relative step of the ladder that is best for a few elements. probes: (element, unit)."""
    errors = torch.tensor([[e.error for e in ladder(real.curve(i), dy, u)] for i, u in probes])
    return STEPS[1:][int(errors.median(dim=0).values.argmin())]
