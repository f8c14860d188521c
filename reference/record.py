"""The runs of record: train both models on the 42,000-row CSV with scratchae and with torch.nn.

    python -m reference.record train.csv --test-data MNIST_FOLDER

Both sides start from the same weights and see the same batches. They differ only by rounding, but
thousands of steps amplify it. The two runs of one seed should still differ less than torch.nn runs
of different seeds. Writes record-<device>.json and record-<device>.md to reference/results, and
prints a table.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import torch
import typer
from rich.console import Console
from rich.table import Table

from reference.benchmark import RESULTS, device_name
from reference.benchmark.tables import markdown
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
    """Train with torch.nn, autograd and torch.optim.Adam, and return rows as in Run.rows."""
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
    """Train every model and seed on both sides, write the results and print a table."""
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
    recorded = {**about, "runs": results}
    path = RESULTS / f"record-{place.type}.json"
    write_text(path, json.dumps(recorded, indent=1) + "\n")
    write_text(path.with_suffix(".md"), report(recorded))
    Console(width=110).print(table(results))


def table(results: list[dict]) -> Table:
    """Return a table of the last epoch of every run."""
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


def report(recorded: dict) -> str:
    """Return the page of results: the losses of the last epoch of every run, on both sides."""
    images, test_images = recorded["images"]
    published = {run["model"]: run["published"] for run in recorded["runs"]}
    rows, reached = [], dict.fromkeys(published, 0)
    for run in recorded["runs"]:
        digits = 4 if run["model"] == "fc" else 5
        losses = [
            f"{run[side][-1][f'{part}_loss']:.{digits}f}"
            for part in ("train", "test")
            for side in ("ours", "torch")
        ]
        rows.append([run["model"], str(run["seed"]), *losses])
        last = [run[side][-1]["train_loss"] for side in ("ours", "torch")]
        reached[run["model"]] += round(max(last), 4) <= run["published"]
    return "\n\n".join(
        [
            "# Runs of record",
            f"{images:,} images from the Kaggle-format CSV, batches of 64, Adam with learning rate 1e-3 "
            "and weight decay 1e-5. The loss is the mean squared error: on the training images, mean of "
            f"the last epoch ({', '.join(f'{RECORD[m][0]} for `{m}`' for m in published)}), and "
            f"on MNIST's {test_images:,} test images after it. Published training losses: "
            f"{', '.join(f'{loss} for `{m}`' for m, loss in published.items())}.",
            markdown(["model", "seed", "train", "torch.nn", "test", "torch.nn"], rows),
            "Both sides of a row start from the same weights and see the same batches. Rounding "
            "separates them over thousands of steps, but by less than one seed differs from another. The "
            "published loss is reached, by both sides, from "
            + " and ".join(
                f"{count} of {RECORD[m][2]} seeds of `{m}`" for m, count in reached.items()
            )
            + ".",
            f"`python -m reference.record`, {recorded['date']}, {recorded['device']}, threads: "
            f"{recorded['threads']}, torch {recorded['torch']}.\n",
        ]
    )


if __name__ == "__main__":
    typer.run(main)
