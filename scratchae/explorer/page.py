"""Build the page from the HTML, style sheets and scripts of this folder, and the run's numbers as JSON."""

from __future__ import annotations

import html
import json
import math
import os
import re
from importlib.resources import files
from pathlib import Path

import torch

from scratchae.data import Dataset, Images
from scratchae.errors import ScratchaeError
from scratchae.explorer.cloud import NUMBERS, POINTS, balanced_sample, cloud
from scratchae.explorer.network import describe
from scratchae.explorer.quantise import base64_of
from scratchae.files import write_text
from scratchae.training import Run
from scratchae.training.evaluation import evaluating
from scratchae.training.preparation import pixels_for

LARGEST = 500_000  # bytes of a page, so that it opens at once and can be sent by mail
DIGITS = 20  # shown as pictures: ten to encode, ten as the ends of a path
STYLES = ("theme", "parts", "controls", "layout")
SCRIPTS = (
    "network",
    "operators",
    "paint",
    "codes",
    "cloud",
    "steer",
    "layers",
    "pad",
    "path",
    "main",
)


def write_page(run: Run, data: Dataset, path: str | os.PathLike) -> None:
    """Write the page of a run to a file, complete or not at all.

    Raises ScratchaeError as `page` does, or if the file cannot be written.

    >>> import tempfile
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
    write_text(path, page(run, data))


def page(run: Run, data: Dataset) -> str:
    """Return an HTML document with the run's encoder and decoder, a sample of codes and some digits.

    The codes are those of `data.test`, or of the training images if there are no test images. The
    same run and data give the same text. Raises ScratchaeError if the model does not take images of
    28 x 28, if the page cannot run one of its layers, or if the page is larger than LARGEST bytes.

    >>> from scratchae.training import fit
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> text = page(fit("fc", data, epochs=1, device="cpu", progress=False), data)
    >>> text[:15], 300_000 < len(text) < LARGEST
    ('<!doctype html>', True)
    """
    content = json.dumps(content_of(run, data), separators=(",", ":"), allow_nan=False)
    parts = {
        "title": html.escape(f"{run.model.name} on {data.name}"),
        "style": "\n".join(plain_file(f"{name}.css") for name in STYLES),
        "data": content.replace("<", "\\u003c"),  # so that the data cannot contain </script>
        "script": "\n".join(plain_file(f"{name}.js") for name in SCRIPTS),
    }
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], plain_file("page.html"))
    size = len(text.encode())
    if size > LARGEST:
        raise ScratchaeError(
            f"the page of {run.model.name} has {size // 1000:,} KB, more than {LARGEST // 1000}: "
            "explore a model with fewer weights"
        )
    return text


def content_of(run: Run, data: Dataset) -> dict:
    """Return the numbers of the run that the scripts of the page read."""
    model = run.model.to("cpu")
    if math.prod(model.input_shape) != 784:
        raise ScratchaeError(
            f"the page shows digits of 28 x 28 pixels, but {model.name} takes "
            f"{' x '.join(map(str, model.input_shape))}: explore a model of such digits"
        )
    encoder = describe(model.encoder, model.input_shape, "encoder.")
    code_shape = encoder[-1]["shape"] if encoder else list(model.input_shape)
    decoder = describe(model.decoder, tuple(code_shape), "decoder.")
    if not decoder or math.prod(decoder[-1]["shape"]) != 784:
        raise ScratchaeError(
            f"the page shows digits of 28 x 28 pixels, but the decoder of {model.name} does not end in "
            "784 numbers: explore a model whose output has the size of its input"
        )
    images = data.test or data.train
    last = run.rows[-1] if run.rows else {}
    error = last.get("test_loss", math.nan)
    return {
        "model": model.name,
        "data": data.name,
        "epochs": run.epoch,
        "error": round(error, 4) if math.isfinite(error) else None,
        "inputShape": list(model.input_shape),
        "codeShape": code_shape,
        "encoder": encoder,
        "decoder": decoder,
        "digits": digits_of(images),
        "cloud": None if len(code_shape) > 1 else cloud_of(run, images, code_shape[0]),
    }


def cloud_of(run: Run, images: Images, width: int) -> dict:
    """Encode a balanced sample of the images, and return their cloud."""
    most = min(POINTS, NUMBERS // width)
    chosen = images.select(sample(images, most))
    with evaluating(run.model):
        codes = run.model.encode(pixels_for(run.model, chosen, torch.device("cpu")))
    return cloud(codes, chosen.labels)


def digits_of(images: Images) -> dict:
    """Return a few images as bytes in the order of their digits 0, 1, ..., and their labels."""
    few = images.select(sample(images, DIGITS))
    if few.labels is not None:  # 0, 1, ... 9, 0, 1, ... 9
        turn = torch.zeros_like(few.labels)
        for kind in few.labels.unique():
            own = few.labels == kind
            turn[own] = torch.arange(int(own.sum()))
        few = few.select((turn * 10 + few.labels).argsort())
    labels = None if few.labels is None else few.labels.tolist()
    return {"count": len(few), "pixels": base64_of(few.pixels), "labels": labels}


def sample(images: Images, most: int) -> torch.Tensor:
    """Return the indices of a balanced sample, or of the first images if there are no labels."""
    if images.labels is None:
        return torch.arange(min(most, len(images)))
    return balanced_sample(images.labels, max(1, most))


def plain_file(name: str) -> str:
    """Return the text of a file in this folder."""
    return (files("scratchae.explorer") / name).read_text(encoding="utf-8")
