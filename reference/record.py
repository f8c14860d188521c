"""The runs of record: both models on the 42,000-row CSV, hand-written beside torch.nn, same seeds.

    python -m reference.record train.csv --test-data MNIST_FOLDER

Both sides start from the same weights and see the same batches; they part only by rounding, which
thousands of steps blow up. So the two runs of a seed are to differ by less than the torch.nn runs
of different seeds do. Writes reference/results/record-<device>.json and prints a table.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import torch
import typer
from rich.console import Console
from rich.table import Table

from reference.benchmark import RESULTS, device_name
from reference.twins import twin
from scratchae.data import Batches, Dataset, load
from scratchae.files import write_text
from scratchae.models import build
from scratchae.training import fit
from scratchae.training.floating_point import flushing_denormals
from scratchae.training.preparation import choose_device, pixels_for

RECORD = {  # epochs, published mean train loss of the last epoch, seeds
    "fc": (20, 0.1431, 11),
    "conv": (10, 0.0019, 3),
}


def fit_twin(name: str, data: Dataset, epochs: int, seed: int, device: torch.device) -> list[dict]:
    """The same run by torch.nn, autograd and torch.optim.Adam; rows as in Run.rows."""
    start = build(name, seed)
    model = twin(start).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)
    loss_of = torch.nn.MSELoss()
    train, test = pixels_for(start, data.train, device), pixels_for(start, data.test, device)
    batches = Batches(len(train), 64, seed, device)
    rows = []
    with flushing_denormals():
        for epoch in range(1, epochs + 1):
            total = 0.0
            model.train()
            for index in batches.epoch(epoch):
                x = train.index_select(0, index)
                loss = loss_of(model(x), x)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x)
            model.eval()
            with torch.no_grad():
                errors = [loss_of(model(x), x).item() * len(x) for x in test.split(500)]
            rows.append(
                {
                    "epoch": epoch,
                    "train_loss": total / len(train),
                    "test_loss": sum(errors) / len(test),
                }
            )
    return rows


def main(
    csv: str = typer.Argument(help="The 42,000-row CSV."),
    test_data: str = typer.Option(..., help="Images for the test loss, such as the IDX folder."),
    device: str = "auto",
) -> None:
    """Run everything, print the table, write the JSON."""
    place = choose_device(device)
    data = load(csv, test=test_data)
    results = []
    for name, (epochs, published, seeds) in RECORD.items():
        for seed in range(seeds):
            ours = fit(name, data, epochs=epochs, seed=seed, device=place).rows
            ours = [{key: row[key] for key in ("epoch", "train_loss", "test_loss")} for row in ours]
            theirs = fit_twin(name, data, epochs, seed, place)
            results.append(
                {"model": name, "seed": seed, "published": published, "ours": ours, "torch": theirs}
            )
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": device_name(place),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "images": [len(data.train), len(data.test)],
    }
    write_text(
        RESULTS / f"record-{place.type}.json",
        json.dumps({**about, "runs": results}, indent=1) + "\n",
    )
    Console(width=110).print(table(results))


def table(results: list[dict]) -> Table:
    """Last epoch of every run."""
    view = Table("model", "seed", "train: ours", "torch.nn", "published", "test: ours", "torch.nn")
    for run in results:
        ours, theirs = run["ours"][-1], run["torch"][-1]
        view.add_row(
            run["model"],
            str(run["seed"]),
            f"{ours['train_loss']:.5f}",
            f"{theirs['train_loss']:.5f}",
            f"{run['published']:.4f}",
            f"{ours['test_loss']:.5f}",
            f"{theirs['test_loss']:.5f}",
        )
    return view


if __name__ == "__main__":
    typer.run(main)
