"""The cloud of the page: which digits it shows, their codes, and how the codes are drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.explorer.quantise import pack, quantise

POINTS = 2000  # in a cloud: a browser can rotate this many smoothly
NUMBERS = 48_000  # in all codes together, 64 KB in the page: if codes are longer, there are fewer
FLAT = 1e-6  # of the largest spread: an axis with a smaller spread contains only rounding errors
FEWEST = 20  # images of each digit (if there are that many), even if another digit is rarer


def balanced_sample(labels: Tensor, most: int, seed: int = 0) -> Tensor:
    """Return the sorted indices of a sample with equally many images of each digit, at most `most`.

    The number for each digit is that of the rarest digit, but at least FEWEST.

    >>> labels = torch.tensor([1] * 50 + [2] * 30)
    >>> labels[balanced_sample(labels, most=1000)].bincount().tolist()
    [0, 30, 30]
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    kinds, sizes = labels.unique(return_counts=True)
    each = min(max(1, most // len(kinds)), max(int(sizes.min()), FEWEST))
    chosen = [order[labels[order] == kind][:each] for kind in kinds]
    return torch.cat(chosen).sort().values


def cloud(codes: Tensor, labels: Tensor | None) -> dict:
    """Describe codes (N, D) and their coordinates: code ≈ centre + Σ place[k] axes[k], axes (K, D).

    If D is at most 3, the coordinates are the numbers of the code, divided by their standard
    deviations. Otherwise they are the first 3 principal components, and `share` is the part of the
    variance that these components explain.

    >>> found = cloud(torch.tensor([[0.0, 1.0], [2.0, 5.0]]), None)
    >>> found["centre"], found["axes"], found["share"]
    ([1.0, 3.0], [[1.0, 0.0], [0.0, 2.0]], 1.0)
    """
    codes = codes.double()
    centre = codes.mean(dim=0)  # (D,)
    width = codes.shape[1]
    kind = torch.int16 if width <= 3 else torch.int8  # long codes are drawn as a projection
    q, scale = quantise(codes.T, kind)  # one scale per dimension of the code
    if width <= 3:
        spread, directions = codes.std(dim=0, correction=0), torch.eye(width, dtype=codes.dtype)
    else:
        _, s, directions = torch.linalg.svd(codes - centre, full_matrices=False)
        spread = s / len(codes) ** 0.5
    real = spread > FLAT * spread.max()
    variance = spread.square()
    axes = (spread * real)[:3, None] * directions[:3]
    share = (variance[:3].sum() / variance.sum().clamp_min(1e-300)).item() if width > 3 else 1.0
    return {
        "codes": pack(q.T),
        "scale": pack(scale),
        "labels": None if labels is None else pack(labels.to(torch.uint8)),
        "centre": rounded(centre),
        "axes": [rounded(axis) for axis in axes],
        "share": round(share, 4),
    }


def rounded(values: Tensor) -> list[float]:
    """Round each number to nine significant digits, the precision of a float32."""
    return [float(f"{value:.9g}") for value in values.tolist()]
