"""A digit drawn or photographed by anybody, brought to the form that MNIST's digits have.

MNIST's own recipe: the digit is fitted into 20 x 20 pixels, its shape kept, and laid on
28 x 28 so that its centre of mass is in the middle (LeCun et al. 1998). Before that, a
photo needs its paper taken away: the light on it is uneven, so no single threshold parts
ink from paper. The brightness of the paper alone is found by closing the strokes, and ink
is what swallows a part of that light.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from scratchae.errors import ScratchaeError

SIDE, BOX = 28, 20
WORKING_SIDE = 280  # pixels: ten times MNIST's
WIDEST = 0.3  # of the picture's longer side: no stroke is wider
FAINTEST = 0.1  # of the paper's light: a picture whose ink swallows less counts as blank
PEN = 1.8  # least width of a stroke in the 20 x 20 box: MNIST's pens are 2 to 3 wide
BLANK = (
    "the picture looks blank: draw one digit in thick dark strokes on plain paper, and let it "
    "fill a good part of the picture"
)


def digit_from_picture(image: Image.Image | str | Path) -> torch.Tensor:
    """One digit as uint8 (28, 28), bright on black and centred, as in MNIST.

    `image` is a PIL image or the path of one: dark on light or light on dark, a drawing or
    a photo in uneven light, of any size; transparent parts count as white. A picture that
    is in MNIST's form already is returned unchanged. Raises ScratchaeError if the file is
    no picture, or if nothing is drawn on it.

    >>> from PIL import Image, ImageDraw
    >>> picture = Image.new("L", (200, 300), "white")
    >>> ImageDraw.Draw(picture).line((100, 50, 100, 250), fill="black", width=20)
    >>> digit = digit_from_picture(picture)
    >>> digit.shape, digit[0, 0].item(), digit[14, 14].item()  # now light on dark
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
    """float (H, W), 0..255, the longer side at most WORKING_SIDE."""
    if not isinstance(image, Image.Image):
        try:
            with Image.open(image) as file:
                file.load()
                image = file
        except FileNotFoundError as error:
            raise ScratchaeError(f"there is no picture {image}: check the path") from error
        except (UnidentifiedImageError, OSError) as error:
            raise ScratchaeError(
                f"{image} is no picture that can be read: save it as PNG or JPEG"
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
    """How much ink lies on each pixel: float (H, W), 0 for paper .. 1."""
    # Ink is the lesser part around it and so departs farther from the mean than paper does.
    if np.mean((grey - _blurred(grey, max(grey.shape) / 6)) ** 3) > 0:
        grey = 255 - grey  # from here on ink is dark
    # The share of the paper's light that is swallowed: the same in a shadow as out of it.
    swallowed = 1 - grey / np.maximum(_paper(grey), 1)
    swallowed -= np.median(swallowed)
    if swallowed.max() < FAINTEST:
        raise ScratchaeError(BLANK)
    cut = _otsu(swallowed)
    is_paper = swallowed < cut
    noise = swallowed[is_paper].std()
    full = np.median(swallowed[~is_paper])
    if full < max(FAINTEST, 5 * noise):
        raise ScratchaeError(BLANK)
    # Between paper and full ink an edge keeps its shades; below `low` all is noise.
    low = max(0.1 * full, 3 * noise)
    return np.clip((swallowed - low) / (full - low), 0, 1)


def _paper(grey: np.ndarray) -> np.ndarray:
    """The brightness that the paper has at every pixel, under the dark ink too: float (H, W).

    A morphological closing: the brightest in a window wider than any stroke, and of these
    the darkest. It fills the strokes and follows slopes and edges of the light.
    """
    width = int(WIDEST * max(grey.shape)) // 2 * 2 + 1
    return -_brightest(-_brightest(_blurred(grey, 1), width), width)


def _blurred(grey: np.ndarray, radius: float) -> np.ndarray:
    image = Image.fromarray(grey.astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, dtype=np.float32)


def _brightest(values: np.ndarray, width: int) -> np.ndarray:
    """The highest value in the square of `width` around each pixel, one axis after the other."""
    for axis in (0, 1):
        margin = [(width // 2, width // 2) if axis == a else (0, 0) for a in (0, 1)]
        windows = sliding_window_view(np.pad(values, margin, mode="edge"), width, axis=axis)
        values = windows.max(axis=-1)
    return values


def _otsu(values: np.ndarray) -> float:
    """The cut that parts `values` into two groups as different as can be (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()[:-1]
    above = counts.sum() - below
    sum_below = (counts * middles).cumsum()[:-1]
    sum_above = (counts * middles).sum() - sum_below
    means = sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)
    return edges[1:-1][np.argmax(below * above * means**2)]


def _largest_parts(ink: np.ndarray) -> np.ndarray:
    """The ink without specks: connected parts of less than a tenth of the largest go."""
    # On squares of `step` pixels: coarse, so that few rounds of spreading are needed below.
    step = -(-max(ink.shape) // 64)
    height, width = (-(-size // step) for size in ink.shape)
    squares = np.zeros((height * step, width * step))
    squares[: ink.shape[0], : ink.shape[1]] = ink
    squares = squares.reshape(height, step, width, step)
    marked = (squares > 0.3).any(axis=(1, 3))
    mass = squares.sum(axis=(1, 3))

    # Every square has a number; it takes the highest of its neighbours until all in a part agree.
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
    """A thin pen's strokes as wide as MNIST's, for otherwise they fade when made small."""
    area = ink.sum()
    inside = np.pad(ink > 0.5, 1)
    edge = sum(np.count_nonzero(np.diff(inside, axis=axis)) for axis in (0, 1))
    width = 2 * area / max(edge * np.pi / 4, 1)  # steps along a slanted edge count 4/pi too much
    rounds = round((PEN * max(ink.shape) / BOX - width) / 2)  # each adds a pixel on both sides
    if rounds < 1:
        return ink
    grown = Image.fromarray(np.pad(ink, rounds).astype(np.float32))
    for _ in range(rounds):
        grown = grown.filter(ImageFilter.MaxFilter(3))
    return np.asarray(grown)


def _fitted(ink: np.ndarray) -> np.ndarray:
    """`ink`, cut close, on uint8 (28, 28): its longer side 20, its centre of mass in the middle."""
    pixel = max(ink.shape) / BOX  # one pixel of the result, measured in those of `ink`
    window = SIDE * pixel
    starts = []
    for axis, size in enumerate(ink.shape):
        mass = ink.sum(axis=1 - axis)
        centre = (mass * (np.arange(size) + 0.5)).sum() / mass.sum()
        # MNIST's centres of mass lie in the middle of pixel 14; no ink may leave the window.
        starts.append(float(np.clip(centre - 14.5 * pixel, size - window, 0)))
    top, left = (start + np.ceil(window) for start in starts)
    padded = Image.fromarray(np.pad(ink, int(np.ceil(window))).astype(np.float32))
    box = (left, top, left + window, top + window)
    small = np.asarray(padded.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))
    full = np.quantile(small[small > 0.1], 0.9)
    return np.round(255 * np.clip(small / full, 0, 1)).astype(np.uint8)
