"""Convert a drawing or a photo of a digit to the format of MNIST's digits.

MNIST was made as follows (LeCun et al. 1998): the digit is scaled to fit into 20 x 20 pixels, and
its aspect ratio is kept. Then it is placed on 28 x 28 pixels so that its centre of mass is in the
middle. A photo needs one step before that: the paper is removed. The light on the paper is uneven,
so no single threshold separates ink from paper. A morphological closing removes the strokes and
leaves the brightness of the paper. Pixels that are darker than this paper are ink.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from scratchae.errors import ScratchaeError

SIDE, BOX = 28, 20
WORKING_SIDE = 280  # pixels: ten times MNIST's
WIDEST = 0.3  # width of the widest stroke, as a part of the picture's longer side
FAINTEST = 0.1  # as a part of the paper's light: if all ink absorbs less, the picture is blank
PEN = 1.8  # least width of a stroke in the 20 x 20 box; in MNIST it is 2 to 3
BLANK = (
    "the picture looks blank: draw one digit in thick dark strokes on plain paper, and make it "
    "fill most of the picture"
)


def digit_from_picture(image: Image.Image | str | Path) -> torch.Tensor:
    """Return one digit as uint8 (28, 28), white on black and centred, as in MNIST.

    `image` is a PIL image or the path of an image file of any size. The digit may be dark on
    light or light on dark, drawn or photographed in uneven light. Transparent parts count as
    white. A picture that already has MNIST's format is returned unchanged. Raises ScratchaeError if
    the file is not an image, or if the image is blank.

    >>> from PIL import Image, ImageDraw
    >>> picture = Image.new("L", (200, 300), "white")
    >>> ImageDraw.Draw(picture).line((100, 50, 100, 250), fill="black", width=20)
    >>> digit = digit_from_picture(picture)
    >>> digit.shape, digit[0, 0].item(), digit[14, 14].item()  # white on black
    (torch.Size([28, 28]), 0, 255)
    """
    grey = _grey(image)
    if grey.shape == (SIDE, SIDE) and not np.median(_border(grey)) and grey.any():
        return torch.from_numpy(grey.astype(np.uint8))
    ink = _largest_parts(_ink(grey))
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return torch.from_numpy(_fitted(_thickened(ink)))


def _grey(image: Image.Image | str | Path) -> np.ndarray:
    """Return the grey values, 0..255, as float (H, W). No side is longer than WORKING_SIDE."""
    if not isinstance(image, Image.Image):
        try:
            with Image.open(image) as file:
                file.load()
                image = file
        except FileNotFoundError as error:
            raise ScratchaeError(f"there is no image {image}: check the path") from error
        except (UnidentifiedImageError, OSError) as error:
            raise ScratchaeError(
                f"{image} cannot be read as an image: save it as PNG or JPEG"
            ) from error
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L")
    image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32)


def _border(grey: np.ndarray) -> np.ndarray:
    return np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])


def _ink(grey: np.ndarray) -> np.ndarray:
    """Return how much ink each pixel has: float (H, W), from 0 (paper) to 1."""
    # Ink covers less area than paper, so it differs more from the local mean. The sign of the
    # third moment therefore tells whether the ink is brighter or darker than the paper.
    if np.mean((grey - _blurred(grey, max(grey.shape) / 6)) ** 3) > 0:
        grey = 255 - grey  # below, ink is dark
    # The part of the paper's light that is absorbed is the same inside and outside a shadow.
    absorbed = 1 - grey / np.maximum(_paper(grey), 1)
    absorbed -= np.median(absorbed)
    if absorbed.max() < FAINTEST:
        raise ScratchaeError(BLANK)
    cut = _otsu(absorbed)
    is_paper = absorbed < cut
    noise = absorbed[is_paper].std()
    full = np.median(absorbed[~is_paper])
    if full < max(FAINTEST, 5 * noise):
        raise ScratchaeError(BLANK)
    # Below `low` there is only noise. Between `low` and `full` are the grey edges of the strokes.
    low = max(0.1 * full, 3 * noise)
    return np.clip((absorbed - low) / (full - low), 0, 1)


def _paper(grey: np.ndarray) -> np.ndarray:
    """Return the brightness of the paper at every pixel, also under the ink: float (H, W).

    This is a morphological closing: the maximum over a window that is wider than any stroke, then
    the minimum over such a window. It removes the strokes and keeps the changes of the light.
    """
    width = int(WIDEST * max(grey.shape)) // 2 * 2 + 1
    return -_brightest(-_brightest(_blurred(grey, 1), width), width)


def _blurred(grey: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray(grey.astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, dtype=np.float32)


def _brightest(values: np.ndarray, width: int) -> np.ndarray:
    """Return the maximum over the square of side `width` around each pixel, one axis at a time."""
    for axis in (0, 1):
        margin = [(width // 2, width // 2) if axis == a else (0, 0) for a in (0, 1)]
        windows = sliding_window_view(np.pad(values, margin, mode="edge"), width, axis=axis)
        values = windows.max(axis=-1)
    return values


def _otsu(values: np.ndarray) -> float:
    """Return the threshold with the largest variance between the two groups (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()[:-1]
    above = counts.sum() - below
    sum_below = (counts * middles).cumsum()[:-1]
    sum_above = (counts * middles).sum() - sum_below
    means = sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)
    return edges[1:-1][np.argmax(below * above * means**2)]


def _largest_parts(ink: np.ndarray) -> np.ndarray:
    """Remove specks: connected parts with less than a tenth of the ink of the largest part."""
    # Work on squares of `step` pixels: on a coarse grid the loop below needs only a few rounds.
    step = -(-max(ink.shape) // 64)
    height, width = (-(-size // step) for size in ink.shape)
    squares = np.zeros((height * step, width * step))
    squares[: ink.shape[0], : ink.shape[1]] = ink
    squares = squares.reshape(height, step, width, step)
    marked = (squares > 0.3).any(axis=(1, 3))
    mass = squares.sum(axis=(1, 3))

    # Give every square a number. Each takes the largest number of its neighbours, until all
    # squares of a connected part have the same number.
    part = np.where(marked, np.arange(1, marked.size + 1).reshape(marked.shape), 0)
    while True:
        around = sliding_window_view(np.pad(part, 1), (3, 3)).max(axis=(2, 3))
        spread = np.where(marked, around, 0)
        if (spread == part).all():
            break
        part = spread
    masses = np.bincount(part.ravel(), weights=mass.ravel())
    masses[0] = 0
    kept = (masses >= 0.1 * masses.max())[part]
    kept = kept.repeat(step, axis=0).repeat(step, axis=1)[: ink.shape[0], : ink.shape[1]]
    return np.where(kept, ink, 0)


def _thickened(ink: np.ndarray) -> np.ndarray:
    """Widen thin strokes to the width of MNIST's: otherwise they fade when the image is scaled."""
    area = ink.sum()
    inside = np.pad(ink > 0.5, 1)
    edge = sum(np.count_nonzero(np.diff(inside, axis=axis)) for axis in (0, 1))
    width = 2 * area / max(edge * np.pi / 4, 1)  # pixel edges overestimate the length by 4/pi
    rounds = round(
        (PEN * max(ink.shape) / BOX - width) / 2
    )  # each round adds a pixel on both sides
    if rounds < 1:
        return ink
    grown = Image.fromarray(np.pad(ink, rounds).astype(np.float32))
    for _ in range(rounds):
        grown = grown.filter(ImageFilter.MaxFilter(3))
    return np.asarray(grown)


def _fitted(ink: np.ndarray) -> np.ndarray:
    """Scale the cropped `ink` to 20 pixels and centre its mass on 28 x 28 pixels, as uint8."""
    pixel = max(ink.shape) / BOX  # side of a pixel of the result, in pixels of `ink`
    window = SIDE * pixel
    starts = []
    for axis, size in enumerate(ink.shape):
        mass = ink.sum(axis=1 - axis)
        centre = (mass * (np.arange(size) + 0.5)).sum() / mass.sum()
        # In MNIST the centre of mass is in the middle of pixel 14. All ink must stay inside.
        starts.append(float(np.clip(centre - 14.5 * pixel, size - window, 0)))
    top, left = (start + np.ceil(window) for start in starts)
    padded = Image.fromarray(np.pad(ink, int(np.ceil(window))).astype(np.float32))
    box = (left, top, left + window, top + window)
    small = np.asarray(padded.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))
    full = np.quantile(small[small > 0.1], 0.9)
    return np.round(255 * np.clip(small / full, 0, 1)).astype(np.uint8)
