"""The parts that all figures share: their style, rows of small images, and saving to a file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.files import replacing

FAINT, BLUE, RED = "#bbbbbb", "#332288", "#cc6677"
DIGIT_COLOURS = (  # Paul Tol's "muted" and black: easy to distinguish with every kind of colour vision
    *("#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677"),
    *("#882255", "#44aa99", "#999933", "#aa4499", "#000000"),
)
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
GAP = 0.04  # the margin around each small image, as a part of its cell
Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Make `draw` use STYLE and ignore the user's own settings of matplotlib."""

    @functools.wraps(draw)
    def in_style(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return in_style


def headline(figure: Figure, text: str) -> None:
    """Write the title of the figure at its upper left."""
    figure.suptitle(text, x=0.01, ha="left")


def tile(ax: Axes, images: Tensor, columns: int, **imshow) -> AxesImage:
    """Draw images (K, H, W) in rows of `columns`, each in a cell of size 1 x 1."""
    for k, image in enumerate(images):
        row, column = divmod(k, columns)
        extent = (column + GAP, column + 1 - GAP, row + 1 - GAP, row + GAP)
        drawn = ax.imshow(image.numpy(), extent=extent, **imshow)
        frame(ax, column, row, edgecolor=FAINT, linewidth=0.5)
    ax.set(xlim=(0, columns), ylim=(row + 1, 0), anchor="W")
    ax.set_axis_off()
    return drawn


def grey(pixel_range: tuple[float, float]) -> dict:
    """Return the arguments of `tile` for grey images whose black and white have these values.

    >>> grey((0.0, 1.0))
    {'cmap': 'gray', 'vmin': 0.0, 'vmax': 1.0}
    """
    return {"cmap": "gray", "vmin": pixel_range[0], "vmax": pixel_range[1]}


def frame(ax: Axes, column: int, row: int, **line) -> None:
    """Draw a frame around one cell of `tile`."""
    side = 1 - 2 * GAP
    ax.add_patch(Rectangle((column + GAP, row + GAP), side, side, fill=False, **line))


def tile_signed(ax: Axes, images: Tensor, columns: int, label: str) -> None:
    """Draw images (K, H, W) of signed numbers: blue below 0, white at 0, red above 0.

    All images share one scale. A colour bar shows it, with `label` beside it.
    """
    limit = images.abs().max().item() or 1.0
    drawn = tile(
        ax, images, columns, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
    )
    bar = ax.inset_axes((1.01, 0, 0.012, 1))  # an inset is exactly as high as the images
    ax.figure.colorbar(drawn, bar, label=label, ticks=[-limit, 0, limit], format="%.2g")


def save(figure: Figure, path: str | os.PathLike, dpi: int = 150) -> None:
    """Write the figure to a file, complete or not at all.

    The suffix of the path gives the format: .png, .pdf, .svg and so on.
    Raises ScratchaeError if the suffix is unknown or the file cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from matplotlib.figure import Figure
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Figure(), Path(folder, "blank.png"))
    ...     Path(folder, "blank.png").read_bytes()[1:4]
    b'PNG'
    """
    suffix, known = Path(path).suffix.lstrip(".").lower(), figure.canvas.get_supported_filetypes()
    if suffix not in known:
        raise ScratchaeError(
            f"cannot write a picture to {path}: its name must end in one of "
            f"{', '.join('.' + name for name in sorted(known))}"
        )
    with replacing(path) as beside:
        figure.savefig(beside, dpi=dpi, format=suffix)
