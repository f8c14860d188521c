"""Toom and Cook: a correlation by products at points, fewer than it has taps.

Two polynomials with m and r coefficients are multiplied like this: take their values at t = m + r − 1
points, multiply these, and find the polynomial that has these products as its values. That is t
products instead of m·r. With matrices E that take values, and V for the values of a polynomial
with t coefficients,

    c = V⁻¹ ((E_r g) ∘ (E_m a))

For a fixed g this is linear in a; its transpose is what correlates t numbers d with g:

    y = E_mᵀ ((E_r g) ∘ (V⁻ᵀ d))        y_j = Σ_i d_{j+i} g_i

One of the points is infinity: the value there is the coefficient of the highest power. (A. Toom 1963, S. Cook
1966; for networks A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.)
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.polynomial.polynomial import polyfromroots
from torch import Tensor

POINTS = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0)  # small, and exact in binary: little is lost to rounding
MOST_POINTS = len(POINTS) + 1


@cache
def toom_cook(m: int, r: int) -> tuple[Tensor, Tensor, Tensor]:
    """A (m, t), G (t, r), B (t, t), float64, such that y = A ((G g) ∘ (B d)); t <= MOST_POINTS.

    >>> A, G, B = toom_cook(2, 3)
    >>> g, d = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([1.0, 10.0, 0.0, 2.0]).double()
    >>> A @ ((G @ g) * (B @ d))
    tensor([21., 16.], dtype=torch.float64)
    """
    points = np.array(POINTS[: m + r - 2])
    others = [np.delete(points, i) for i in range(len(points))]
    A, G = (np.vander(points, size, increasing=True) for size in (m, r))  # E_m, E_r
    # V⁻ᵀ has the polynomials that are 0 at all other points as rows, divided by what they are at
    # their own: G is divided instead
    G = G / np.array([np.prod(p - rest) for p, rest in zip(points, others, strict=True)])[:, None]
    B = [np.append(polyfromroots(rest), 0) for rest in others] + [polyfromroots(points)]
    A, G = np.vstack([A, np.eye(m)[-1]]), np.vstack([G, np.eye(r)[-1]])
    return torch.from_numpy(A.T.copy()), torch.from_numpy(G), torch.from_numpy(np.array(B))


class Transform:
    """Between images (H, n, W, C) and their values p (S, T, n, C) at S · T points.

    to_points: p = M x Nᵀ, with M (S, H) and N (T, W). to_images: x = Mᵀ p N, which spoils p.
    """

    def __init__(
        self, M: Tensor, N: Tensor, images: Tensor, points: Tensor, turned: Tensor
    ) -> None:
        """points: memory for (S, T, n, C); turned: scratch memory for (S, W, n, C)."""
        (S, H), (T, W), (n, C) = M.shape, N.shape, images.shape[1::2]
        self.M, self.M_transposed = M.contiguous(), M.T.contiguous()
        self.N = N.contiguous().expand(S, T, W)
        self.N_transposed = N.T.contiguous().expand(S, W, T)
        points = points[: S * T * n * C]
        self.values = points.view(S * T, n, C)
        self.images, self.points = images.view(H, -1), points.view(S, T, -1)
        half = points[: S * n * W * C]  # nothing else is in it when it is needed
        self.half, self.half_turned = half.view(S, -1), half.view(S, n, W, C).transpose(1, 2)
        turned = turned[: len(half)]
        self.turned, self.turned_apart = turned.view(S, W, -1), turned.view(S, W, n, C)

    def to_points(self) -> None:
        torch.mm(self.M, self.images, out=self.half)
        self.turned_apart.copy_(self.half_turned)
        torch.bmm(self.N, self.turned, out=self.points)

    def to_images(self) -> None:
        torch.bmm(self.N_transposed, self.points, out=self.turned)
        self.half_turned.copy_(self.turned_apart)
        torch.mm(self.M_transposed, self.half, out=self.images)
