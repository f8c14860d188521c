"""Every element of a gradient beside its numeric derivative: which are wrong, and how sure is that."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from scratchae.checking.differences import (
    STEPS,
    Derivative,
    central_difference,
    complex_derivative,
    derivative,
    ladder,
    noise_of,
)

TOLERANCE = 3e-7  # of the largest element: an error of 1e-6 is found
TRUST = 10  # times the estimated error: how far a right gradient may seem off
ENOUGH = 20  # wrong elements of a tensor that are made sure of


@dataclass
class Function:
    """`forward()` gives y from `tensors`, contiguous ones; `point` is that to differentiate by."""

    forward: Callable[[], Tensor]
    point: Tensor
    tensors: list[Tensor]

    def curve(self, move: int | Tensor) -> Callable[[complex], Tensor]:
        """h -> y with h added to element `move`, or with h · move added to all."""
        flat = self.point.view(-1)
        where = slice(None) if isinstance(move, Tensor) else slice(move, move + 1)
        before, direction = flat[where].clone(), move if isinstance(move, Tensor) else 1

        def y(h: complex) -> Tensor:
            flat[where] = before + h * direction
            try:
                return self.forward().clone()  # a view of the point would move back with it
            finally:
                flat[where] = before

        return y


@dataclass
class Finding:
    """What the comparison of one gradient found; `got` and `expected` at the flat `places`."""

    method: str
    step: float | None
    places: Tensor
    got: Tensor
    expected: Tensor
    error: Tensor  # absolute, what the numeric derivative may be wrong by taken off
    wrong: Tensor  # bool
    kink: Tensor  # bool, left out
    blunt: float = 0.0  # the largest error that an element's numeric derivative may itself have
    direction: tuple[float, float] | None = None  # (got, expected), where they differ

    @property
    def scale(self) -> float:
        """The largest expected element."""
        kept = self.expected[~self.kink]
        return float(kept.abs().max()) if len(kept) else 0.0


def compare(
    got: Tensor,
    real: Function,
    analytic: Function | None,
    dy: Tensor,
    most: int,
    generator: torch.Generator,
) -> Finding:
    """Compare the gradient `got` with numeric ones of ⟨dy, f⟩ at up to `most` random elements.

    real, analytic: f in float64, and in complex128 where it can be. Where elements are left out
    by the sample, one random direction through the whole tensor is compared too.
    """
    n, point = got.numel(), real.point.view(-1)
    middling = float(point.abs().median()) or 1.0
    units = point.abs().clamp(min=middling).tolist()
    direction = torch.randn(n, generator=generator, dtype=torch.float64).to(point.device)
    direction *= middling / float(direction.norm())
    places = torch.randperm(n, generator=generator)
    sampled = n > most
    slope = None if analytic is None else complex_slope(analytic, direction, dy)
    along = None if slope is None and not sampled else derivative(real.curve(direction), dy)
    if slope is None or not agree(slope, along):
        analytic = None
    step = None if analytic else best_step(real, dy, [(i, units[i]) for i in places[:3].tolist()])
    places = places[:most].sort().values

    def quick(i: int) -> float:
        if analytic:
            return complex_derivative(analytic.curve(i), dy, units[i])
        return central_difference(real.curve(i), dy, step * units[i])

    expected = torch.tensor([quick(i) for i in places.tolist()], dtype=torch.float64)
    flat = got.reshape(-1).cpu()
    mine = flat[places].double()
    scale = min(float(mine.abs().max()), float(expected.nan_to_num(0, 0, 0).abs().max()))
    error = (mine - expected).abs().nan_to_num(float("inf"))
    wrong, kink, blunt = torch.zeros(len(mine), dtype=bool), torch.zeros(len(mine), dtype=bool), 0.0
    rounding = noise_of(real.forward(), dy)
    for j in error.argsort(descending=True).tolist():
        i = int(places[j])
        floor = 0.0 if analytic else rounding / (step * units[i])
        if error[j] <= max(TOLERANCE * scale, floor):
            blunt = max(blunt, floor if error[j] > TOLERANCE * scale else 0.0)
            error[j] = error[j] if error[j] <= TOLERANCE * scale else 0.0
            continue
        if wrong.sum() >= ENOUGH:
            wrong[j] = True
            continue
        best = sure(real, analytic, i, dy, units[i], generator)
        expected[j] = best.value
        off = abs(float(mine[j]) - best.value)
        error[j] = max(0.0, off - TRUST * best.error)
        if off <= TOLERANCE * scale:
            error[j] = off
        elif best.kink:
            kink[j], error[j] = True, 0.0
        elif error[j] > 0:
            wrong[j] = True
        else:
            blunt = max(blunt, TRUST * best.error)
    method = "complex step" if analytic else "central differences"
    finding = Finding(method, step, places, mine, expected, error, wrong, kink, blunt)
    if sampled and not along.kink:
        whole = float(flat.double() @ direction.cpu())
        spread = float((flat.double() * direction.cpu()).norm())
        if abs(whole - along.value) > max(TOLERANCE * spread, TRUST * along.error):
            finding.direction = whole, along.value
    return finding


def shaken(function: Function, slope: Callable[[], float], generator: torch.Generator) -> float:
    """How unsure rounding makes a slope: how far it goes where all tensors move by a few ε."""
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


def sure(
    real: Function,
    analytic: Function | None,
    i: int,
    dy: Tensor,
    unit: float,
    generator: torch.Generator,
) -> Derivative:
    """The derivative by element i with all care, where `error` knows the rounding within f, too."""
    best = derivative(real.curve(i), dy, unit)
    noise = shaken(real, lambda: central_difference(real.curve(i), dy, best.step), generator)
    best = replace(best, error=best.error + noise)
    if analytic is None:
        return best
    value = complex_derivative(analytic.curve(i), dy, unit)
    if not abs(value - best.value) <= TRUST * best.error:  # not analytic here
        return best
    noise = shaken(analytic, lambda: complex_derivative(analytic.curve(i), dy, unit), generator)
    made_of_y = noise_of(real.forward(), dy) / min(1.0, unit)  # as tanh' = 1 − y² is
    return replace(best, value=value, error=min(best.error, noise + made_of_y))


def complex_slope(analytic: Function, direction: Tensor, dy: Tensor) -> float | None:
    """L' along the direction, by the complex step; None where f does not take complex numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as "discards the imaginary part"
            return complex_derivative(analytic.curve(direction), dy)
    except Exception:  # whatever code raises on numbers that it was not written for
        return None


def agree(slope: float, along: Derivative) -> bool:
    """Whether f is analytic, so that the complex step and central differences give one slope."""
    far = abs(slope - along.value) > max(1e-6 * abs(along.value), TRUST * along.error)
    return not far and not along.kink and slope == slope


def best_step(real: Function, dy: Tensor, probes: list[tuple[int, float]]) -> float:
    """The step of the ladder, relative to the unit, that serves a few elements best."""
    errors = torch.tensor([[e.error for e in ladder(real.curve(i), dy, u)] for i, u in probes])
    return STEPS[1:][int(errors.median(dim=0).values.argmin())]
