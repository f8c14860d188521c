"""Build the page from the HTML, style sheets and scripts of this folder, and the runs' numbers as JSON."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from scratchae.data import Dataset, Images
from scratchae.errors import ScratchaeError
from scratchae.explorer.content import content_of, networks_of
from scratchae.explorer.network import FINE
from scratchae.files import write_text
from scratchae.training import Run

LARGEST = 500_000  # bytes for one run, so that the page opens at once and can be sent by mail
# Largest integers of the weights; the first one with which the run fits is used.
ROUNDINGS = (FINE, 31, 15, 11, 9, 7, 6, 5)
WEIGHTS_PER_BYTE = 4  # at most: with more weights, no rounding makes the run fit
STYLES = ("theme", "parts", "controls", "layers", "layout")
SCRIPTS = (
    "network",
    "operators",
    "paint",
    "codes",
    "cloud",
    "plane",
    "steer",
    "maps",
    "links",
    "layers",
    "posterior",
    "panel",
    "pad",
    "path",
    "main",
)


def write_page(runs: Run | Sequence[Run], data: Dataset, path: str | os.PathLike) -> None:
    """Write the page of a run, or of two runs beside each other, to a file, complete or not at all.

    Raises ScratchaeError as `page` does, or if the file cannot be written.

    >>> import tempfile, torch
    >>> from scratchae.training import fit
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> run = fit("fc", data, epochs=1, device="cpu", progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(run, data, Path(folder, "page.html"))
    ...     Path(folder, "page.html").read_text()[:15]
    '<!doctype html>'
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ScratchaeError(f"cannot write a page to {path}: its name must end in .html")
    write_text(path, page(runs, data))


def page(runs: Run | Sequence[Run], data: Dataset) -> str:
    """Return an HTML document with each run's encoder and decoder, a sample of codes and some digits.

    runs: one run, or two that are shown beside each other and driven by the same gestures. The codes are
    those of `data.test`, or of the training images if there are no test images. The same runs and data
    give the same text. Raises ScratchaeError if there are more than two runs, if a model does not take
    images of 28 x 28, if the page cannot run one of its layers, or if a run takes more than LARGEST bytes.

    >>> import torch
    >>> from scratchae.training import fit
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> text = page(fit("fc", data, epochs=1, device="cpu", progress=False), data)
    >>> text[:15], 300_000 < len(text) < LARGEST
    ('<!doctype html>', True)
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    if not 1 <= len(runs) <= 2:
        raise ScratchaeError(f"a page shows one run or two, but got {len(runs)}: choose two")
    content = content_of(runs, data)
    for run, described in zip(runs, content["runs"], strict=True):
        described |= networks_that_fit(run, data.test or data.train, len(as_json(described)))
    parts = {
        "title": html.escape(
            f"{' beside '.join(run['model'] for run in content['runs'])} on {data.name}"
        ),
        "style": "\n".join(plain_file(f"{name}.css") for name in STYLES),
        "data": as_json(content).replace("<", "\\u003c"),  # so that it cannot contain </script>
        "script": "\n".join(plain_file(f"{name}.js") for name in SCRIPTS),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], plain_file("page.html"))


def networks_that_fit(run: Run, images: Images, used: int) -> dict:
    """Describe the networks with the finest rounding that makes them and `used` fit into LARGEST bytes."""
    size = sum(parameter.numel() for parameter in run.model.parameters()) // WEIGHTS_PER_BYTE
    for most in ROUNDINGS if size <= LARGEST else ():
        networks = networks_of(run, images, most)
        size = used + len(as_json(networks))
        if size <= LARGEST:
            return networks
    raise ScratchaeError(
        f"{run.model.name} takes {size // 1000:,} KB of a page, more than {LARGEST // 1000}: "
        "explore a model with fewer weights"
    )


def as_json(content: dict) -> str:
    """Return compact JSON. Raises ValueError if a number is not finite."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def plain_file(name: str) -> str:
    """Return the text of a file in this folder."""
    return (files("scratchae.explorer") / name).read_text(encoding="utf-8")
