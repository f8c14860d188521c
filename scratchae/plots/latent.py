"""Pictures of the latent space: the codes of the digits, and the path between two of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from torch import Tensor

from scratchae.data.dataset import DIGITS
from scratchae.errors import ScratchaeError
from scratchae.models import Autoencoder
from scratchae.plots.inputs import as_digits, as_input, check_codes, evaluation_copy, one_digit
from scratchae.plots.style import DIGIT_COLOURS, RED, frame, grey, headline, styled, tile


@styled
def latent_cloud(
    codes: Tensor,
    labels: Tensor | None = None,
    most: int = 2000,
    seed: int = 0,
    classes: Sequence[str] = DIGITS,
) -> Figure:
    """Draw every code as a disc in the colour of its class, and the name of each class at its median code.

    If two classes have the same median, their names are drawn side by side.

    codes: (N, 2) is drawn in two dimensions and (N, 3) in three. Any other (N, ...) is flattened
        and projected on the first 3 principal components of the codes that are drawn.
    labels: N integers from 0 to 9.
    most: if there are more codes, an equal number of each class is drawn; `seed` chooses which.
    classes: the names of the labels, such as `Dataset.classes`.

    >>> codes = torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
    >>> figure = latent_cloud(codes, torch.tensor([7, 7, 2]))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['2', '7']
    """
    codes, digits = check_codes(codes, labels)
    total, width = codes.shape
    chosen = balanced(digits, most, seed)
    codes, digits = codes[chosen], digits[chosen]
    kind = "digit" if tuple(classes) == DIGITS else "image"
    title = f"Latent codes of {len(codes):,} {kind}{'s'[: len(codes) > 1]}"
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
    medians: list[Tensor] = []
    near = 0.03 * (codes.amax(dim=0) - codes.amin(dim=0))  # about the size of a digit's name
    outline = patheffects.withStroke(linewidth=3, foreground="white")
    for digit in digits.unique().tolist():
        own, colour = codes[digits == digit], DIGIT_COLOURS[digit]
        discs = ax.scatter(
            *own.T.numpy(), color=colour, alpha=0.9, linewidths=0, label=classes[digit]
        )
        discs.set_sizes([8])
        if labels is not None:
            median = own.median(dim=0).values
            taken = sum(bool(((median - other).abs() <= near).all()) for other in medians)
            beside = offset_copy(ax.transData, figure, 12 * taken, units="points")
            place = median.tolist()  # two coordinates, or three
            name = ax.text(*place, classes[digit], color=colour, transform=beside)  # type: ignore[call-arg]
            name.set(size=14, weight="bold", ha="center", va="center", zorder=100)
            name.set_path_effects([outline])
            medians.append(median)
    if labels is not None:
        figure.legend(
            loc="outside right center", title=kind if kind == "digit" else "class", markerscale=3
        )
    return figure


@styled
def interpolation(model: Autoencoder, start: Tensor, end: Tensor, steps: int = 11) -> Figure:
    """Decode `steps` codes on the straight line from the code of one digit to that of another.

    The two original digits are drawn at the ends, in red frames.

    >>> from scratchae.models import build
    >>> figure = interpolation(build("fc"), torch.zeros(784), torch.ones(784), steps=3)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['start', 'end', '0%', '50%', '100%']
    """
    if not isinstance(steps, int) or steps < 2:
        raise ScratchaeError(f"interpolation expects at least 2 steps, but got {steps!r}")
    ends = torch.cat([one_digit("interpolation", start), one_digit("interpolation", end)])
    model = evaluation_copy("interpolation", model)
    with torch.inference_mode():
        first, last = model.encode(as_input(model, ends))
        shares = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)
        path = torch.stack([torch.lerp(first, last, share) for share in shares])  # (S, *code)
        decoded = as_digits("interpolation", model.expected(model.decode(path)))
    figure = Figure((max(6.0, 0.75 * (steps + 2)), 1.5))
    headline(figure, "From one image to another on a straight line in the latent space")
    ax = figure.subplots()
    tile(ax, torch.cat([ends[:1], decoded, ends[1:]]), steps + 2, **grey(model.pixel_range))
    for place, text in [(0, "start"), (steps + 1, "end")]:
        frame(ax, place, 0, edgecolor=RED, linewidth=2.5)
        ax.text(place + 0.5, 1.1, text, ha="center", va="top", color=RED)
    for place, share in enumerate(shares.tolist(), start=1):
        ax.text(place + 0.5, 1.1, f"{share:.0%}", ha="center", va="top")
    return figure


def balanced(digits: Tensor, most: int, seed: int) -> Tensor:
    """Return the indices of the digits to draw, in order: at most `most`, equally many of each."""
    if len(digits) <= most:
        return torch.arange(len(digits))
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
    kinds = digits.unique()
    chosen = [order[digits[order] == kind][: max(1, most // len(kinds))] for kind in kinds]
    return torch.cat(chosen).sort().values


def principal_components(codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Project codes (N, D) on their first principal components.

    Returns the projection (N, count) and each component's part of the variance (count,).
    """
    centred = codes - codes.mean(dim=0)
    _, s, vh = torch.linalg.svd(centred, full_matrices=False)  # s (K,), vh (K, D), K = min(N, D)
    variance = s.square()
    return centred @ vh[:count].T, variance[:count] / variance.sum().clamp_min(1e-300)
