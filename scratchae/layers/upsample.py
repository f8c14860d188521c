"""Upsample: enlarge images by repeating their pixels (nearest neighbour).

Along an axis with n input pixels and m output pixels, output o is a copy of input i(o):

    i(o) = ⌊o · n / m⌋               y[o] = x[i(o)]

For an image, this is done along both axes. If scale_factor is given, 1 / scale_factor takes the place of
n / m, as in torch. The two differ if n · scale_factor is not a whole number.

Backward. y is linear in x. With the matrix A (m, n), which is 1 where i = i(o) and else 0, y = A x. So

    dx = Aᵀ dy                       each pixel gets the sum of dy over its copies
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers.base import Layer, check_tensor
from scratchae.layers.geometry import Pair, counts, plain

Factors = float | tuple[float, float]


def upsample_forward(
    x: Tensor, size: tuple[int, int], scale_factor: Factors | None = None
) -> Tensor:
    """Return y (N, C, P, Q) for x (N, C, H, W) and size = (P, Q). Its pixels are copies of those of x.

    scale_factor: a number, or one for each axis. None: the ratio of the sizes.

    >>> upsample_forward(torch.tensor([[[[1.0, 2.0]]]]), (2, 5)).tolist()
    [[[[1.0, 1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 1.0, 2.0, 2.0]]]]
    """
    vertical, horizontal = sources(x.shape[2:], size, scale_factor, x.device)
    return x.index_select(2, vertical).index_select(3, horizontal)


def upsample_backward(
    dy: Tensor, size: tuple[int, int], scale_factor: Factors | None = None
) -> Tensor:
    """Return dx (N, C, H, W) for dy (N, C, P, Q) and size = (H, W).

    >>> upsample_backward(torch.tensor([[[[1.0, 2.0, 3.0, 4.0, 5.0]]]]), (1, 2)).tolist()
    [[[[6.0, 9.0]]]]
    """
    matrices = []
    for n, i in zip(size, sources(size, dy.shape[2:], scale_factor, dy.device), strict=True):
        A = i.unsqueeze(1) == torch.arange(n, device=dy.device)  # (m, n)
        matrices.append(A.to(dy.dtype))
    vertical, horizontal = matrices  # (P, H), (Q, W)
    return vertical.T @ (dy @ horizontal)  # (N, C, H, W)


def sources(
    size: tuple[int, ...],
    output_size: tuple[int, ...],
    scale_factor: Factors | None,
    device: torch.device,
) -> list[Tensor]:
    """Return i(o) for each axis: for every output row or column, the number of the one that it copies.

    >>> [i.tolist() for i in sources((1, 2), (2, 5), None, torch.device("cpu"))]
    [[0, 0], [0, 0, 0, 1, 1]]
    """
    factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor, scale_factor)
    found = []
    for n, m, factor in zip(size, output_size, factors, strict=True):
        # as in torch: if m / n is 1 or 2, it is used instead of the factor; o · ratio is in float32
        ratio = n / m if factor is None or m in (n, 2 * n) else 1 / factor
        outputs = torch.arange(m, device=device, dtype=torch.float32)
        found.append((outputs * ratio).long().clamp(max=n - 1))
    return found


class Upsample(Layer):
    """Enlarge images by repeating their pixels, with the arguments of torch.nn.Upsample.

    Input (N, C, H, W), output (N, C, P, Q). size: (P, Q), or one number for both. scale_factor: one number, or
    one for each axis; P = ⌊H · scale_factor⌋. recompute_scale_factor=True: the ratio of the sizes, not
    scale_factor, decides which pixels are copied. mode: only "nearest".

    >>> layer = Upsample(scale_factor=2)
    >>> layer(torch.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    >>> layer.backward(torch.ones(1, 1, 2, 4)).tolist()
    [[[[4.0, 4.0]]]]
    """

    def __init__(
        self,
        size: Pair | None = None,
        scale_factor: Factors | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if mode != "nearest":
            raise ScratchaeError(
                f"Upsample supports mode='nearest' only, got {mode!r}: a convolution after it can "
                "smooth the images"
            )
        if align_corners is not None:
            raise ScratchaeError("Upsample copies pixels, so align_corners has no meaning: omit it")
        if (size is None) == (scale_factor is None):
            raise ScratchaeError(
                f"Upsample expects either size or scale_factor, got size={size} and "
                f"scale_factor={scale_factor}"
            )
        if recompute_scale_factor and scale_factor is None:
            raise ScratchaeError(
                "Upsample uses a given size as it is: omit recompute_scale_factor=True"
            )
        self.size = None if size is None else counts(size, "Upsample", "size")
        self.scale_factor = None if scale_factor is None else checked_factors(scale_factor)
        self.mode, self.align_corners = mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Tensor) -> Tensor:
        check_tensor(self, x, None, None)
        if x.ndim != 4 or 0 in x.shape[1:]:
            raise ScratchaeError(
                f"{self!r} expects images (N, C, H, W) but got {tuple(x.shape)}: add a missing axis "
                "with x.unsqueeze"
            )
        factor = None if self.recompute_scale_factor else self.scale_factor
        y = upsample_forward(x, self.output_size(x.shape[2:]), factor)
        return self.remember(y, x.shape[2:], factor)

    def backward(self, dy: Tensor) -> Tensor:
        size, factor = self.recall(dy)
        return upsample_backward(dy, size, factor)

    def output_size(self, size: tuple[int, ...]) -> tuple[int, int]:
        """Return (P, Q) for (H, W). Raises ScratchaeError if the image would have no pixels."""
        if self.scale_factor is None:
            assert self.size is not None
            return self.size
        P, Q = (math.floor(n * f) for n, f in zip(size, self.scale_factor, strict=True))
        if P < 1 or Q < 1:
            raise ScratchaeError(
                f"{self!r} leaves nothing of images of {size[0]} x {size[1]} pixels: use a larger "
                "scale_factor"
            )
        return P, Q

    def arguments(self) -> dict[str, object]:
        return {name: plain(value) for name, value in super().arguments().items()}


def checked_factors(value: Factors) -> tuple[float, float]:
    """Return a scale factor for each axis. Raises ScratchaeError if one of them is not a number > 0.

    >>> checked_factors(2), checked_factors((2, 1.5))
    ((2, 2), (2, 1.5))
    """
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or any(
        isinstance(f, bool) or not isinstance(f, int | float) or not 0 < f < math.inf for f in pair
    ):
        raise ScratchaeError(
            f"Upsample expects scale_factor to be a number > 0 or a pair of them, got {value!r}"
        )
    return pair[0], pair[1]
