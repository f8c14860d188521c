"""Quantisation: store the numbers of a page in few bytes.

A row of weights w is stored as integers q from -most to most and one scale s, so that w ≈ s q. The
scale is max |w| / most, so the rounding error is at most s / 2. Each row has its own scale, so large
weights in one row do not make another row less precise. A row is all elements with the same first
index: the weights of one output of a Linear or Conv2d, or of one input channel of a ConvTranspose2d.

If the integers must be very small, rounding each weight alone is not precise enough. `quantise_for` knows
typical inputs of the layer. It rounds one column after the other, and corrects the columns that are not
rounded yet, so that the outputs for these inputs change least (OPTQ, Frantar et al. 2023).
"""

from __future__ import annotations

import base64
import zlib

import numpy as np
import torch
from torch import Tensor

from scratchae.errors import ScratchaeError

DAMPING = 0.01  # of the mean square of the inputs, added to every square: it makes H invertible


def quantise(
    weight: Tensor, dtype: torch.dtype = torch.int8, most: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return (q, scale) for weight (R, ...): integers q (R, ...) of `dtype`, scale float32 (R,).

    most: the largest integer to use; None means the largest of the dtype. A row of zeros has the scale
    0. Raises ScratchaeError if a number is not finite.

    >>> q, scale = quantise(torch.tensor([[0.5, -1.27], [0.0, 0.0]]))
    >>> q.tolist(), [round(s, 6) for s in scale.tolist()]
    ([[50, -127], [0, 0]], [0.01, 0.0])
    """
    most = most or torch.iinfo(dtype).max
    rows = weight.detach().double().flatten(1)  # (R, K)
    scale = scales(weight, most)
    q = (rows / scale.double().clamp_min(1e-300)[:, None]).round().clamp(-most, most)
    return q.to(dtype).reshape(weight.shape), scale


def quantise_for(weight: Tensor, x: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return (q, scale) for weight (O, I) as `quantise` does, such that x Wᵀ for x (N, I) changes least.

    Let H = xᵀ x / N. If column j is off by e, the best correction of the columns after it is
    −e U[j, j+1:] / U[j, j], with U the upper Cholesky factor of H⁻¹: H⁻¹ = Uᵀ U.

    >>> weight, x = torch.tensor([[1.0, 0.4, 0.4]]), torch.ones(5, 3)
    >>> [int((q * s[:, None]).sum() * 10) for q, s in [quantise(weight, most=1), quantise_for(weight, x, 1)]]
    [10, 20]
    """
    scale = scales(weight, most)
    w = weight.detach().double().clone()
    step = scale.double().clamp_min(1e-300)
    x = x.double()
    H = x.T @ x / len(x)  # (I, I)
    H += (DAMPING * H.diagonal().mean() + 1e-12) * torch.eye(len(H), dtype=H.dtype)
    U = torch.linalg.cholesky(torch.linalg.inv(H), upper=True)
    q = torch.zeros_like(w)
    for j in range(w.shape[1]):
        q[:, j] = (w[:, j] / step).round().clamp(-most, most)
        error = (w[:, j] - q[:, j] * step) / U[j, j]  # (O,)
        w[:, j + 1 :] -= error[:, None] * U[j, j + 1 :]
    return q.to(torch.int8), scale


def scales(weight: Tensor, most: int) -> Tensor:
    """Return the scale (R,) of each row of weight (R, ...): its largest absolute value / most."""
    if not weight.isfinite().all():
        raise ScratchaeError(
            "the run has weights or codes that are not finite and cannot be explored: train again with "
            "a lower learning rate"
        )
    return (weight.detach().double().flatten(1).abs().amax(dim=1) / most).float()


def pack(values: Tensor) -> dict[str, str]:
    """Return the elements of a tensor for the page: row-major, little-endian, deflated, in base64.

    >>> packed = pack(torch.tensor([1, 2, 3], dtype=torch.int8))
    >>> packed["dtype"], list(zlib.decompress(base64.b64decode(packed["packed"])))
    ('int8', [1, 2, 3])
    """
    array = values.detach().cpu().contiguous().numpy()
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    # Weights hardly ever repeat in order; then it is better not to look for repetitions.
    ways = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)
    best = min((deflated(little.tobytes(), way) for way in ways), key=len)
    return {"dtype": array.dtype.name, "packed": base64.b64encode(best).decode("ascii")}


def deflated(data: bytes, strategy: int) -> bytes:
    """Return the data in zlib's format."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
    return compressor.compress(data) + compressor.flush()
