"""Predict the speed of up to 1,024 workers: measured step times and a model of communication.

    python -m reference.scaling

A step of p workers takes the time of one worker's step on its part of the batch, measured here with
one thread, plus the time of an all-reduce of n bytes. That is the smaller of (Thakur, Rabenseifner
and Gropp 2005; Sanders et al. 2009)

    ring   2 (p − 1) α + 2 (p − 1) / p · n / β        each worker sends to its neighbour
    tree   2 ⌈log₂ p⌉ α + 2 n / β                     two trees, pipelined

α is the latency of a message, and β the bandwidth of a worker's link. A BatchNorm whose statistics
are joined adds an all-gather of 3 C numbers in the forward pass, (p − 1) α + (p − 1) n / β in a ring
or ⌈log₂ p⌉ α + (p − 1) n / β by doubling, and an all-reduce of 3 C numbers in the backward pass.
Communication does not overlap with computation.

The model omits: waiting for the slowest worker, shared switches, workers that share the memory of
a machine (the check with two processes measures this separately), and reading the data. It says how
fast a large batch is processed, not how well a model learns from it.

Writes reference/results/scaling-<device>.json and .png.
"""

from __future__ import annotations

import json
import math
import statistics
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from reference.benchmark.machine import about
from reference.benchmark.results import RESULTS
from reference.scaling_measure import step_seconds, two_processes
from reference.scaling_picture import scaling_picture
from scratchae.files import write_text
from scratchae.layers.batchnorm import BatchNorm
from scratchae.models import build
from scratchae.plots.style import save
from scratchae.training.floating_point import flushing_denormals
from scratchae.training.preparation import choose_device

NETWORKS = {  # latency of a message in seconds, bandwidth of a link in bytes per second
    "10 Gb Ethernet": (30e-6, 1.1e9),  # TCP through the kernel
    "100 Gb InfiniBand": (2e-6, 12e9),  # RDMA
    "NVLink": (1e-6, 400e9),  # within a machine of 8 GPUs; hypothetical beyond
}
WORKERS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
WEAK, STRONG = 64, 1024  # images per worker; images of all workers together


def all_reduce(p: int, size: float, alpha: float, beta: float) -> float:
    """Return the seconds that p workers need to sum `size` bytes.

    >>> all_reduce(1, 1e6, 1e-6, 1e9), all_reduce(2, 1e6, 0.0, 1e9)
    (0.0, 0.001)
    """
    if p == 1:
        return 0.0
    ring = 2 * (p - 1) * alpha + 2 * (p - 1) / p * size / beta
    return min(ring, 2 * math.ceil(math.log2(p)) * alpha + 2 * size / beta)


def all_gather(p: int, size: float, alpha: float, beta: float) -> float:
    """Return the seconds until all p workers have the `size` bytes of each worker.

    >>> all_gather(1, 8, 1.0, 1.0), all_gather(4, 8, 1.0, 8.0)
    (0.0, 5.0)
    """
    return math.ceil(math.log2(p)) * alpha + (p - 1) * size / beta


def sending(name: str, p: int, alpha: float, beta: float) -> float:
    """Return the seconds of communication in a step of p workers, with float32 numbers."""
    model = build(name)
    parameters = sum(tensor.numel() for tensor in model.parameters())
    total = all_reduce(p, 4 * (parameters + 2), alpha, beta)
    for _, layer in model.leaves():
        if isinstance(layer, BatchNorm):
            channels = layer.num_features
            total += all_gather(p, 4 * 3 * channels, alpha, beta)
            total += all_reduce(p, 4 * 3 * channels, alpha, beta)
    return total


def predict(name: str, steps: dict[int, float], network: tuple[float, float]) -> list[dict]:
    """Return for every number of workers the images per second, the efficiency and the speedup."""
    rows = []
    for p in WORKERS:
        talk = sending(name, p, *network)
        weak, strong = steps[WEAK] + talk, steps[STRONG // p] + talk
        rows.append(
            {
                "workers": p,
                "sending_ms": 1e3 * talk,
                "weak_images_per_second": p * WEAK / weak,
                "weak_efficiency": steps[WEAK] / weak,
                "strong_images_per_second": STRONG / strong,
                "strong_speedup": steps[STRONG] / strong,
            }
        )
    return rows


def fitted(measured: dict[int, float]) -> tuple[float, float]:
    """Fit t = 2 α + n / β: α is a median over short messages, β a median over long ones.

    >>> alpha, beta = fitted({n: 2e-5 + n / 1e9 for n in (0, 1, 2, 10**6, 2 * 10**6)})
    >>> round(alpha * 1e6, 2), round(beta / 1e9, 3)
    (10.0, 1.0)
    """
    alpha = statistics.median(t for n, t in measured.items() if n <= 2**14) / 2
    long = {n: max(t - 2 * alpha, 1e-9) for n, t in measured.items() if n >= 2**18}
    return alpha, statistics.median(n / t for n, t in long.items())


def check(steps: dict[str, dict[int, float]], seconds: float) -> dict:
    """Compare the model with two processes on this machine."""
    measured = two_processes(list(steps), WEAK, seconds)
    alpha, beta = fitted(measured["all_reduce"])
    rows = [
        {"bytes": n, "measured_us": 1e6 * t, "model_us": 1e6 * all_reduce(2, n, alpha, beta)}
        for n, t in measured["all_reduce"].items()
    ]
    models = {
        name: {
            "alone_ms": 1e3 * own[WEAK],
            "beside_ms": 1e3 * measured["beside"][name],
            "two_ms": 1e3 * measured["step"][name],
            "model_ms": 1e3 * (measured["beside"][name] + sending(name, 2, alpha, beta)),
        }
        for name, own in steps.items()
    }
    return {
        "alpha_us": 1e6 * alpha,
        "beta_gb_per_s": beta / 1e9,
        "all_reduce": rows,
        "step": models,
    }


def main(
    device: str = "auto",
    seconds: Annotated[float, typer.Option(help="Seconds for each measurement.")] = 1.0,
    write: Annotated[bool, typer.Option(help="Write the JSON and the picture.")] = True,
) -> None:
    """Measure steps, check the model with two processes, predict, print and write the results."""
    place = choose_device(device)
    torch.set_num_threads(1)
    with flushing_denormals():
        steps = {
            name: {batch: step_seconds(name, batch, place, seconds) for batch in BATCHES}
            for name in ("fc", "conv")
        }
    results = {
        "about": {**about(place), "threads": 1},
        "networks": {
            name: {"latency_us": 1e6 * alpha, "bandwidth_gb_per_s": beta / 1e9}
            for name, (alpha, beta) in NETWORKS.items()
        },
        "weak_batch_of_a_worker": WEAK,
        "strong_batch_of_all": STRONG,
        "step_ms": {name: {b: 1e3 * t for b, t in own.items()} for name, own in steps.items()},
        "check": check(steps, seconds) if place.type == "cpu" else None,
        "predicted": {
            name: {network: predict(name, own, values) for network, values in NETWORKS.items()}
            for name, own in steps.items()
        },
    }
    if write:
        path = RESULTS / f"scaling-{place.type}"
        write_text(path.with_suffix(".json"), json.dumps(results, indent=1) + "\n")
        save(scaling_picture(results), path.with_suffix(".png"))
    console = Console(width=110)
    if results["check"]:
        for table in check_tables(results["check"]):
            console.print(table)
    console.print(predictions(results))


def check_tables(found: dict) -> list[Table]:
    """Return tables of the all-reduce and the steps of two processes, measured and predicted."""
    reduce = Table("bytes", "measured µs", "model µs", title="all-reduce of two processes (gloo)")
    reduce.caption = f"α = {found['alpha_us']:.0f} µs, β = {found['beta_gb_per_s']:.2f} GB/s"
    for row in found["all_reduce"]:
        reduce.add_row(f"{row['bytes']:,}", f"{row['measured_us']:.0f}", f"{row['model_us']:.0f}")
    step = Table("model", "alone ms", "two without messages", "two: measured", "two: model")
    step.title = f"a step, {WEAK} images per worker"
    for name, row in found["step"].items():
        step.add_row(
            name, *(f"{row[key]:.2f}" for key in ("alone_ms", "beside_ms", "two_ms", "model_ms"))
        )
    return [reduce, step]


def predictions(results: dict) -> Table:
    """Return a table of the efficiency and speedup of 8 and more workers."""
    view = Table("model", "network", "workers", "sending ms", "weak efficiency", "strong speedup")
    for name, networks in results["predicted"].items():
        for network, rows in networks.items():
            for row in rows:
                if row["workers"] in (8, 64, 512, 1024):
                    view.add_row(
                        name,
                        network,
                        f"{row['workers']:,}",
                        f"{row['sending_ms']:.3f}",
                        f"{row['weak_efficiency']:.2f}",
                        f"{row['strong_speedup']:.1f}",
                    )
    return view


if __name__ == "__main__":
    typer.run(main)
