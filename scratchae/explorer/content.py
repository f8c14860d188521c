"""The numbers of a page: for each run its two networks and the codes of some images; and a few images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from scratchae.data import Dataset, Images, load
from scratchae.data.dataset import DIGITS
from scratchae.data.letters import LETTERS, draw_letters
from scratchae.errors import ScratchaeError
from scratchae.explorer.cloud import NUMBERS, POINTS, balanced_sample, cloud
from scratchae.explorer.network import FINE, describe
from scratchae.explorer.operators import operators_of
from scratchae.explorer.quantise import pack
from scratchae.layers import Layer
from scratchae.models import Autoencoder
from scratchae.training import Run
from scratchae.training.evaluation import evaluating
from scratchae.training.preparation import pixels_for

SHOWN = 20  # images shown as pictures: ten to encode, ten as the ends of a path
TYPICAL = 1000  # images whose activations say how to round the weights


def content_of(runs: Sequence[Run], data: Dataset) -> dict:
    """Return everything that the scripts of the page read, except the networks: see `networks_of`."""
    images = data.test or data.train
    widths = [width for run in runs if (width := code_width(run, images))]
    # The same images in every cloud: a click on a point then means one image.
    chosen = images.select(sample(images, min([POINTS, *(NUMBERS // width for width in widths)])))
    described = []
    for run, name in zip(runs, distinct([run.model.name or "model" for run in runs]), strict=True):
        last = run.rows[-1] if run.rows else {}
        error = last.get("test_loss", math.nan)
        described.append(
            {
                "model": name,
                "data": data.name,
                "epochs": run.epoch,
                "error": round(error, 4) if math.isfinite(error) else None,
                "inputShape": list(run.model.input_shape),
                "pixelRange": list(run.model.pixel_range),
                "cloud": cloud_of(run, chosen) if code_width(run, images) else None,
            }
        )
    return {
        "names": list(data.classes),
        "digits": few_images(images),
        "unseen": unseen(data),
        "runs": described,
    }


def code_width(run: Run, images: Images) -> int | None:
    """Return the number of numbers in a code, or None if a code is a picture."""
    check_sizes(run.model)
    codes = codes_of(run, images.select(torch.arange(1)))
    return codes.shape[1] if codes.ndim == 2 else None


def check_sizes(model: Autoencoder) -> None:
    """Raise ScratchaeError if the model does not take images of 28 x 28."""
    if math.prod(model.input_shape) != 784:
        raise ScratchaeError(
            f"the page shows digits of 28 x 28 pixels, but {model.name} takes "
            f"{' x '.join(map(str, model.input_shape))}: explore a model of such digits"
        )


def networks_of(run: Run, images: Images, most: int = FINE) -> dict:
    """Describe the encoder and the decoder of a run. most: the largest integer of a large layer's weights.

    Raises ScratchaeError if the page cannot run one of the layers, or if the output is not an image.
    """
    model = run.model.to("cpu")
    typical = images.select(torch.arange(min(TYPICAL, len(images))))
    x = pixels_for(model, typical, torch.device("cpu"))
    x = x if len(x) > 1 else torch.cat([x, x])
    encoder = describe(model.encoder, model.input_shape, "encoder.", x, most)
    codes = codes_of(run, typical)
    codes = torch.cat([codes, (codes + codes.roll(1, 0)) / 2])  # also codes between those of images
    code_shape = tuple(codes.shape[1:])
    decoder = describe(model.decoder, code_shape, "decoder.", codes, most)
    if not decoder or math.prod(decoder[-1]["shape"]) != 784:
        raise ScratchaeError(
            f"the page shows digits of 28 x 28 pixels, but the decoder of {model.name} does not end in "
            "784 numbers: explore a model whose output has the size of its input"
        )
    decoder += expected_pixels(model, decoder[-1]["shape"])
    return {"codeShape": list(code_shape), "encoder": encoder, "decoder": decoder}


class Expected(Layer):
    """The pixels that the decoder's output stands for, as the last layer."""

    def __init__(self, model: Autoencoder) -> None:
        super().__init__()
        self.model = [model]  # in a list, so that the model is not a child

    def forward(self, x: Tensor) -> Tensor:
        return self.model[0].expected(x)


def expected_pixels(model: Autoencoder, shape: list[int]) -> list[dict]:
    """Return [the layer from the output to its expected pixels], or [] if the output is the pixels."""
    program = operators_of(Expected(model), torch.zeros(1, *shape), "the loss")
    if not program["result"]:
        return []
    return [{"kind": "expected pixels", "name": "loss", "shape": shape, "program": program}]


def codes_of(run: Run, images: Images) -> Tensor:
    """Return the codes of all images; for a variational autoencoder, the means."""
    with evaluating(run.model.to("cpu")):
        codes = run.model.encode(pixels_for(run.model, images, torch.device("cpu")))
    return codes.clone()


def cloud_of(run: Run, images: Images) -> dict:
    """Encode the images, and return their cloud."""
    return cloud(codes_of(run, images), images.labels)


def few_images(images: Images) -> dict:
    """Return a few images as bytes in the order of their labels 0, 1, ..., and their labels."""
    few = images.select(sample(images, SHOWN))
    if few.labels is not None:  # 0, 1, ... 9, 0, 1, ... 9
        turn = torch.zeros_like(few.labels)
        for kind in few.labels.unique():
            own = few.labels == kind
            turn[own] = torch.arange(int(own.sum()))
        few = few.select((turn * 10 + few.labels).argsort())
    return packed(few)


def packed(images: Images) -> dict:
    """Return the images as bytes, and their labels."""
    labels = None if images.labels is None else images.labels.tolist()
    return {"count": len(images), "pixels": pack(images.pixels), "labels": labels}


def unseen(data: Dataset) -> dict:
    """Return ten images of a kind that the data does not contain: letters, or digits if it is letters."""
    if data.classes == tuple(LETTERS):
        digits = load()
        ten = (digits.test or digits.train).select(sample(digits.test or digits.train, 10))
        return {"what": "digits", "names": list(DIGITS), **packed(ten)}
    return {"what": "letters", "names": list(LETTERS), **packed(letters())}


@cache
def letters() -> Images:
    """Return one image of each letter."""
    pixels, labels = draw_letters(len(LETTERS))
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels))


def sample(images: Images, most: int) -> Tensor:
    """Return the indices of a balanced sample, or of the first images if there are no labels."""
    if images.labels is None:
        return torch.arange(min(most, len(images)))
    return balanced_sample(images.labels, max(1, most))


def distinct(names: list[str]) -> list[str]:
    """Number names that occur more than once.

    >>> distinct(["fc", "vae"]), distinct(["fc", "fc"])
    (['fc', 'vae'], ['fc (1)', 'fc (2)'])
    """
    counts, seen = Counter(names), Counter[str]()
    result = []
    for name in names:
        seen[name] += 1
        result.append(f"{name} ({seen[name]})" if counts[name] > 1 else name)
    return result
