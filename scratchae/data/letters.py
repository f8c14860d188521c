"""letters: ten letters in the form of MNIST's digits, drawn from the fonts that ship with matplotlib.

Every outline becomes a signed distance field: on a grid, the distance to the nearest edge, negative inside
the letter. A transformed letter is then one formula. For the centre of a pixel, find its place in the
field, and read the distance d there in units of pixels. With a pen that is `weight` pixels wider on each
side,

    ink = ½ + weight − d, clamped to [0, 1],

so an edge is grey over one pixel. Each image has its own face, slant, width, size, weight and shift. As in
MNIST, the letter is white on black, fits into 20 x 20 pixels, and has its centre of mass in the middle of
the 28 x 28 pixels, up to the shift.

The pixels depend on the font files alone, which are the same in matplotlib 3.9 to 3.11. Outlines are read
in the font's own units, unrounded. The random numbers are those of PCG64, whose stream numpy guarantees. The
arithmetic is that of float64, without functions that a processor may round differently.
"""

from __future__ import annotations

import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from scratchae.data.dataset import Images
from scratchae.data.download import cache_folder
from scratchae.data.npz import parse_npz
from scratchae.errors import ScratchaeError
from scratchae.files import replacing

LETTERS = "ACEFHKMRTX"  # label 0 is A; none of them looks like a digit, as O, I, Z, S and B do
FACES = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmb10", "cmss10", "cmtt10", "cmmi10"),
)
TRAIN, TEST = 10_000, 2_000
VERSION = 1  # of the pixels: raise it if they change, so that no cache keeps the old ones
SIDE, BOX = 28, 20  # pixels: of an image, and of the square that a letter fits into
# A field has CELLS x CELLS points on [-REACH, REACH]²; a letter is 1 long.
CELLS, REACH = 96, 0.75


class Glyphs(NamedTuple):
    """G glyphs (a glyph is a letter in one face), with coordinates from the middle of a glyph; y points down.

    fields: signed distances (G, CELLS, CELLS). extents: width and height (G, 2). masses: the centre
    of mass (G, 2), as x and y.
    """

    fields: np.ndarray
    extents: np.ndarray
    masses: np.ndarray


def load_letters() -> tuple[Images, Images]:
    """Return the 10,000 training and the 2,000 test images, equally many of each letter.

    They are drawn at the first use, which takes a few seconds, and kept in the cache. A cache that is
    damaged or of another version is replaced.
    """
    path = cache_folder("letters") / "letters.npz"
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        with np.load(path, allow_pickle=False) as file:
            current = int(file["version"]) == VERSION
        if current:
            train, test = parse_npz(path.read_bytes(), str(path))
            if test is not None:
                return train, test
    pixels, labels = draw_letters(TRAIN + TEST)
    # if the cache cannot be written, they are drawn again next time
    with suppress(ScratchaeError), replacing(path) as beside:
        np.savez(
            beside,
            version=VERSION,
            x_train=pixels[:TRAIN],
            y_train=labels[:TRAIN],
            x_test=pixels[TRAIN:],
            y_test=labels[TRAIN:],
        )
    whole = Images(torch.from_numpy(pixels), torch.from_numpy(labels))
    index = torch.arange(TRAIN + TEST)
    return whole.select(index[:TRAIN]), whole.select(index[TRAIN:])


def draw_letters(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 pixels (count, 28, 28) and int64 labels (count,). Image i shows LETTERS[i % 10].

    >>> pixels, labels = draw_letters(20)
    >>> pixels.shape, labels[:3].tolist(), int(pixels[:, 0].max())
    ((20, 28, 28), [0, 1, 2], 0)
    """
    labels = np.arange(count) % len(LETTERS)
    draw = np.random.Generator(np.random.PCG64(seed)).random((count, 7))
    face = (draw[:, 0] * len(FACES)).astype(np.int64)
    needed, chosen = np.unique(face * len(LETTERS) + labels, return_inverse=True)
    parts = [glyph(FACES[n // len(LETTERS)], LETTERS[n % len(LETTERS)]) for n in needed]
    glyphs = Glyphs(*(np.stack(part) for part in zip(*parts, strict=True)))
    pixels = np.empty((count, SIDE, SIDE), np.uint8)
    for start in range(0, count, 250):  # the numbers of 250 images fit into a processor's cache
        part = slice(start, start + 250)
        pixels[part] = render(glyphs, chosen[part], draw[part, 1:])
    return pixels, labels


def render(glyphs: Glyphs, chosen: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """Return the images of the glyphs with the numbers `chosen` (B,): uint8 (B, 28, 28).

    draw: random numbers (B, 6) in [0, 1), which become the slant, width, size, weight and shift.
    """
    slant = between(-0.25, 0.25, draw[:, 0])  # x moves by slant times y
    stretch = between(0.8, 1.1, draw[:, 1])  # of the width
    size = between(0.85, 1.0, draw[:, 2]) * BOX
    weight = between(0.0, 0.6, draw[:, 3])  # pixels, on each side of a stroke
    shift = between(-1.0, 1.0, draw[:, 4:])  # pixels, x and y

    # A point (x, y) of the glyph goes to scale · (stretch · x − slant · y, y).
    width, height = glyphs.extents[chosen].T
    width = stretch * width + np.abs(slant) * height
    scale = (size - 2 * weight) / np.maximum(width, height)  # pixels per unit
    x, y = glyphs.masses[chosen].T
    mass = scale * np.stack([stretch * x - slant * y, y])  # (2, B), from the middle of the glyph
    half = scale * np.stack([width, height]) / 2 + weight
    # The middle of the glyph, in pixels from the image's corner. All ink stays inside.
    middle = np.clip(SIDE / 2 + 0.5 + shift.T - mass, half + 1, SIDE - 1 - half)

    centres = np.arange(SIDE) + 0.5
    x, y = ((centres - start[:, None]) / scale[:, None] for start in middle)  # (B, 28) each
    y = y[:, :, None]  # (B, 28, 1)
    x = (x[:, None, :] + slant[:, None, None] * y) / stretch[:, None, None]  # (B, 28, 28)
    distance = scale[:, None, None] * look_up(glyphs.fields, chosen, x, y)
    ink = np.clip(0.5 + weight[:, None, None] - distance, 0.0, 1.0)
    return np.floor(255 * ink + 0.5).astype(np.uint8)


def between(low: float, high: float, draw: np.ndarray) -> np.ndarray:
    """Return random numbers from low to high, given random numbers from 0 to 1."""
    return low + (high - low) * draw


def look_up(fields: np.ndarray, chosen: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate the chosen fields linearly at the points x, y, which broadcast to (B, 28, 28)."""
    column, row = (
        np.clip((place + REACH) * (CELLS / (2 * REACH)) - 0.5, 0, CELLS - 1.001) for place in (x, y)
    )
    left, top = column.astype(np.int64), row.astype(np.int64)
    right, below = column - left, row - top  # the weights of the right and the lower neighbour
    corner = (chosen[:, None, None] * CELLS + top) * CELLS + left
    flat = fields.ravel()
    upper = flat[corner] * (1 - right) + flat[corner + 1] * right
    lower = flat[corner + CELLS] * (1 - right) + flat[corner + CELLS + 1] * right
    return upper * (1 - below) + lower * below


def glyph(face: str, letter: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the signed distance field, the extent and the centre of mass of one letter."""
    starts, ends = edges(outline(face, letter))
    low, high = starts.min(axis=0), starts.max(axis=0)
    longest = (high - low).max()
    starts, ends = ((points - (low + high) / 2) / longest for points in (starts, ends))
    places = ((np.arange(CELLS) + 0.5) / CELLS * 2 - 1) * REACH
    x, y = places[None, :, None], places[:, None, None]
    (x0, y0), (x1, y1) = starts.T, ends.T
    dx, dy = x1 - x0, y1 - y0

    # the distance to the nearest point of the nearest edge
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    away = (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2
    distance = np.sqrt(away.min(axis=2))  # (CELLS, CELLS)

    # A point is inside if a line from it to the right crosses the outline more often in one direction.
    up, down = (y0 <= y) & (y < y1), (y1 <= y) & (y < y0)
    is_left = dx * (y - y0) - dy * (x - x0)  # > 0: the point is on the left of an edge that goes up
    winding = (up & (is_left < 0)).sum(axis=2) - (down & (is_left > 0)).sum(axis=2)
    inside = winding != 0
    field = np.where(inside, -distance, distance)
    mass = np.array([(inside.sum(axis=axis) * places).sum() / inside.sum() for axis in (0, 1)])
    return field, (high - low) / longest, mass


def outline(face: str, letter: str) -> list[np.ndarray]:
    """Return the closed curves of a letter, each as points (P, 2) in the font's units; y points down."""
    from matplotlib import ft2font, get_data_path  # here, because only drawing needs matplotlib
    from matplotlib.path import Path as Curves

    font = ft2font.FT2Font(str(Path(get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"))
    # a pixel is then one of the font's units: nothing is rounded
    font.set_size(font.units_per_EM, 72)
    flags: Any = getattr(ft2font, "LoadFlags", None)  # since matplotlib 3.10
    font.load_char(ord(letter), flags.NO_HINTING if flags else ft2font.LOAD_NO_HINTING)  # type: ignore[attr-defined]
    path: Any = Curves(*font.get_path())
    curves: list[list[np.ndarray]] = []
    share = np.linspace(0, 1, 7)[1:, None]  # a curved piece becomes 6 straight ones
    for piece, code in path.iter_bezier():
        if code == path.MOVETO:
            curves.append([piece.control_points])
            continue
        control = piece.control_points  # (2, 2) of a line, (3, 2) of a quadratic curve
        if code == path.CURVE3:
            a, b, c = control
            curves[-1].append(a * (1 - share) ** 2 + b * (2 * share * (1 - share)) + c * share**2)
        else:
            curves[-1].append(control[1:])
    return [np.concatenate(curve) * [1, -1] for curve in curves]


def edges(curves: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the starts and the ends of all edges, (E, 2) each, without edges of length 0."""
    starts = np.concatenate(curves)
    ends = np.concatenate([np.roll(curve, -1, axis=0) for curve in curves])
    real = (starts != ends).any(axis=1)
    return starts[real], ends[real]
