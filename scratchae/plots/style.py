"""The style that all figures share, and how one is written to a file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

from scratchae.errors import ScratchaeError
from scratchae.files import replacing

FAINT, BLUE, RED = "#bbbbbb", "#332288", "#cc6677"
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


def headline(figure: Figure, words: str) -> None:
    """What the figure shows, at its upper left."""
    figure.suptitle(words, x=0.01, ha="left")


def save(figure: Figure, path: str | os.PathLike, dpi: int = 150) -> None:
    """Write the figure, as .png, .pdf, .svg and so on by the end of its name, whole or not at all.

    Raises ScratchaeError for an unknown ending and where the file cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from matplotlib.figure import Figure
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Figure(), Path(folder, "blank.png"))
    ...     Path(folder, "blank.png").read_bytes()[1:4]
    b'PNG'
    """
    ending, known = Path(path).suffix.lstrip(".").lower(), figure.canvas.get_supported_filetypes()
    if ending not in known:
        raise ScratchaeError(
            f"cannot write a picture to {path}: its name has to end in one of "
            f"{', '.join('.' + name for name in sorted(known))}"
        )
    with replacing(path) as beside:
        figure.savefig(beside, dpi=dpi, format=ending)
