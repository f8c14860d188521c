"""The latent space: where the codes of digits lie in it, and what lies between two of them."""

from __future__ import annotations

import torch
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.models import Autoencoder
from scratchae.plots.digits import as_digits, as_input, one_digit, plain, trial
from scratchae.plots.style import RED, headline, styled
from scratchae.plots.tiles import GREY, frame, tile

DIGIT_COLOURS = (  # Paul Tol's "muted" and black: told apart with any colour vision
    *("#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677"),
    *("#882255", "#44aa99", "#999933", "#aa4499", "#000000"),
)
MARK = {
    "size": 14,
    "weight": "bold",
    "ha": "center",
    "va": "center",
    "zorder": 100,
    "path_effects": [patheffects.withStroke(linewidth=3, foreground="white")],
}


@styled
def latent_cloud(
    codes: Tensor, labels: Tensor | None = None, most: int = 2000, seed: int = 0
) -> Figure:
    """Every code a disc, coloured by its digit, the digit itself at the median of its discs.

    Where another digit stands there already, this one stands to the right of it.

    codes: (N, 2) is drawn in two dimensions and (N, 3) in three; any other (N, ...) is flattened
    and projected on the first 3 principal components of what is drawn. labels: N whole numbers
    from 0 to 9. Of more than `most` codes an equal number of each digit is drawn, chosen by `seed`.

    >>> codes = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
    >>> figure = latent_cloud(codes, torch.tensor([7, 7, 2]))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['2', '7']
    """
    codes, digits = check_codes(codes, labels)
    total, width = codes.shape
    chosen = balanced(digits, most, seed)
    codes, digits = codes[chosen], digits[chosen]
    title = f"Latent codes of {len(codes):,} digit{'s'[: len(codes) > 1]}"
    title += f" out of {total:,}" if len(codes) < total else ""
    names = [f"code {i + 1}" for i in range(width)]
    if width > 3:
        codes, shares = principal_components(codes, 3)
        names = [f"component {i + 1} ({share:.0%})" for i, share in enumerate(shares)]
        title += f"\n{width:,} dimensions projected on their first 3 principal components, "
        title += f"{shares.sum():.0%} of the variance"
    figure = Figure((7.0, 6.0))
    ax = figure.subplots(subplot_kw={"projection": "3d" if len(names) == 3 else None})
    headline(figure, title)
    ax.set(**dict(zip(("xlabel", "ylabel", "zlabel"), names, strict=False)))
    middles: list[Tensor] = []
    near = 0.03 * (codes.amax(dim=0) - codes.amin(dim=0))  # about the size of a name
    for digit in digits.unique().tolist():
        own, colour = codes[digits == digit], DIGIT_COLOURS[digit]
        ax.scatter(*own.T.numpy(), s=8, color=colour, alpha=0.9, linewidths=0, label=digit)
        if labels is not None:
            middle = own.median(dim=0).values
            taken = sum(bool(((middle - other).abs() <= near).all()) for other in middles)
            beside = offset_copy(ax.transData, figure, 12 * taken, units="points")
            ax.text(*middle.tolist(), str(digit), color=colour, transform=beside, **MARK)
            middles.append(middle)
    if labels is not None:
        figure.legend(loc="outside right center", title="digit", markerscale=3)
    return figure


@styled
def interpolation(model: Autoencoder, start: Tensor, end: Tensor, steps: int = 11) -> Figure:
    """`steps` codes on the straight line from one digit's to another's, decoded.

    The true digits stand at both ends, in frames.

    >>> from scratchae.models import build
    >>> figure = interpolation(build("fc"), torch.zeros(784), torch.ones(784), steps=3)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['start', 'end', '0%', '50%', '100%']
    """
    if not isinstance(steps, int) or steps < 2:
        raise ScratchaeError(f"interpolation wants 2 steps or more, but got {steps!r}")
    ends = torch.cat([one_digit("interpolation", start), one_digit("interpolation", end)])
    model = trial("interpolation", model)
    with torch.inference_mode():
        first, last = model.encode(as_input(model, ends))
        shares = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)
        way = torch.stack([torch.lerp(first, last, share) for share in shares])  # (S, *code)
        decoded = as_digits("interpolation", model.decode(way))
    figure = Figure((max(6.0, 0.75 * (steps + 2)), 1.5))
    headline(figure, "From one digit to another in a straight line through the codes")
    ax = figure.subplots()
    tile(ax, torch.cat([ends[:1], decoded, ends[1:]]), steps + 2, **GREY)
    for place, words in [(0, "start"), (steps + 1, "end")]:
        frame(ax, place, 0, edgecolor=RED, linewidth=2.5)
        ax.text(place + 0.5, 1.1, words, ha="center", va="top", color=RED)
    for place, share in enumerate(shares.tolist(), start=1):
        ax.text(place + 0.5, 1.1, f"{share:.0%}", ha="center", va="top")
    return figure


def check_codes(codes: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
    """codes as (N, D) and labels as (N,), all 0 where there are none."""
    fits = isinstance(codes, Tensor) and codes.ndim > 1 and codes.numel() > 0
    codes = plain(codes).flatten(1) if fits else torch.empty(0, 0)
    N, D = codes.shape
    if D < 2 or (D > 3 and N < 3) or not codes.isfinite().all():
        raise ScratchaeError(
            "latent_cloud wants codes (N, 2) or (N, 3), or three or more of (N, D) to project, and "
            f"all of them finite, but got {N} of {D} numbers, {(~codes.isfinite()).sum()} not finite"
        )
    digits = torch.zeros(N) if labels is None else torch.as_tensor(labels).cpu()
    if digits.shape != (N,) or not set(digits.tolist()) <= set(range(10)):
        raise ScratchaeError(
            f"latent_cloud wants a label from 0 to 9 for each of {N} codes, but got "
            f"{tuple(digits.shape)} with values such as {digits.flatten()[-3:].tolist()}"
        )
    return codes, digits.long()


def balanced(digits: Tensor, most: int, seed: int) -> Tensor:
    """Which of the N digits to draw: at most `most`, as many of each kind as there are, in order."""
    if len(digits) <= most:
        return torch.arange(len(digits))
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
    kinds = digits.unique()
    chosen = [order[digits[order] == kind][: max(1, most // len(kinds))] for kind in kinds]
    return torch.cat(chosen).sort().values


def principal_components(codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """codes (N, D) on their first principal components (N, count), and each one's share (count,)."""
    centred = codes - codes.mean(dim=0)
    _, s, vh = torch.linalg.svd(centred, full_matrices=False)  # s (K,), vh (K, D), K = min(N, D)
    variance = s.square()
    return centred @ vh[:count].T, variance[:count] / variance.sum().clamp_min(1e-300)
