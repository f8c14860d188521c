"""Little pictures side by side: grey ones of digits, and blue and red ones of signed numbers."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from torch import Tensor

from scratchae.plots.style import FAINT

GREY = {"cmap": "gray", "vmin": -1, "vmax": 1}
GAP = 0.04  # around each little picture, as a share of its cell


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
