"""Quantisation: store the numbers of a page in few bytes, written in base64.

A row of weights w is stored as integers q from -127 to 127 and one scale s, so that w ≈ s q. The
scale is max |w| / 127, so the rounding error is at most s / 2. Each row has its own scale, so large
weights in one row do not make another row less precise. A row is all elements with the same first
index: the weights of one output of a Linear or Conv2d, or of one input channel of a ConvTranspose2d.
"""

from __future__ import annotations

import base64

import numpy as np
import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


def quantise(weight: Tensor, dtype: torch.dtype = torch.int8) -> tuple[Tensor, Tensor]:
    """Return (q, scale) for weight (R, ...): integers q (R, ...) of `dtype`, scale float32 (R,).

    A row of zeros has the scale 0. Raises ScratchaeError if a number is not finite.

    >>> q, scale = quantise(torch.tensor([[0.5, -1.27], [0.0, 0.0]]))
    >>> q.tolist(), [round(s, 6) for s in scale.tolist()]
    ([[50, -127], [0, 0]], [0.01, 0.0])
    """
    if not weight.isfinite().all():
        raise ScratchaeError(
            "the run has weights or codes that are not finite and cannot be explored: train again with "
            "a lower learning rate"
        )
    most = torch.iinfo(dtype).max
    rows = weight.detach().double().flatten(1)  # (R, K)
    scale = (rows.abs().amax(dim=1) / most).float()  # (R,)
    q = (rows / scale.double().clamp_min(1e-300)[:, None]).round().clamp(-most, most)
    return q.to(dtype).reshape(weight.shape), scale


def base64_of(values: Tensor) -> str:
    """Return the elements of a tensor in base64: row-major, little-endian, in the tensor's dtype.

    >>> base64_of(torch.tensor([1, 2, 3], dtype=torch.int8))
    'AQID'
    """
    array = values.detach().cpu().contiguous().numpy()
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(np.ascontiguousarray(little).tobytes()).decode("ascii")
