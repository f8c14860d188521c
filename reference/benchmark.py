"""How long a training step takes, hand-written beside torch.nn, alternating in one run.

    python -m reference.benchmark

Both sides start from the same weights, see the same batches (bundled digits, float32) and do the
whole step: zero_grad, forward, loss, backward, Adam. They take turns in short bursts, so that
whatever else the machine does strikes both alike; the medians of the bursts are compared. The
losses of both are compared too, so that nobody is fast and wrong. Denormals are flushed on both
sides (scratchae's training does so by itself). Writes reference/results/benchmark-<device>.json.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from reference.twins import twin
from scratchae.data import load
from scratchae.files import write_text
from scratchae.models import Autoencoder, build
from scratchae.optim import Adam
from scratchae.step import train_step
from scratchae.training.loop import choose_device, pixels_for
from scratchae.training.step import flushing_denormals

RESULTS = Path(__file__).parent / "results"
ROUNDS, STEPS, WARM_UP = 15, 20, 20
Step = Callable[[Tensor], Tensor]


def eager_step(model: Autoencoder) -> Step:
    """The library's own training step."""
    optimizer = Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)

    @torch.inference_mode()
    def step(x: Tensor) -> Tensor:
        return train_step(model, optimizer, x)

    return step


def torch_step(model: torch.nn.Module) -> Step:
    """torch.nn, autograd and torch.optim.Adam with its defaults."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)
    loss_of = torch.nn.MSELoss()

    def step(x: Tensor) -> Tensor:
        loss = loss_of(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def compare(name: str, batch_size: int, device: torch.device) -> dict:
    """Milliseconds a step of both sides, and how far their losses part over the first steps."""
    model = build(name).to(device)
    steps = {"torch.nn": torch_step(twin(model).train()), "scratchae": eager_step(model)}
    batches = pixels_for(model, load().train, device)[: batch_size * 10].split(batch_size)
    losses = {
        who: [step(batches[i % 10]).item() for i in range(WARM_UP)] for who, step in steps.items()
    }
    pairs = zip(losses["scratchae"], losses["torch.nn"], strict=True)
    times: dict[str, list[float]] = {who: [] for who in steps}
    for _ in range(ROUNDS):
        for who, step in steps.items():
            synchronise(device)
            began = time.perf_counter()
            for i in range(STEPS):
                step(batches[i % 10])
            synchronise(device)
            times[who].append((time.perf_counter() - began) / STEPS * 1e3)
    medians = {who: statistics.median(values) for who, values in times.items()}
    return {
        "model": name,
        "batch_size": batch_size,
        "threads": torch.get_num_threads(),
        "ms": medians,
        "ms_quartiles": {who: statistics.quantiles(values, n=4) for who, values in times.items()},
        "ratio": medians["torch.nn"] / medians["scratchae"],
        "largest_loss_difference": max(abs(a - b) / b for a, b in pairs),
    }


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main(
    device: str = "auto",
    batch_sizes: Annotated[list[int] | None, typer.Option("--batch-size")] = None,
    write: bool = True,
) -> None:
    """Measure, print the table, write the JSON."""
    place = choose_device(device)
    threads = [1, 2] if place.type == "cpu" else [torch.get_num_threads()]
    results = []
    with flushing_denormals():
        for name in ("fc", "conv"):
            for batch_size in batch_sizes or [64, 512]:
                for count in threads:
                    torch.set_num_threads(count)
                    results.append(compare(name, batch_size, place))
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": device_name(place),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if write:
        path = RESULTS / f"benchmark-{place.type}.json"
        write_text(path, json.dumps({**about, "steps": results}, indent=1) + "\n")
    Console(width=100).print(table(results, f"{about['device']}, torch {about['torch']}"))


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's as Linux tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((x.split(": ")[1] for x in lines if x.startswith("model name")), platform.machine())


def table(results: list[dict], title: str) -> Table:
    """One row a measurement; a ratio above 1 means that scratchae is faster."""
    view = Table(
        "model", "batch", "threads", "torch.nn ms", "scratchae ms", "ratio", "losses", title=title
    )
    for row in results:
        view.add_row(
            row["model"],
            str(row["batch_size"]),
            str(row["threads"]),
            f"{row['ms']['torch.nn']:.2f}",
            f"{row['ms']['scratchae']:.2f}",
            f"{row['ratio']:.2f}",
            f"within {row['largest_loss_difference']:.0e}",
        )
    return view


if __name__ == "__main__":
    typer.run(main)
