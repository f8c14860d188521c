"""The method of Toom and Cook: a correlation with fewer products, by the values of polynomials.

Two polynomials with m and r coefficients can be multiplied in three steps. Compute their values at
t = m + r − 1 points, multiply these values, and find the polynomial that has the products as its
values. This takes t products instead of m·r. Let a and g be the coefficients, E_m and E_r the
matrices that compute the values from them, V the same matrix for t coefficients, and ∘ the
elementwise product. The coefficients of the product are

    c = V⁻¹ ((E_r g) ∘ (E_m a))

For a fixed g, c is a linear function of a. The transpose of this function is the correlation of
t numbers d with g:

    y = E_mᵀ ((E_r g) ∘ (V⁻ᵀ d))        y_j = Σ_i d_{j+i} g_i

One of the points is infinity: the value there is the coefficient of the highest power. (A. Toom 1963;
S. Cook 1966; for networks: A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks",
2016.)
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.polynomial.polynomial import polyfromroots
from torch import Tensor

# small numbers, exact in binary, so that rounding errors stay small
POINTS = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0)
MOST_POINTS = len(POINTS) + 1


@cache
def toom_cook(m: int, r: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return A (m, t), G (t, r) and B (t, t), in float64, such that y = A ((G g) ∘ (B d)).

    m: the number of results. r: the number of taps. t = m + r − 1 must be at most MOST_POINTS.

    >>> A, G, B = toom_cook(2, 3)
    >>> g, d = torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor([1.0, 10.0, 0.0, 2.0]).double()
    >>> A @ ((G @ g) * (B @ d))
    tensor([21., 16.], dtype=torch.float64)
    """
    points = np.array(POINTS[: m + r - 2])
    others = [np.delete(points, i) for i in range(len(points))]
    A, G = (np.vander(points, size, increasing=True) for size in (m, r))  # E_m, E_r
    # Row i of V⁻ᵀ is the polynomial that is 0 at all points except point i, divided by its value at
    # point i. Here the rows of G are divided by this value instead of the rows of B.
    G = G / np.array([np.prod(p - rest) for p, rest in zip(points, others, strict=True)])[:, None]
    B = [np.append(polyfromroots(rest), 0) for rest in others] + [polyfromroots(points)]
    # the last row is the point infinity
    A, G = np.vstack([A, np.eye(m)[-1]]), np.vstack([G, np.eye(r)[-1]])
    return torch.from_numpy(A.T.copy()), torch.from_numpy(G), torch.from_numpy(np.array(B))


class Transform:
    """The transform of images x (H, n, W, C) to values p (S, T, n, C) at S · T points, and back.

    M is (S, H) and N is (T, W). to_points computes p = M x Nᵀ. to_images computes x = Mᵀ p N, and
    overwrites p.
    """

    def __init__(
        self, M: Tensor, N: Tensor, images: Tensor, points: Tensor, turned: Tensor
    ) -> None:
        """Find the views that the products of matrices use.

        points: memory for (S, T, n, C). turned: scratch memory for (S, W, n, C).
        """
        (S, H), (T, W), (n, C) = M.shape, N.shape, images.shape[1::2]
        self.M, self.M_transposed = M.contiguous(), M.T.contiguous()
        self.N = N.contiguous().expand(S, T, W)
        self.N_transposed = N.T.contiguous().expand(S, W, T)
        points = points[: S * T * n * C]
        self.values = points.view(S * T, n, C)
        self.images, self.points = images.view(H, -1), points.view(S, T, -1)
        half = points[: S * n * W * C]  # it shares memory with points, but not at the same time
        self.half, self.half_turned = half.view(S, -1), half.view(S, n, W, C).transpose(1, 2)
        turned = turned[: len(half)]
        self.turned, self.turned_apart = turned.view(S, W, -1), turned.view(S, W, n, C)

    def to_points(self) -> None:
        """Fill the values at the points from the images."""
        torch.mm(self.M, self.images, out=self.half)
        self.turned_apart.copy_(self.half_turned)
        torch.bmm(self.N, self.turned, out=self.points)

    def to_images(self) -> None:
        """Fill the images from the values at the points, with the transposed matrices."""
        torch.bmm(self.N_transposed, self.points, out=self.turned)
        self.half_turned.copy_(self.turned_apart)
        torch.mm(self.M_transposed, self.half, out=self.images)
