"""Race the deep autoencoder with skips, `residual`, against the same one without, `plain-deep`.

    python -m reference.depth

Both have the same parameters, the same first weights for each seed, the same steps and the same code. So only
the skips differ. They are trained with five seeds for each of three sizes of the code, on the bundled sample.
Two rows put the losses into proportion: the error of the mean training image, which needs no model, and
`fc`, which is a third as deep, with the same size of the code.

Writes reference/results/depth.json, depth.md and depth.png. It takes about 15 minutes on one thread.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import torch
from matplotlib.figure import Figure

from reference.benchmark.machine import about
from scratchae import plots
from scratchae.data import Dataset, load
from scratchae.files import write_text
from scratchae.layers import Layer, Linear, observed
from scratchae.models import build
from scratchae.step import add_gradients
from scratchae.training import fit

RESULTS = Path(__file__).parent / "results"
LATENTS, SEEDS, EPOCHS = (3, 16, 32), (0, 1, 2, 3, 4), 3
RACERS = ("residual", "plain-deep", "fc")
COLOURS = {"residual": "#332288", "plain-deep": "#cc6677", "fc": "#117733"}


def race(data: Dataset, latents: tuple[int, ...] = LATENTS, epochs: int = EPOCHS) -> list[dict]:
    """Return a row for each racer and size of the code: the test losses of each seed, (seeds, epochs)."""
    rows = []
    for latent in latents:
        for name in RACERS:
            histories, model = [], f"{name},latent={latent}"
            for seed in SEEDS:
                run = fit(model, data, epochs=epochs, seed=seed, device="cpu", progress=False)
                histories.append([round(loss, 6) for loss in run.history["test_loss"]])
            parameters = sum(p.numel() for p in run.model.parameters())
            rows.append(
                {"model": name, "latent": latent, "parameters": parameters, "losses": histories}
            )
            print(name, latent, [losses[-1] for losses in histories], flush=True)
    return rows


def last(row: dict) -> list[float]:
    """Return the test loss of each seed after the last epoch."""
    return [losses[-1] for losses in row["losses"]]


def mean_image_error(data: Dataset) -> float:
    """Return the mean squared error of the mean training image as the output for every test digit."""
    assert data.test is not None
    mean = data.train.normalised().mean(dim=0)
    return (data.test.normalised() - mean).square().mean().item()


def first_step(name: str, data: Dataset, seed: int = 0) -> dict[str, list[float]]:
    """Return, for each Linear layer in order, sizes at the first step of a model.

    spread: the standard deviation of the layer's output over the images, averaged over its units.
    gradient: the norm of the gradient of its weight.
    """
    model = build(name, seed)
    x = data.train.normalised()[:500].reshape(500, -1)
    linear = [(path, layer) for path, layer in model.modules() if isinstance(layer, Linear)]
    spread: dict[str, float] = {}

    def look(path: str, which: str, call, *arguments):
        result = call(*arguments)
        if which == "forward":
            spread[path] = result.std(dim=0).mean().item()
        return result

    with observed(linear, look):
        add_gradients(model, x)
    gradients = [norm(layer) for _, layer in linear]
    return {"spread": list(spread.values()), "gradient": gradients}


def norm(layer: Layer) -> float:
    """Return the norm of the gradient of a layer's weight."""
    return layer.weight.grad.norm().item()  # type: ignore[attr-defined]


def picture(rows: list[dict], mean_error: float, steps: dict[str, dict]) -> Figure:
    """Draw the losses by epoch, one line for each seed, and the gradients of the first step."""
    latents = sorted({row["latent"] for row in rows})
    figure = Figure((3.2 * (len(latents) + 1), 3.4), layout="constrained")
    axes = figure.subplots(1, len(latents) + 1)
    for ax, latent in zip(axes, latents, strict=False):
        for row in (row for row in rows if row["latent"] == latent):
            colour = COLOURS[row["model"]]
            for losses in row["losses"]:
                ax.plot(range(1, len(losses) + 1), losses, color=colour, alpha=0.7)
            ax.plot([], [], color=colour, label=row["model"])
        ax.axhline(mean_error, color="black", linestyle=":", linewidth=1, label="the mean image")
        ax.set(title=f"code of {latent} numbers", xlabel="epoch", ylim=(0, None))
        ax.set_xticks(range(1, len(row["losses"][0]) + 1))
    axes[0].set_ylabel("mean squared error on test digits")
    axes[0].legend(loc="lower left", fontsize=8, frameon=False)
    for name, found in steps.items():
        sizes = found["gradient"]
        axes[-1].semilogy(range(1, len(sizes) + 1), sizes, color=COLOURS[name], label=name)
    axes[-1].set(title="norm of dW in the first step", xlabel="Linear layer, from the input")
    axes[-1].legend(fontsize=8, frameon=False)
    return figure


def markdown(results: dict) -> str:
    """Return the results as a page."""
    machine = results["about"]
    lines = [
        "# Deep autoencoders with and without skips",
        "",
        f"Mean squared error on {results['test_images']:,} test digits of the bundled sample, pixels in "
        f"[-1, 1], after {results['epochs']} epochs with the settings of `scratchae train`. Medians over "
        f"{len(SEEDS)} seeds, and in brackets the lowest and the highest. The mean image has the error "
        f"{results['mean_image']:.4f}. `residual` and `plain-deep` differ only in the skips.",
        "",
        "| code | `residual` | `plain-deep` | `fc` | parameters (the first two; `fc`) |",
        "|---:|---:|---:|---:|---:|",
    ]
    for latent in sorted({row["latent"] for row in results["rows"]}):
        own = {row["model"]: row for row in results["rows"] if row["latent"] == latent}
        cells = []
        for name in RACERS:
            losses = sorted(last(own[name]))
            median = losses[len(losses) // 2]
            cells.append(f"{median:.4f} ({losses[0]:.4f} to {losses[-1]:.4f})")
        sizes = f"{own['residual']['parameters']:,}; {own['fc']['parameters']:,}"
        lines.append(f"| {latent} | {' | '.join(cells)} | {sizes} |")
    first, deep = (results["first_step"][name]["gradient"] for name in ("residual", "plain-deep"))
    lines += [
        "",
        f"In the first step, the gradient of the first layer's weight has the norm {first[0]:.1e} with "
        f"skips and {deep[0]:.1e} without.",
        "",
        "![The losses by epoch, and the gradients of the first step](depth.png)",
        "",
        f"`python -m reference.depth`, {machine['date']}, {machine['device']}, threads: 1, torch "
        f"{machine['torch']}, {results['seconds']:.0f} s.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the race and write the results."""
    torch.set_num_threads(1)
    started, data = time.perf_counter(), load()
    assert data.test is not None
    rows = race(data)
    names = [f"{name},latent={LATENTS[1]}" for name in RACERS[:2]]
    steps = {name.partition(",")[0]: first_step(name, data) for name in names}
    assert all(math.isfinite(size) for found in steps.values() for size in found["gradient"])
    results = {
        "about": about(torch.device("cpu")),
        "rows": rows,
        "epochs": EPOCHS,
        "test_images": len(data.test),
        "mean_image": mean_image_error(data),
        "first_step": steps,
        "seconds": time.perf_counter() - started,
    }
    plots.save(picture(rows, results["mean_image"], steps), RESULTS / "depth.png")
    write_text(RESULTS / "depth.json", json.dumps(results, indent=1) + "\n")
    write_text(RESULTS / "depth.md", markdown(results))


if __name__ == "__main__":
    main()
