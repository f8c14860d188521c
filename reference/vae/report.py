"""The page of results, reference/results/vae.md."""

from __future__ import annotations

from statistics import mean

from reference.benchmark.tables import markdown
from reference.vae.store import PATH, read
from reference.vae.studies import BETAS
from scratchae.files import write_text


def write() -> None:
    """Write the page from the stored runs. Studies without a stored run are omitted."""
    runs = read()
    parts = [part(runs) for part in (grey, conv, beta, binarised, collapse)]
    text = "\n\n".join(["# Variational autoencoders", INTRODUCTION, *filter(None, parts)])
    write_text(PATH.with_suffix(".md"), text + "\n\n" + machine(runs) + "\n")


INTRODUCTION = (
    "All numbers are nats per image. Training uses Adam with the learning rate 1e-3, no weight decay and "
    "batches of 128. −ELBO is computed from one code for each test image, with the exact KL. How many epochs "
    "a model was trained stands beside every figure, because longer training lowers it."
)


def of_study(runs: dict[str, dict], name: str) -> dict[str, dict]:
    """Return {run: entry} of one study."""
    return {key.partition("/")[2]: run for key, run in runs.items() if key.startswith(f"{name}/")}


def grey(runs: dict[str, dict]) -> str | None:
    """Return the section about grey pixels and torch.nn; None without a run."""
    own = of_study(runs, "grey")
    if not own:
        return None
    rows = [
        [
            name,
            *(
                f"{run[side]['test_loss']:.2f} = {run[side]['test_loss'] - run[side]['test_penalty']:.2f} + "
                f"{run[side]['test_penalty']:.2f}"
                for side in ("ours", "torch")
            ),
            f"{run['ours']['test_loss'] - run['torch']['test_loss']:+.3f}",
        ]
        for name, run in own.items()
    ]
    losses = [run["ours"]["test_loss"] for run in own.values()]
    return "\n\n".join(
        [
            "## Grey pixels: `vae`, 20 codes, 60,000 images of MNIST, 10 epochs",
            "Grey pixels are BCE targets here, so these numbers are not likelihoods. They must not be compared "
            "with those of binary images. Found elsewhere for the same protocol: 105.56 and 105.59 "
            "(pytorch/examples, two logs). Goal: 105 to 107, and within 0.3 of torch.nn with autograd, from the "
            "same initial weights, batches and noise.",
            markdown(
                ["", "test −ELBO = reconstruction + KL", "torch.nn", "difference"],
                rows,
            ),
            f"Reached: {sum(105 <= loss <= 107 for loss in losses)} of {len(losses)} seeds are from 105 to "
            f"107, and the largest difference to torch.nn is "
            f"{max(abs(r['ours']['test_loss'] - r['torch']['test_loss']) for r in own.values()):.3f}.",
        ]
    )


def conv(runs: dict[str, dict]) -> str | None:
    """Return the section about `conv-vae`; None without a run."""
    own = of_study(runs, "conv")
    if not own:
        return None
    rows = [
        [
            name,
            f"{run['parameters']:,}",
            f"{run['test_loss']:.2f} = {run['test_loss'] - run['test_penalty']:.2f} + "
            f"{run['test_penalty']:.2f}",
        ]
        for name, run in own.items()
    ]
    best = min(run["test_loss"] for run in own.values())
    return "\n\n".join(
        [
            "## Grey pixels: `conv-vae`, 2 codes, 60,000 images of MNIST, 10 epochs",
            "Found elsewhere for a convolutional VAE of 315,365 parameters: 147.87 = 141.48 + 6.39. Goal: at "
            f"most 149. {'Reached' if best <= 149 else 'Not reached'}.",
            markdown(["", "parameters", "test −ELBO = reconstruction + KL"], rows),
        ]
    )


def beta(runs: dict[str, dict]) -> str | None:
    """Return the section about rate and distortion; None without a run."""
    own = of_study(runs, "beta")
    if not own:
        return None
    rows = []
    for value in BETAS:
        group = [run for name, run in own.items() if name.startswith(f"{value:g},")]
        kls = [run["test_penalty"] / value for run in group]
        fits = [run["test_loss"] - run["test_penalty"] for run in group]
        sums = [fit + kl for fit, kl in zip(fits, kls, strict=True)]
        rows.append([f"{value:g}", *(spread(numbers) for numbers in (kls, fits, sums))])
    return "\n\n".join(
        [
            "## Rate and distortion: `vae`, 20 codes, the bundled sample (10,000 images), grey, 10 epochs",
            "Mean (lowest to highest) over three seeds. The KL is the rate, the reconstruction the "
            "distortion. The KL falls and the distortion rises with β, by more than seeds differ. Only β = 1 "
            "trains the ELBO; the last column is −ELBO, whatever β was.",
            markdown(["β", "KL", "reconstruction", "reconstruction + KL"], rows),
        ]
    )


def spread(numbers: list[float]) -> str:
    """Return the mean, and the lowest and highest number."""
    return f"{mean(numbers):.2f} ({min(numbers):.2f} to {max(numbers):.2f})"


def binarised(runs: dict[str, dict]) -> str | None:
    """Return the section about binary pixels; None without a run."""
    own = of_study(runs, "binarised")
    if not own:
        return None
    rows = []
    for name, run in own.items():
        some, whole = run["some"], run["all"]
        rows.append(
            [
                name,
                str(run["epoch"]),
                plus_minus(whole["elbo"], -1),
                plus_minus(some["elbo"], -1),
                *(plus_minus(some["bounds"][k], -1) for k in ("10", "100", "1000", "5000")),
                f"{some['gap']:.2f}",
                f"{whole['active']} of 20",
            ]
        )
    first = next(iter(own.values()))
    return "\n\n".join(
        [
            "## Binary pixels: `vae`, 20 codes, 60,000 images of MNIST",
            "Here BCE is a likelihood. dynamic: the training images are drawn anew in each epoch; static: they "
            f"are drawn once. The binary test images are the same in both (checksum {first['checksum']}), and "
            f"−log p_K is that of the first {first['some']['images']:,} of them, ± the standard error over "
            "images. Found elsewhere: 86.76 for dynamic (Burda et al. 2016: 50 codes, thousands of epochs) and "
            "89.9 for static (pythae's scripts of reproduction). These models were trained longer, so the "
            "figures are no goals here.",
            markdown(
                [
                    "",
                    "epochs",
                    "−ELBO, 10,000 images",
                    f"−ELBO, {first['some']['images']:,} images",
                    *(f"−log p, K = {k}" for k in ("10", "100", "1,000", "5,000")),
                    "gap",
                    "active",
                ],
                rows,
            ),
        ]
    )


def plus_minus(estimate: list[float], sign: int = 1) -> str:
    """Return a mean and its standard error."""
    return f"{sign * estimate[0]:.2f} ± {estimate[1]:.2f}"


def collapse(runs: dict[str, dict]) -> str | None:
    """Return the section about predicted collapse; None without a run."""
    own = of_study(runs, "collapse")
    if not own:
        return None
    rows, dimensions = [], []
    for name, run in own.items():
        exact, reached = run["log_likelihood"]
        rows.append(
            [
                name,
                f"{exact:.2f}",
                f"{reached:.2f}",
                plus_minus(run["bound"]),
                "{} / {}".format(*run["active"]),
                "{:.4f} / {:.4f}".format(*run["variance"]),
            ]
        )
        predicted, found = ([f"{kl:.2f}" for kl in part] for part in run["kl"])
        dimensions.append(f"- {name}: {', '.join(predicted)}; found {', '.join(found)}.")
    images, steps = (next(iter(own.values()))[key] for key in ("images", "steps"))
    return "\n\n".join(
        [
            f"## Collapse, predicted: `linear-vae` on {images:,} digits of the bundled sample, {steps:,} steps",
            "Probabilistic PCA gives the exact optimum before training. The log-likelihood is a density of "
            "pixels in [-1, 1]; higher is better.",
            markdown(
                [
                    "",
                    "log p, exact optimum",
                    "log p of the trained decoder",
                    "log p_K, K = 100",
                    "active: predicted / found",
                    "σ²: predicted / found",
                ],
                rows,
            ),
            "KL of each dimension, predicted from the eigenvalues and found after training:",
            "\n".join(dimensions),
        ]
    )


def machine(runs: dict[str, dict]) -> str:
    """Return the line about the machine, and how to repeat the runs."""
    facts = {(run["run"]["device"], run["run"]["torch"]) for run in runs.values()}
    where = "; ".join(f"{device}, torch {version}" for device, version in sorted(facts))
    seconds = sum(run["run"]["seconds"] for run in runs.values())
    return (
        f"`python -m reference.vae`, {where}, one thread, {seconds / 60:.0f} minutes in all, while other "
        "programs ran."
    )
