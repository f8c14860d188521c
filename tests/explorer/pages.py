"""Open the page of a run in a browser, and read what its canvases show."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from tests.helpers.browser import Watched, opened


@contextmanager
def explored(browser, path: Path, *viewport, **options) -> Iterator[Watched]:
    """The page of a run, when it is ready; the tests call the parts of its first panel by short names."""
    with opened(browser, path, *viewport, **options) as watched:
        watched.page.wait_for_selector("body[data-ready]")
        watched.page.evaluate(
            "() => { const { encoder, decoder, cloud, codes } = panels[0];"
            "  Object.assign(window, { encoder, decoder, cloud, codes }); }"
        )
        yield watched


def grey(page, canvas: str, nth: int = 0) -> np.ndarray:
    """What stands on the nth canvas of 28 x 28 with this id or class, 0 to 255."""
    found = page.evaluate(
        """([name, nth]) => {
          const copy = new OffscreenCanvas(28, 28).getContext('2d', { willReadFrequently: true });
          copy.drawImage(document.querySelectorAll(`#${name}, .${name}`)[nth], 0, 0);
          return Array.from(copy.getImageData(0, 0, 28, 28).data);
        }""",
        [canvas, nth],
    )
    return np.array(found).reshape(28, 28, 4)[:, :, 0]


def painted(pixels: torch.Tensor) -> np.ndarray:
    """Pixels in [-1, 1] as the page paints them."""
    return (pixels.double().numpy().reshape(28, 28) + 1) * 127.5


def middle(page, selector: str) -> tuple[float, float]:
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
