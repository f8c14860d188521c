"""Numeric derivatives that know how wrong they are: central differences and the complex step.

Both give the derivative of L(h) = ⟨dy, f(x + h v)⟩ at h = 0, from values of f alone.

Central differences. D(h) = (L(h) − L(−h)) / 2h = L' + h² L'''/6 + ..., and the rounding of f adds
about ε |L| / h: a large step is wrong by the curve, a small one by rounding. So D is taken on a
ladder of steps, each 8 times smaller than the one before, and the step is best where two
neighbours agree best. Their distance is the estimate of the error; the h² in both is taken
out by Richardson's extrapolation, D(h/8) + (D(h/8) − D(h)) / 63.

Kinks. (L(h) − 2 L(0) + L(−h)) / h, what the slopes to the right and to the left differ by, is h L''
on a smooth curve and does not shrink at a kink (ReLU at 0). A kink within the step is
stepped round, since a smaller step sees no kink; one at x itself is seen by all steps.

Complex step (Squire and Trapp 1998). For an analytic f, Im L(ih) / h = L' − h² L'''/6 + ... where
nothing is subtracted: with h = 1e-20 it is right to rounding. Code that takes abs, max, where or
a comparison of x is not analytic; a caller has to make sure (`gradcheck` does).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

SHRINK = 8
STEPS = tuple(float(SHRINK) ** -k for k in range(1, 9))  # 0.125 ... 6e-8
COMPLEX_STEP = 1e-20
Curve = Callable[[float], Tensor]  # h -> f(x + h v)


@dataclass(frozen=True)
class Derivative:
    """value: of ⟨dy, f⟩; error: how wrong it may be; step: the best h; kink: no derivative there."""

    value: float
    error: float
    step: float
    kink: bool


def central_difference(curve: Curve, dy: Tensor, h: float) -> float:
    """D(h) for f and dy of one shape.

    >>> central_difference(lambda h: torch.tensor([3 + h]) ** 2, torch.tensor([10.0]), 0.5)
    60.0
    """
    return dot(dy, curve(h) - curve(-h)) / (2 * h)


def derivative(curve: Curve, dy: Tensor, unit: float = 1.0) -> Derivative:
    """The best that central differences on the ladder STEPS · unit can tell (16 values of f).

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
    """What two neighbouring steps tell together; `corner` is by how much the slopes differ."""

    value: float
    error: float
    step: float
    corner: float
    noise: float


def ladder(curve: Curve, dy: Tensor, unit: float) -> list[Estimate]:
    """An estimate for every two neighbours of the ladder, the larger steps first."""
    middle = curve(0.0).clone()
    rounding = noise_of(middle, dy)
    points = []  # (h, D, what the one-sided slopes differ by)
    for h in (unit * step for step in STEPS):
        right, left = dot(dy, curve(h) - middle) / h, dot(dy, middle - curve(-h)) / h
        points.append((h, (right + left) / 2, right - left))
    estimates = []
    for (_, coarse, bend), (h, fine, small_bend) in pairwise(points):
        corner = (SHRINK * small_bend - bend) / (SHRINK - 1)  # h L'' is taken out
        noise = rounding / h
        error = abs(fine - coarse) + abs(corner) + noise
        value = fine + (fine - coarse) / (SHRINK**2 - 1)
        finite = abs(value) + error < float("inf")
        estimates.append(Estimate(value, error if finite else float("inf"), h, corner, noise))
    return estimates


def noise_of(y: Tensor, dy: Tensor) -> float:
    """What rounding y may add to ⟨dy, y⟩; over h, it is the noise of a difference."""
    return 4 * torch.finfo(y.dtype).eps * float((dy * y).norm())


def is_kink(estimates: list[Estimate]) -> bool:
    """Whether, at the smallest steps that rounding leaves legible, the slopes go on to differ alike."""
    legible = [e for e in estimates if abs(e.corner) > 20 * e.noise]
    if len(legible) < 3 or legible[-1] not in estimates[-4:]:  # a kink is seen down to small steps
        return False
    last = [e.corner for e in legible[-3:]]
    return max(last) - min(last) < 0.2 * abs(last[-1])


def complex_derivative(curve: Callable[[complex], Tensor], dy: Tensor, unit: float = 1.0) -> float:
    """L' of an analytic f, from one value of f at an imaginary step.

    >>> x, dy = torch.tensor([1.0], dtype=torch.complex128), torch.tensor([1.0]).double()
    >>> complex_derivative(lambda h: (x + h).exp(), dy) == torch.tensor(1.0).double().exp()
    tensor(True)
    """
    h = COMPLEX_STEP * unit
    return dot(dy, curve(1j * h).imag) / h


def dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum())


class Complex(Tensor):
    """Complex numbers that pass for floating-point ones, so that a layer's check lets them in."""

    def is_floating_point(self) -> bool:
        return True


# ------------------------------------------------------- a whole tensor of gradients, by elements
