"""Pictures of an autoencoder at work: every function returns a Figure, and `save` writes it.

Digits are tensors (N, 784), (N, 28, 28) or (N, 1, 28, 28), pixels from -1, black, to 1, white, of
any floating-point dtype, on any device. A model is only looked at: what runs is a copy of it in
evaluation mode. No display is needed, and nothing is shown or kept open.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from matplotlib import patheffects, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.files import replacing
from scratchae.layers import Conv2d, Flatten, Linear, Sequential, Unflatten
from scratchae.layers.sequential import copy_for_evaluation
from scratchae.models import Autoencoder

GREY = {"cmap": "gray", "vmin": -1, "vmax": 1}
FAINT, BLUE, RED = "#bbbbbb", "#332288", "#cc6677"
LINE_COLOURS = {"train": BLUE, "test": RED}
DIGIT_COLOURS = (  # Paul Tol's "muted", told apart with any colour vision, and a dark grey
    *("#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677"),
    *("#882255", "#44aa99", "#999933", "#aa4499", "#555555"),
)
GAP = 0.04  # around each little picture, as a share of its cell
MARK = {
    "size": 14,
    "weight": "bold",
    "ha": "center",
    "va": "center",
    "zorder": 100,
    "path_effects": [patheffects.withStroke(linewidth=3, foreground="white")],
}
STYLE = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "figure.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw in the style of this file, whatever the reader's own settings of matplotlib are."""

    @functools.wraps(draw)
    def in_style(*args, **kwargs) -> Figure:
        with style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return in_style


def save(figure: Figure, path: str | os.PathLike, dpi: int = 150) -> None:
    """Write the figure, as .png, .pdf, .svg and so on by the end of its name, whole or not at all.

    Raises ScratchaeError for an unknown ending and where the file cannot be written.
    """
    ending, known = Path(path).suffix.lstrip(".").lower(), figure.canvas.get_supported_filetypes()
    if ending not in known:
        raise ScratchaeError(
            f"cannot write a picture to {path}: its name has to end in one of "
            f"{', '.join('.' + name for name in sorted(known))}"
        )
    with replacing(path) as beside:
        figure.savefig(beside, dpi=dpi, format=ending)


@styled
def visualize_outputs(outputs: Sequence[tuple[int, Tensor, Tensor]], step: int = 1) -> Figure:
    """Originals above reconstructions, for every `step`-th kept epoch and always for the last.

    outputs: (epoch, originals, reconstructions), one entry an epoch, as training keeps them. The
    first 10 digits of each are drawn, and it is their mean squared error that is written.
    """
    if not outputs or not isinstance(step, int) or step < 1:
        raise ScratchaeError(
            f"visualize_outputs wants at least one kept epoch and a step of 1 or more, "
            f"but got {len(outputs)} epochs and a step of {step!r}"
        )
    pairs = []
    for epoch, originals, reconstructions in [*outputs[:-1:step], outputs[-1]]:
        above = as_digits("visualize_outputs", originals)
        below = as_digits("visualize_outputs", reconstructions)
        if len(above) != len(below):
            raise ScratchaeError(
                f"visualize_outputs wants a reconstruction for each original, but in epoch {epoch} "
                f"got {len(below)} for {len(above)}"
            )
        pairs.append((epoch, above[:10], below[:10]))
    columns = math.ceil(len(pairs) / 10)  # ten epochs one below the other, then the next ten
    rows = math.ceil(len(pairs) / columns)
    figure = Figure((max(6.0, columns * (1.2 + 0.55 * len(pairs[0][1]))), 0.6 + 1.2 * rows))
    headline(figure, "Originals (above) and what the autoencoder makes of them (below)")
    axes = figure.subplots(rows, columns, squeeze=False).T.flatten()
    for ax in axes[len(pairs) :]:
        ax.remove()
    for ax, (epoch, above, below) in zip(axes, pairs, strict=False):
        tile(ax, torch.cat([above, below]), len(above), **GREY)
        error = (above - below).square().mean()
        ax.text(-0.15, 1, f"epoch {epoch}\nMSE {error:.4f}", ha="right", va="center")
    return figure


@styled
def loss_curves(history: pd.DataFrame) -> Figure:
    """The loss of every epoch, its last value beside the end of the line.

    history: columns epoch and train_loss, and test_loss where there is one; what is no finite
    number is left out. Logarithmic where the losses span more than a factor of ten.
    """
    columns = list(history.columns) if isinstance(history, pd.DataFrame) else []
    lines = {}
    for name in LINE_COLOURS:
        if {"epoch", f"{name}_loss"} <= set(columns):
            losses = history.set_index("epoch")[f"{name}_loss"].astype(float)
            lines[name] = losses[losses.abs() < math.inf]  # not so for NaN either
    lines = {name: losses for name, losses in lines.items() if len(losses)}
    if "train_loss" not in columns or not lines:
        raise ScratchaeError(
            "loss_curves wants a DataFrame with the columns epoch and train_loss and at least one "
            f"loss that is finite, but got a {type(history).__name__} with columns {columns}"
        )
    figure = Figure((7.0, 4.0))
    headline(figure, "Loss by epoch")
    ax = figure.subplots()
    upper = max(lines, key=lambda name: lines[name].iloc[-1])
    for name, losses in lines.items():
        epoch, end, colour = losses.index[-1], losses.iloc[-1], LINE_COLOURS[name]
        ax.plot(losses.index, losses, color=colour, marker="o", markersize=3, label=name)
        ax.annotate(
            f"{name} {end:.4g}",
            (epoch, end),
            xytext=(8, 1 if name == upper else -1),
            textcoords="offset points",
            color=colour,
            va="bottom" if name == upper else "top",  # so that two words never stand on each other
        )
    every = pd.concat(lines.values())
    if 0 < 10 * every.min() < every.max():
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim(every.index.min() - 0.5, every.index.max() + 0.5)
    ax.set(xlabel="epoch", ylabel="mean squared error of pixels in [-1, 1]")
    return figure


@styled
def latent_cloud(
    codes: Tensor, labels: Tensor | None = None, most: int = 2000, seed: int = 0
) -> Figure:
    """Every code a disc, coloured by its digit, the digit itself at the median of its discs.

    codes: (N, 2) is drawn in two dimensions and (N, 3) in three; any other (N, ...) is flattened
    and projected on the first 3 principal components of what is drawn. labels: N whole numbers
    from 0 to 9. Of more than `most` codes an equal number of each digit is drawn, chosen by `seed`.
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
    for digit in digits.unique().tolist():
        own, colour = codes[digits == digit], DIGIT_COLOURS[digit]
        ax.scatter(*own.T.numpy(), s=8, color=colour, alpha=0.9, linewidths=0, label=digit)
        if labels is not None:
            middle = own.median(dim=0).values.tolist()
            ax.text(*middle, str(digit), color=colour, **MARK)
    if labels is not None:
        figure.legend(loc="outside right center", title="digit", markerscale=3)
    return figure


@styled
def filters(model: Sequential) -> Figure:
    """The weights of the first layer as little pictures: what each of its units looks for.

    The first Linear or Conv2d decides: each row of a Linear(784, O) is a picture of 28 x 28, each
    kernel of a Conv2d one of its own size. All share one scale, symmetric about 0.
    """
    leaves = model.leaves() if isinstance(model, Sequential) else ()
    name, layer = next(((n, x) for n, x in leaves if isinstance(x, Linear | Conv2d)), ("", model))
    if isinstance(layer, Linear) and layer.in_features == 784:
        pictures = plain(layer.weight).reshape(-1, 28, 28)
    elif isinstance(layer, Conv2d):
        pictures = plain(layer.weight).flatten(0, 1)
    else:
        got = repr(layer) if isinstance(layer, Linear) else f"a {type(layer).__name__} without one"
        raise ScratchaeError(
            f"filters wants a model that begins with a Conv2d or a Linear(784, ...), but got {got}"
        )
    columns = math.ceil(math.sqrt(1.8 * len(pictures)))
    figure = Figure((9.0, 0.5 + 8.2 / columns * math.ceil(len(pictures) / columns)))
    ax = figure.subplots()
    size = " x ".join(map(str, pictures.shape[1:]))
    headline(figure, f"{name}, {layer!r}: {len(pictures)} filters of {size}")
    draw_map(ax, pictures, columns, "weight")
    return figure


@styled
def feature_maps(model: Autoencoder, image: Tensor) -> Figure:
    """What every stage of the encoder makes of one digit.

    A stage is a Conv2d or Linear with the BatchNorm and activation behind it. Its channels (C, H, W)
    are drawn as pictures on a scale of their own, symmetric about 0; its units (F,) as bars.
    """
    digit, model = one_digit("feature_maps", image), trial("feature_maps", model)
    stages: list[tuple[list[str], Tensor]] = []  # the layers of each stage and what it gives
    with torch.inference_mode():
        x = as_input(model, digit)
        for name, layer in model.encoder.leaves("encoder."):
            x = layer.forward(x)
            kind = type(layer).__name__
            if isinstance(layer, Conv2d | Linear):
                stages.append(([f"{name} {kind}"], x))
            elif stages and not isinstance(layer, Flatten | Unflatten):  # these only rename axes
                stages[-1] = ([*stages[-1][0], kind], x)
    heights = [0.52]  # inches: of a row of pictures, or of a row of bars
    heights += [0.52 * math.ceil(x.shape[1] / 16) if x.ndim == 4 else 0.75 for _, x in stages]
    figure = Figure((9.0, 0.4 + sum(heights) + 0.4 * len(heights)))
    headline(figure, "One digit on its way through the encoder: the activations of every stage")
    axes = figure.subplots(len(heights), height_ratios=heights, squeeze=False)[:, 0]
    tile(axes[0], digit, 16, **GREY)
    axes[0].set_title("the digit, (1, 28, 28)")
    for ax, (names, x) in zip(axes[1:], stages, strict=True):
        ax.set_title(f"{' → '.join(names)}, {tuple(x.shape[1:])}")
        if x.ndim == 4:
            draw_map(ax, plain(x[0]), 16, "activation")
        else:
            units = plain(x).flatten().numpy()
            ax.bar(range(len(units)), units, color=BLUE)
            ax.set(xlim=(-0.6, len(units) - 0.4), ylabel="activation")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
            ax.set_xlabel("unit" if ax is axes[-1] else "")
    return figure


@styled
def interpolation(model: Autoencoder, start: Tensor, end: Tensor, steps: int = 11) -> Figure:
    """`steps` codes on the straight line from one digit's to another's, decoded.

    The true digits stand at both ends, in frames.
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


# ------------------------------------------------------------------------- what the above share
def plain(x: Tensor) -> Tensor:
    """x as matplotlib can take it from any device and dtype."""
    return x.detach().cpu().double()


def as_digits(who: str, x: Tensor) -> Tensor:
    """Any of the shapes of digits as (N, 28, 28), plain."""
    fits = isinstance(x, Tensor) and x.is_floating_point() and x.numel() > 0
    if not fits or tuple(x.shape[1:]) not in {(784,), (28, 28), (1, 28, 28)}:
        got = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ScratchaeError(
            f"{who} wants digits (N, 784), (N, 28, 28) or (N, 1, 28, 28), floating-point numbers "
            f"from -1 to 1, but got {got}"
        )
    return plain(x).reshape(-1, 28, 28)


def one_digit(who: str, x: Tensor) -> Tensor:
    """A digit, with or without a batch of one around it, as (1, 28, 28)."""
    alone = isinstance(x, Tensor) and tuple(x.shape) in {(784,), (28, 28)}
    digits = as_digits(who, x[None] if alone else x)
    if len(digits) != 1:
        raise ScratchaeError(f"{who} wants one digit at a time, but got {len(digits)}: pick one")
    return digits


def trial(who: str, model: Autoencoder) -> Autoencoder:
    """A copy that can be run without a trace in the model."""
    if not isinstance(model, Autoencoder) or math.prod(model.input_shape) != 784:
        raise ScratchaeError(
            f"{who} wants an Autoencoder of digits of 28 x 28, but got a {type(model).__name__}"
        )
    return copy_for_evaluation(model)


def as_input(model: Autoencoder, digits: Tensor) -> Tensor:
    """Plain digits as the model takes them."""
    return digits.to(model.parameters()[0]).reshape(-1, *model.input_shape)


def headline(figure: Figure, words: str) -> None:
    """What the figure shows, at its upper left."""
    figure.suptitle(words, x=0.01, ha="left")


def tile(ax: Axes, pictures: Tensor, columns: int, **image) -> AxesImage:
    """Draw pictures (K, H, W) side by side, `columns` to a row, each in a cell of 1 x 1."""
    for k, picture in enumerate(pictures):
        row, column = divmod(k, columns)
        extent = (column + GAP, column + 1 - GAP, row + 1 - GAP, row + GAP)
        drawn = ax.imshow(picture.numpy(), extent=extent, **image)
        frame(ax, column, row, edgecolor=FAINT, linewidth=0.5)
    ax.set(xlim=(0, columns), ylim=(row + 1, 0), anchor="W")
    ax.set_axis_off()
    return drawn


def frame(ax: Axes, column: int, row: int, **line) -> None:
    """A line round one cell of `tile`."""
    side = 1 - 2 * GAP
    ax.add_patch(Rectangle((column + GAP, row + GAP), side, side, fill=False, **line))


def draw_map(ax: Axes, pictures: Tensor, columns: int, what: str) -> None:
    """Pictures (K, H, W) of signed numbers: blue below 0, white at 0, red above, with the range."""
    limit = pictures.abs().max().item() or 1.0
    drawn = tile(
        ax, pictures, columns, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
    )
    beside = ax.inset_axes((1.01, 0, 0.012, 1))  # as high as the pictures, whatever the axes' share
    ax.figure.colorbar(drawn, beside, label=what, ticks=[-limit, 0, limit], format="%.2g")


def balanced(digits: Tensor, most: int, seed: int) -> Tensor:
    """Which of the N digits to draw: at most `most`, as many of each kind as there are, in order."""
    if len(digits) <= most:
        return torch.arange(len(digits))
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(seed))
    kinds = digits.unique()
    chosen = [order[digits[order] == kind][: max(1, most // len(kinds))] for kind in kinds]
    return torch.cat(chosen).sort().values


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


def principal_components(codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """codes (N, D) on their first principal components (N, count), and each one's share (count,)."""
    centred = codes - codes.mean(dim=0)
    _, s, vh = torch.linalg.svd(centred, full_matrices=False)  # s (K,), vh (K, D), K = min(N, D)
    variance = s.square()
    return centred @ vh[:count].T, variance[:count] / variance.sum().clamp_min(1e-300)
