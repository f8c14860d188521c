"""Numeric derivatives with an estimate of their error: central differences and the complex step.

Both give the derivative of L(h) = ⟨dy, f(x + h v)⟩ at h = 0, from values of f alone.

Central differences. D(h) = (L(h) − L(−h)) / 2h = L' + h² L'''/6 + ..., and the rounding of f adds
about ε |L| / h: a large step suffers from the curvature, a small one from rounding. So D is computed for
a series of steps ("ladder"), each 8 times smaller than the one before. The best step is the one at which
two neighbouring values of D agree best. Their difference estimates the error. Richardson's
extrapolation, D(h/8) + (D(h/8) − D(h)) / 63, removes the term with h².

Kinks. (L(h) − 2 L(0) + L(−h)) / h is the difference of the slopes to the right and to the left. On a
smooth curve it is h L'' and shrinks with h; at a kink (ReLU at 0) it does not. A kink that is only
near x disappears for smaller steps; one at x itself is seen with all of them.

Complex step (Squire and Trapp 1998). For an analytic f, Im L(ih) / h = L' − h² L'''/6 + ..., and
nothing is subtracted: with h = 1e-20 the result is exact up to rounding. Code that uses abs, max,
where or comparisons of x is not analytic; the caller has to make sure (`gradcheck` does).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

SHRINK = 8
STEPS = tuple(float(SHRINK) ** -k for k in range(1, 9))  # 0.125 ... 6e-8
COMPLEX_STEP = 1e-20
Curve = Callable[[float], Tensor]  # h -> f(x + h v)


@dataclass(frozen=True)
class Derivative:
    """value: L'. error: its estimated error. step: the best h. kink: whether there is no derivative."""

    value: float
    error: float
    step: float
    kink: bool


def central_difference(curve: Curve, dy: Tensor, h: float) -> float:
    """Return D(h). curve: h -> f(x + h v); dy: of the shape of f.

    >>> central_difference(lambda h: torch.tensor([3 + h]) ** 2, torch.tensor([10.0]), 0.5)
    60.0
    """
    return dot(dy, curve(h) - curve(-h)) / (2 * h)


def derivative(curve: Curve, dy: Tensor, unit: float = 1.0) -> Derivative:
    """Return the best estimate from central differences with the steps STEPS · unit (16 values of f).

    >>> dy = torch.tensor(2.0, dtype=torch.float64)
    >>> d = derivative(lambda h: torch.sin(1 + h * torch.ones_like(dy)), dy)
    >>> abs(d.value - 2 * float(torch.cos(torch.tensor(1.0).double()))) < d.error < 1e-8
    True
    >>> derivative(lambda h: torch.relu(h * torch.ones_like(dy)), dy).kink
    True
    """
    estimates = ladder(curve, dy, unit)
    best = min(estimates, key=lambda e: e.error)
    return Derivative(best.value, best.error, best.step, is_kink(estimates))


@dataclass(frozen=True)
class Estimate:
    """The estimate from two neighbouring steps. corner: the slope to the right minus that to the left."""

    value: float
    error: float
    step: float
    corner: float
    noise: float


def ladder(curve: Curve, dy: Tensor, unit: float) -> list[Estimate]:
    """Return an estimate for every two neighbouring steps of the ladder, the larger steps first."""
    middle = curve(0.0).clone()
    rounding = noise_of(middle, dy)
    points = []  # (h, D, difference of the one-sided slopes)
    for h in (unit * step for step in STEPS):
        right, left = dot(dy, curve(h) - middle) / h, dot(dy, middle - curve(-h)) / h
        points.append((h, (right + left) / 2, right - left))
    estimates = []
    for (_, coarse, bend), (h, fine, small_bend) in pairwise(points):
        corner = (SHRINK * small_bend - bend) / (SHRINK - 1)  # without the term h L''
        noise = rounding / h
        error = abs(fine - coarse) + abs(corner) + noise
        value = fine + (fine - coarse) / (SHRINK**2 - 1)
        finite = abs(value) + error < float("inf")
        estimates.append(Estimate(value, error if finite else float("inf"), h, corner, noise))
    return estimates


def noise_of(y: Tensor, dy: Tensor) -> float:
    """Return how much the rounding of y may add to ⟨dy, y⟩. Divided by h, it is the noise of D(h)."""
    return 4 * torch.finfo(y.dtype).eps * float((dy * y).norm())


def is_kink(estimates: list[Estimate]) -> bool:
    """Return whether the difference of the slopes stays the same down to the smallest usable steps."""
    legible = [e for e in estimates if abs(e.corner) > 20 * e.noise]
    if len(legible) < 3 or legible[-1] not in estimates[-4:]:  # a kink shows at small steps too
        return False
    last = [e.corner for e in legible[-3:]]
    return max(last) - min(last) < 0.2 * abs(last[-1])


def complex_derivative(curve: Callable[[complex], Tensor], dy: Tensor, unit: float = 1.0) -> float:
    """Return L' of an analytic f, from one value of f at an imaginary step.

    >>> x, dy = torch.tensor([1.0], dtype=torch.complex128), torch.tensor([1.0]).double()
    >>> complex_derivative(lambda h: (x + h).exp(), dy) == torch.tensor(1.0).double().exp()
    tensor(True)
    """
    h = COMPLEX_STEP * unit
    return dot(dy, curve(1j * h).imag) / h


def dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum())


class Complex(Tensor):
    """Complex numbers that claim to be floating-point, so that a layer's own checks accept them."""

    def is_floating_point(self) -> bool:
        return True

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in (torch.rand_like, torch.randn_like):  # noise is real
            args = (args[0].real, *args[1:])
        return super().__torch_function__(function, types, args, kwargs or {})
