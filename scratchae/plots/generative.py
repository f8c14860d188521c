"""Pictures of a variational autoencoder: samples, the plane of a 2-d code, and the ELBO with its two parts."""

from __future__ import annotations

import math

import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.models import VAE, Autoencoder
from scratchae.noise import noise_keys, normal
from scratchae.plots.inputs import as_digits, evaluation_copy
from scratchae.plots.style import BLUE, FAINT, RED, grey, headline, styled, tile


def prior_samples(model: Autoencoder, count: int, seed: int = 0) -> Tensor:
    """Return `count` images (count, *input_shape), decoded from codes that are drawn from the prior N(0, I).

    Image i depends on the seed and on i only. The images are what the likelihood expects: no pixel noise
    is added. Raises ScratchaeError if the model is not a VAE, because its codes have no prior.

    >>> from scratchae.models import build
    >>> prior_samples(build("vae"), 3).shape
    torch.Size([3, 784])
    """
    if not isinstance(model, VAE):
        raise ScratchaeError(
            f"{model.name or 'this model'} is a plain autoencoder: its codes have no prior from which "
            "samples could be drawn; train a VAE, such as vae, instead"
        )
    if not isinstance(count, int) or count < 1:
        raise ScratchaeError(f"the number of samples must be at least 1, but got {count!r}")
    first = model.parameters()[0]
    keys = noise_keys(seed, 0, count, first.device)
    with torch.inference_mode():
        code = normal(keys, (model.latent,), first.dtype)
        return model.expected(model.decode(code)).clone()


@styled
def samples(model: Autoencoder, count: int = 64, seed: int = 0) -> Figure:
    """Draw `count` images, decoded from codes that are drawn from the prior N(0, I).

    >>> from scratchae.models import build
    >>> len(samples(build("vae"), count=6).axes[0].images)
    6
    """
    copy = evaluation_copy("samples", model)
    images = as_digits("samples", prior_samples(copy, count, seed))
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    figure = Figure((max(4.0, 0.6 * columns), 0.5 + 0.6 * rows))
    headline(figure, f"{count} sample{'s'[: count > 1]}: decoded codes from the prior N(0, I)")
    tile(figure.subplots(), images, columns, **grey(model.pixel_range))
    return figure


@styled
def latent_plane(model: Autoencoder, size: int = 20) -> Figure:
    """Decode a grid of `size` x `size` codes of two numbers.

    The positions are quantiles of N(0, 1), so every cell has the same probability under the prior.

    >>> from scratchae.models import build
    >>> figure = latent_plane(build("vae", latent=2), size=4)
    >>> len(figure.axes[0].images), [text.get_text() for text in figure.axes[0].get_xticklabels()]
    (1, ['-1.2', '-0.3', '0.3', '1.2'])
    """
    if not isinstance(model, VAE) or model.latent != 2:
        raise ScratchaeError(
            "latent_plane expects a VAE with a code of two numbers: build one with latent=2"
        )
    copy = evaluation_copy("latent_plane", model)
    middle = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    quantiles = torch.special.ndtri(middle)  # (size,): P(z < quantile) = middle for z ~ N(0, 1)
    across, up = quantiles.repeat(size), quantiles.flip(0).repeat_interleave(size)
    first = copy.parameters()[0]
    with torch.inference_mode():
        y = copy.expected(copy.decode(torch.stack([across, up], dim=1).to(first)))
    images = as_digits("latent_plane", y).view(size, size, 28, 28)
    picture = images.transpose(1, 2).reshape(28 * size, 28 * size)
    figure = Figure((7.0, 7.3))
    headline(
        figure,
        "The plane of the code, decoded\nEvery cell has the same probability under the prior",
    )
    ax = figure.subplots()
    ax.imshow(picture.numpy(), extent=(0, size, 0, size), **grey(model.pixel_range))
    ax.grid(False)
    places = sorted({0, size // 4, size - 1 - size // 4, size - 1})
    names = [f"{quantiles[place]:.1f}" for place in places]
    ax.set_xticks([place + 0.5 for place in places], names)
    ax.set_yticks([place + 0.5 for place in places], names)
    ax.set(xlabel="code 1", ylabel="code 2")
    return figure


@styled
def elbo_parts(history: pd.DataFrame, beta: float = 1.0) -> Figure:
    """Draw the loss of the test images over the epochs, and its two parts: reconstruction and KL.

    history: the columns epoch, test_loss and test_penalty of a VAE's run. test_penalty is β times the KL;
    the reconstruction is the rest of test_loss. Only with β = 1 their sum is −ELBO.

    >>> history = pd.DataFrame({"epoch": [1, 2], "test_loss": [9.0, 8.0], "test_penalty": [2.0, 3.0]})
    >>> [text.get_text() for text in elbo_parts(history).axes[0].texts]
    ['−ELBO 8', 'reconstruction 5', 'KL 3']
    """
    needed = {"epoch", "test_loss", "test_penalty"}
    if not isinstance(history, pd.DataFrame) or not needed <= set(history.columns):
        raise ScratchaeError(
            "elbo_parts expects a DataFrame with the columns epoch, test_loss and test_penalty: pass the "
            "history of a VAE that was trained with test images"
        )
    rows = history[list(needed)].astype(float)
    rows = rows[rows.abs().lt(math.inf).all(axis=1)]
    if rows.empty:
        raise ScratchaeError("elbo_parts found no epoch with finite losses: train with test images")
    whole = "−ELBO" if beta == 1 else f"reconstruction + {beta:g} KL"
    part = "KL" if beta == 1 else f"{beta:g} KL"
    lines = {
        whole: (rows["test_loss"], "black"),
        "reconstruction": (rows["test_loss"] - rows["test_penalty"], BLUE),
        part: (rows["test_penalty"], RED),
    }
    figure = Figure((7.0, 4.0))
    headline(figure, f"{whole} of the test images and its two parts")
    ax = figure.subplots()
    ends = spread([values.iloc[-1] for values, _ in lines.values()])
    for (name, (values, colour)), end in zip(lines.items(), ends, strict=True):
        ax.plot(rows["epoch"], values, color=colour, marker="o", markersize=3, label=name)
        ax.annotate(
            f"{name} {values.iloc[-1]:.4g}",
            (rows["epoch"].iloc[-1], end),
            xytext=(8, 0),
            textcoords="offset points",
            color=colour,
            va="center",
        )
    ax.axhline(0, color=FAINT, linewidth=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlim(rows["epoch"].min() - 0.5, rows["epoch"].max() + 0.5)
    ax.set(xlabel="epoch", ylabel="nats per image")
    return figure


def spread(values: list[float], share: float = 0.06) -> list[float]:
    """Move the positions of texts apart, so that any two differ by a share of the whole range.

    >>> spread([0.0, 100.0, 99.0], share=0.05)
    [0.0, 104.0, 99.0]
    """
    least = share * (max(values) - min(0.0, *values))
    places, last = dict.fromkeys(range(len(values)), 0.0), -math.inf
    for index in sorted(places, key=lambda index: values[index]):
        last = places[index] = max(values[index], last + least)
    return [places[index] for index in range(len(values))]
