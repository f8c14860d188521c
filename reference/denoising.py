"""Measure what denoising and augmentation are worth, against methods that learn less or nothing.

    python -m reference.denoising

**Denoising.** Gaussian noise on held-out digits of the bundled sample. Compared in PSNR: the noisy image
itself, the same clipped to [0, 1], a median filter, the projection on the first k principal components of
clean training digits, and `conv` trained with `corrupt="noise=..."`. Everything that is chosen (the window,
k) is chosen on validation digits, for each strength of noise. All outputs are clipped, except for the
first row.

**A bottleneck against mild noise.** A plain autoencoder with a code of 32 numbers, trained without noise, makes
digits with mild noise worse: its own error is larger than the noise.

**Augmentation.** The same small autoencoder, trained with and without shifts, on untouched test digits and on
digits that are moved by 2 whole pixels in x and in y.

Writes reference/results/denoising.json, denoising.md and denoising.png. It takes about four minutes on one
thread.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from reference.benchmark.machine import about
from scratchae import plots
from scratchae.data import Dataset, Images, load
from scratchae.data.corruption import gaussian_noise
from scratchae.files import write_text
from scratchae.layers import Linear, ReLU, Sequential, Tanh
from scratchae.models import Autoencoder
from scratchae.noise import noise_keys, uniform
from scratchae.training import fit, psnr, reconstruct

RESULTS = Path(__file__).parent / "results"
SIGMAS = (0.1, 0.3, 0.5)  # for pixels in [0, 1]
SEEDS = {0.1: (0,), 0.3: (0, 1, 2), 0.5: (0,)}  # of conv
EPOCHS = {"conv": 15, "small": 10, "augmentation": 40}
WINDOWS, COMPONENTS = (3, 5), (5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 150, 200, 300, 400)
CODE, HIDDEN = 32, 256
NOISE_SEED = 1_000_000  # of the noise on held-out digits; training draws from its own seeds
AUGMENT = "shift=2"

Denoiser = Callable[[Tensor], Tensor]  # pixels (N, 28, 28) in [0, 1] plus noise -> clean pixels


def clean_pixels(images: Images) -> Tensor:
    """Return the images as (N, 28, 28) in [0, 1]."""
    return images.pixels.float() / 255


def noisy_pixels(images: Images, sigma: float, seed: int = NOISE_SEED) -> Tensor:
    """Return the images with Gaussian noise: (N, 28, 28), not clipped."""
    return gaussian_noise(clean_pixels(images), noise_keys(seed, 0, len(images)), sigma)


def median_filter(images: Tensor, window: int) -> Tensor:
    """Return images (N, H, W) in which each pixel is the median of a window around it; outside is 0."""
    beside = window // 2
    padded = images.new_zeros(len(images), *(size + 2 * beside for size in images.shape[1:]))
    padded[:, beside:-beside, beside:-beside] = images
    windows = padded.unfold(1, window, 1).unfold(2, window, 1)  # (N, H, W, window, window)
    return windows.flatten(3).median(dim=3).values


class PCA:
    """The projection on the first k principal components of the images (N, 28, 28)."""

    def __init__(self, images: Tensor) -> None:
        x = images.flatten(1).double()
        self.mean = x.mean(dim=0)
        self.components = torch.linalg.svd(x - self.mean, full_matrices=False).Vh  # (784, 784)

    def __call__(self, images: Tensor, k: int) -> Tensor:
        basis = self.components[:k]
        codes = (images.flatten(1).double() - self.mean) @ basis.T  # (N, k)
        return (self.mean + codes @ basis).reshape(images.shape).float()


def denoiser(model: Autoencoder) -> Denoiser:
    """Return the function that runs a model of pixels in [-1, 1] on pixels in [0, 1]."""

    def run(images: Tensor) -> Tensor:
        x = (2 * images - 1).reshape(-1, *model.input_shape)
        return (reconstruct(model, x).reshape(images.shape) + 1) / 2

    return run


def decibels(output: Tensor, images: Images) -> float:
    """Return the PSNR of an output, clipped to [0, 1]."""
    return psnr(output.clamp(0, 1), clean_pixels(images), peak=1)


def small_autoencoder(seed: int) -> Autoencoder:
    """784-256-32-256-784."""
    random = torch.Generator().manual_seed(seed)
    return Autoencoder(
        Sequential(
            Linear(784, HIDDEN, generator=random), ReLU(), Linear(HIDDEN, CODE, generator=random)
        ),
        Sequential(
            Linear(CODE, HIDDEN, generator=random),
            ReLU(),
            Linear(HIDDEN, 784, generator=random),
            Tanh(),
        ),
        input_shape=(784,),
    )


def train(model: Autoencoder | str, data: Dataset, epochs: int, **settings) -> Autoencoder:
    """Return the trained model."""
    training = {"epochs": epochs, "weight_decay": 0.0, "device": "cpu", "progress": False}
    return fit(model, data, **training, **settings).model


def best(candidates: dict[int, Denoiser], data: Dataset, sigma: float) -> tuple[int, Denoiser]:
    """Return the candidate that is best on validation digits, with its number."""
    assert data.validation is not None
    noisy = noisy_pixels(data.validation, sigma, NOISE_SEED + 1)
    scores = {key: decibels(run(noisy), data.validation) for key, run in candidates.items()}
    chosen = max(scores, key=scores.__getitem__)
    return chosen, candidates[chosen]


def measure_denoising(data: Dataset, epochs: int = EPOCHS["conv"]) -> tuple[list[dict], Figure]:
    """Return a row for each strength of noise, and a picture of the strength 0.3."""
    assert data.test is not None
    pca = PCA(clean_pixels(data.train))
    medians = {w: (lambda x, w=w: median_filter(x, w)) for w in WINDOWS}
    projections = {k: (lambda x, k=k: pca(x, k)) for k in COMPONENTS}
    rows = []
    for sigma in SIGMAS:
        noisy = noisy_pixels(data.test, sigma)
        window, median = best(medians, data, sigma)
        k, projection = best(projections, data, sigma)
        models, seconds = [], []
        for seed in SEEDS[sigma]:
            start = time.perf_counter()
            models.append(train("conv", data, epochs, seed=seed, corrupt=f"noise={sigma}"))
            seconds.append(time.perf_counter() - start)
        outputs = {
            "noisy": noisy,
            f"median {window} x {window}": median(noisy),
            f"PCA, k = {k}": projection(noisy),
            "conv": denoiser(models[0])(noisy),
        }
        rows.append(
            {
                "sigma": sigma,
                "formula": -20 * math.log10(sigma),
                "identity": psnr(noisy, clean_pixels(data.test), peak=1),
                "clipped": decibels(noisy, data.test),
                "median": decibels(median(noisy), data.test),
                "window": window,
                "pca": decibels(projection(noisy), data.test),
                "k": k,
                "conv": [decibels(denoiser(model)(noisy), data.test) for model in models],
                "seconds": seconds,
            }
        )
        if sigma == 0.3:
            figure = picture(outputs, data.test)
    return rows, figure


def measure_bottleneck(data: Dataset, sigma: float = 0.1) -> dict:
    """Return the PSNR of a plain and of a denoising small autoencoder on digits with mild noise."""
    assert data.test is not None
    noisy, clean = noisy_pixels(data.test, sigma), clean_pixels(data.test)
    epochs = EPOCHS["small"]
    plain = denoiser(train(small_autoencoder(0), data, epochs, seed=0))
    trained = train(small_autoencoder(0), data, epochs, seed=0, corrupt=f"noise={sigma}")
    return {
        "sigma": sigma,
        "code": CODE,
        "noisy": psnr(noisy, clean, peak=1),
        "clipped": decibels(noisy, data.test),
        "plain, clean input": decibels(plain(clean), data.test),
        "plain": decibels(plain(noisy), data.test),
        "denoising": decibels(denoiser(trained)(noisy), data.test),
    }


def moved(images: Images, pixels: int = 2, seed: int = NOISE_SEED) -> Images:
    """Return the images, each moved by this many whole pixels in x and in y, in random directions.

    What leaves the image is lost, and background comes in.
    """
    space = torch.nn.functional.pad(images.pixels, (pixels,) * 4)
    signs = uniform(noise_keys(seed, 1, len(images)), (2,)) < 0.5
    result = torch.zeros_like(images.pixels)
    for right in (False, True):
        for down in (False, True):
            chosen = (signs == torch.tensor([right, down])).all(dim=1)
            top, left = (0 if forward else 2 * pixels for forward in (down, right))
            result[chosen] = space[chosen, top : top + 28, left : left + 28]
    return Images(result, images.labels)


def measure_augmentation(data: Dataset) -> dict:
    """Return the PSNR on untouched and on moved digits, of small autoencoders trained without and with shifts."""
    assert data.test is not None
    groups = {"untouched": data.test, "moved": moved(data.test)}
    result: dict = {"augment": AUGMENT, "epochs": EPOCHS["augmentation"]}
    for name, augment in (("without", None), ("with", AUGMENT)):
        model = train(small_autoencoder(0), data, EPOCHS["augmentation"], seed=0, augment=augment)
        run = denoiser(model)
        result[name] = {
            group: decibels(run(clean_pixels(images)), images) for group, images in groups.items()
        }
    return result


def picture(outputs: dict[str, Tensor], images: Images) -> Figure:
    """Draw one digit of each class: noisy, what each method makes of it, and the original."""
    assert images.labels is not None
    index = torch.stack([(images.labels == digit).nonzero()[0, 0] for digit in range(10)])
    rows = {name: output[index].clamp(0, 1) for name, output in outputs.items()}
    rows["original"] = clean_pixels(images)[index]
    figure = Figure((8.5, 0.75 * len(rows)), layout="constrained")
    for ax, (name, pixels) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        ax.imshow(pixels.permute(1, 0, 2).reshape(28, 280).numpy(), cmap="gray", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def markdown(results: dict) -> str:
    """Return the page with the three tables."""
    rows, small, augmentation = (
        results[name] for name in ("denoising", "bottleneck", "augmentation")
    )
    machine, data = results["about"], results["data"]
    lines = [
        "# Denoising and augmentation",
        "",
        f"Digits of the bundled sample: {data['train']:,} for training, {data['validation']:,} for choices, "
        f"{data['test']:,} for the numbers below. PSNR in dB, of all pixels together; more is better. "
        "Noise is Gaussian, with the standard deviation σ for pixels in [0, 1].",
        "",
        "## Denoising",
        "",
        "| σ | noisy | −20 log₁₀ σ | clipped | median | PCA | `conv` | above the best other |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        conv = sum(row["conv"]) / len(row["conv"])
        spread = (
            f" ({min(row['conv']):.2f} to {max(row['conv']):.2f})" if len(row["conv"]) > 1 else ""
        )
        lines.append(
            f"| {row['sigma']} | {row['identity']:.2f} | {row['formula']:.2f} | {row['clipped']:.2f} "
            f"| {row['median']:.2f} ({row['window']} x {row['window']}) "
            f"| {row['pca']:.2f} (k = {row['k']}) | {conv:.2f}{spread} | {conv - rival(row):+.2f} |"
        )
    seconds = [s for row in rows for s in row["seconds"]]
    lines += [
        "",
        f"`conv` was trained for {EPOCHS['conv']} epochs with noise of the same σ, in "
        f"{sum(seconds) / len(seconds):.0f} s each; for σ = 0.3 with {len(SEEDS[0.3])} seeds. The window of the "
        "median filter and the number k of principal components are the best ones on validation digits. "
        "All outputs are clipped to [0, 1], except for the noisy images in the second column.",
        "",
        "![Digits with σ = 0.3: noisy, and what each method makes of them](denoising.png)",
        "",
        "## A bottleneck against mild noise",
        "",
        f"A small autoencoder (784-{HIDDEN}-{CODE}-{HIDDEN}-784, {EPOCHS['small']} epochs), "
        f"on digits with σ = {small['sigma']}:",
        "",
        "| | PSNR |",
        "|---|---:|",
        f"| the noisy digits | {small['noisy']:.2f} |",
        f"| the noisy digits, clipped | {small['clipped']:.2f} |",
        f"| trained without noise, output for noisy digits | {small['plain']:.2f} |",
        f"| trained without noise, output for clean digits | {small['plain, clean input']:.2f} |",
        f"| trained with noise, output for noisy digits | {small['denoising']:.2f} |",
        "",
        "The autoencoder makes the noisy digits worse. It does remove noise, but what a code of "
        f"{CODE} numbers cannot say is a larger error than this noise.",
        "",
        "## Augmentation",
        "",
        f"The same small autoencoder after {augmentation['epochs']} epochs. Moved digits are moved by 2 whole "
        "pixels in x and in y.",
        "",
        "| trained | untouched digits | moved digits |",
        "|---|---:|---:|",
    ]
    for name, how in (("without", "without augmentation"), ("with", f"with `{AUGMENT}`")):
        row = augmentation[name]
        lines.append(f"| {how} | {row['untouched']:.2f} | {row['moved']:.2f} |")
    lines += [
        "",
        f"`python -m reference.denoising`, {machine['date']}, {machine['device']}, threads: 1, torch "
        f"{machine['torch']}, {results['seconds']:.0f} s.",
    ]
    return "\n".join(lines) + "\n"


def rival(row: dict) -> float:
    """Return the PSNR of the best method that is not a network."""
    return max(row[name] for name in ("identity", "clipped", "median", "pca"))


def main() -> None:
    torch.set_num_threads(1)
    start = time.perf_counter()
    data = load("sample", validation=0.1)
    assert data.validation is not None and data.test is not None
    sizes = {name: len(getattr(data, name)) for name in ("train", "validation", "test")}
    rows, figure = measure_denoising(data)
    results = {
        "about": about(torch.device("cpu")),
        "data": sizes,
        "denoising": rows,
        "bottleneck": measure_bottleneck(data),
        "augmentation": measure_augmentation(data),
    }
    results["seconds"] = time.perf_counter() - start
    write_text(RESULTS / "denoising.json", json.dumps(results, indent=1) + "\n")
    write_text(RESULTS / "denoising.md", markdown(results))
    plots.save(figure, RESULTS / "denoising.png")
    print(markdown(results))


if __name__ == "__main__":
    main()
