"""Compare runs: which numbers can be compared, what each run reached, and how far seeds differ.

Runs that differ only by their seed form a group. A group is described by the median over its runs and by its
lowest and highest run, because a difference that is smaller than the difference between seeds means nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from safetensors import safe_open
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.models import Autoencoder
from scratchae.training.evaluation import evaluating, reconstruct
from scratchae.training.groups import grouped
from scratchae.training.run import Run, Settings, open_run

CODE_SIZE = "code size"  # runs that differ only in this have losses of the same meaning


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    groups: {label: runs}; a label names the settings in which the groups differ. differences: {what: text}
    for everything that makes the numbers of the runs incomparable. table: one row for each run; test_penalty is
    the part of test_loss that layers add, such as the KL part of a VAE, and NaN if there is none. curves:
    one row for each run and epoch, with the steps and the seconds since the start. loss: the column to
    compare, "test_loss" if all runs have test images, otherwise "train_loss".

    >>> Comparison({}, {"code size": "3 and 8"}, pd.DataFrame(), pd.DataFrame(), "test_loss").losses_are_comparable
    True
    """

    groups: dict[str, list[Run]]
    differences: dict[str, str]
    table: pd.DataFrame
    curves: pd.DataFrame
    loss: str

    @property
    def losses_are_comparable(self) -> bool:
        """Whether the losses have the same meaning."""
        return not self.differences.keys() - {CODE_SIZE}

    def summary(self) -> pd.DataFrame:
        """Return one row for each group: the median, lowest and highest loss, and the median seconds."""
        rows = []
        for label, own in self.table.groupby("group", sort=False):
            losses = own[self.loss]
            rows.append(
                {
                    "group": label,
                    "runs": len(own),
                    "code_size": own["code_size"].iloc[0],
                    "parameters": own["parameters"].iloc[0],
                    "epochs": own["epochs"].min(),
                    "train_loss": own["train_loss"].median(),
                    "test_loss": own["test_loss"].median(),
                    "test_penalty": own["test_penalty"].median(),
                    "lowest": losses.min(),
                    "highest": losses.max(),
                    "seconds": own["seconds"].median(),
                }
            )
        return pd.DataFrame(rows)

    def typical(self, label: str) -> Run:
        """Return the run of a group whose last loss is the median, or just below it."""
        runs = sorted(self.groups[label], key=lambda run: run.rows[-1][self.loss])
        return runs[(len(runs) - 1) // 2]

    def reconstructions(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Return test digits (K, 28, 28) of the first run, and what each group makes of them.

        The second value is {label: images (K, 28, 28)}; the typical run of each group makes them. All
        pixels are in [0, 1].
        """
        first = next(iter(self.groups.values()))[0]
        digits = in_unit_range(first.model, first.outputs[0][1])
        drawn = {}
        for label in self.groups:
            model = self.typical(label).model
            low, high = model.pixel_range
            x = (digits * (high - low) + low).reshape(-1, *model.input_shape)
            drawn[label] = in_unit_range(model, reconstruct(model, x))
        return digits, drawn


def compare(folders: Sequence[str | Path], anyway: bool = False) -> Comparison:
    """Compare the runs in these folders.

    Raises ScratchaeError if there are fewer than two, if one of them has no finished epoch, or if their
    numbers mean different things: another range of pixels, another loss, other test images or another size
    of the code. With anyway=True such runs are compared, and `differences` says what differs.

    >>> import tempfile
    >>> from scratchae.data import Dataset, Images
    >>> from scratchae.training import fit
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for seed in (1, 2):
    ...         _ = fit("fc", data, epochs=2, seed=seed, out=f"{folder}/{seed}", device="cpu", progress=False)
    ...     comparison = compare([f"{folder}/1", f"{folder}/2"])
    >>> comparison.table[["group", "seed", "epochs", "steps"]].values.tolist()
    [['fc', 1, 2, 2], ['fc', 2, 2, 2]]
    """
    runs = [open_run(folder) for folder in different(folders)]
    for run in runs:
        if not run.rows:
            raise ScratchaeError(
                f"{run.folder} has no finished epoch to compare: continue it with --resume"
            )
    differences = differences_between(runs)
    if differences and not anyway:
        parts = [f"the {what} ({text})" for what, text in differences.items()]
        raise ScratchaeError(
            f"the numbers of these runs cannot be compared, because they differ in {', and in '.join(parts)}: "
            "train them alike, or add --anyway (anyway=True) to see them side by side"
        )
    groups = grouped(runs)
    tested = all(not math.isnan(run.rows[-1]["test_loss"]) for run in runs)
    curves, table = [], []
    for label, members in groups.items():
        for run in members:
            own = run.history
            steps = steps_of(run)
            per_run = {"run": str(run.folder), "group": label, "seed": run.settings.seed}
            own = own.assign(
                **per_run,
                step=own["epoch"] * steps // run.epoch,
                elapsed=own["seconds"].cumsum(),
            )
            curves.append(own)
            last = run.rows[-1]
            table.append(
                {
                    **per_run,
                    "model": run.settings.model,
                    "code_size": code_size(run.model),
                    "parameters": sum(p.numel() for p in run.model.parameters()),
                    "epochs": run.epoch,
                    "steps": steps,
                    "train_loss": last["train_loss"],
                    "test_loss": last["test_loss"],
                    "test_penalty": last.get("test_penalty", math.nan),
                    "seconds": own["seconds"].sum(),
                }
            )
    return Comparison(
        groups,
        differences,
        pd.DataFrame(table),
        pd.concat(curves, ignore_index=True),
        "test_loss" if tested else "train_loss",
    )


def different(folders: Sequence[str | Path]) -> list[Path]:
    """Return the folders as paths. Raises ScratchaeError if there are fewer than two, or one of them twice."""
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2:
        raise ScratchaeError(
            f"a comparison needs at least two run folders, but got {len(paths)}: add another one"
        )
    for i, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:i]]:
            raise ScratchaeError(f"{path} is given twice: give each run folder once")
    return paths


# ------------------------------------------------------------------ what makes runs incomparable
def differences_between(runs: Sequence[Run]) -> dict[str, str]:
    """Return {what: how it differs} for everything that makes the numbers of the runs incomparable."""
    found = {}
    for what, value in FACTS.items():
        values = dict.fromkeys(value(run) for run in runs)
        if len(values) > 1:
            *first, last = values
            found[what] = f"{', '.join(first)} and {last}"
    if not same_test_images([run.settings for run in runs]):
        found["test images"] = "another data set, or another part of it"
    return found


def loss_of_run(run: Run) -> str:
    """Return the loss in words."""
    return (run.settings.loss or "MSELoss()").removesuffix("()")


def penalty_of_run(run: Run) -> str:
    """Return the weight of the penalty in words."""
    return f"beta={run.model.beta:g}" if hasattr(run.model, "beta") else "no penalty"


def pixels_of_run(run: Run) -> str:
    """Return the range of the pixels in words."""
    low, high = run.model.pixel_range
    return f"[{low:g}, {high:g}]"


def pixel_kind_of_run(run: Run) -> str:
    """Return whether the pixels are grey or binary. The binary test images are the same in each mode."""
    return "grey" if run.settings.binarise == "none" else "binary"


def code_size_of_run(run: Run) -> str:
    """Return the size of the code in words."""
    return str(code_size(run.model))


FACTS: dict[str, Callable[[Run], str]] = {
    "range of the pixels": pixels_of_run,
    "kind of the pixels": pixel_kind_of_run,
    "loss": loss_of_run,
    "penalty in the loss": penalty_of_run,
    CODE_SIZE: code_size_of_run,
}


def same_test_images(settings: Sequence[Settings]) -> bool:
    """Whether the runs were tested on the same images, or each seed on its own part of the same images."""
    known = {(own.seed, own.test_checksum) for own in settings if own.test_checksum is not None}
    if len({(own.data, own.test_data) for own in settings}) == 1:
        return len({seed for seed, _ in known}) == len(known)  # a seed never has two test parts
    return len({own.test_checksum for own in settings}) == 1 and len(known) > 0


def in_unit_range(model: Autoencoder, images: Tensor) -> Tensor:
    """Return images (K, *input_shape) of a model as (K, 28, 28) in [0, 1]."""
    low, high = model.pixel_range
    return (images.reshape(-1, 28, 28) - low) / (high - low)


def code_size(model: Autoencoder) -> int:
    """Return how many numbers the code of one image has.

    >>> from scratchae.models import build
    >>> code_size(build("fc")), code_size(build("conv"))
    (3, 1600)
    """
    first = model.parameters()[0]
    with evaluating(model):
        return model.encode(torch.zeros(1, *model.input_shape).to(first)).numel()


def steps_of(run: Run) -> int:
    """Return the number of steps that the optimiser of a run has made."""
    with safe_open(run.own_folder / "checkpoint.safetensors", framework="pt") as file:
        return json.loads(file.metadata()["optimizer"])["steps"]
