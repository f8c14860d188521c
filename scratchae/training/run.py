"""A run: the result of training, in memory and in a folder.

    config.json              the settings, the data and the versions
    checkpoint.safetensors   everything that is needed to resume; replaced after each epoch
    weights.safetensors      only the weights that the run results in, under torch.nn's keys
    history.csv              one row for each epoch
    pictures/                the pictures that the command line draws

The checkpoint is a single file, and it is replaced as a whole, so that its parts always belong to the
same epoch. It contains the tensors of the model and the optimiser, and the reconstructions so far. Its
header contains the history, as JSON. With averaged weights or early stopping it contains two sets of weights:
those of the last step, from which training continues, and those that the run results in so far.
"""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import scratchae
from scratchae.data import Dataset, load
from scratchae.errors import ScratchaeError
from scratchae.files import remove_leftovers, replacing, write_text
from scratchae.models import Autoencoder, build
from scratchae.optim import Optimizer

COLUMNS = ["epoch", "train_loss", "test_loss", "seconds"]


@dataclass(frozen=True)
class Settings:
    """The settings of a run, as config.json stores them. Engine, precision, tf32 and device are not stored.

    data, test_data: the arguments of `scratchae.data.load`. checksum, test_checksum: those of the training
    and of the test images. optimizer, loss: their `repr`. These two and test_checksum are None if
    config.json does not contain them; test_checksum also if there are no test images. corrupt, augment,
    binarise, schedule: texts as `fit` takes them, or "none". clip_norm, clip_value, ema, patience: as in `fit`.
    validation: the fraction of the images that was held out for validation.

    >>> from scratchae.data import Dataset, Images
    >>> from scratchae.training import fit
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> settings = fit("fc", data, epochs=1, device="cpu", progress=False).settings
    >>> settings.model, settings.epochs, settings.batch_size, settings.lr
    ('fc', 1, 64, 0.001)
    """

    model: str
    data: str
    test_data: str | float | None
    checksum: str
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int
    optimizer: str | None = None
    loss: str | None = None
    test_checksum: str | None = None
    corrupt: str = "none"
    augment: str = "none"
    binarise: str = "none"
    schedule: str = "none"
    clip_norm: float | None = None
    clip_value: float | None = None
    ema: float | None = None
    patience: int | None = None
    validation: float = 0.0

    def load(self) -> Dataset:
        """Load the data set again; return it."""
        return load(self.data, test=self.test_data, validation=self.validation, seed=self.seed)


@dataclass
class Run:
    """A model, its settings, and its losses and reconstructions after every epoch so far.

    rows: for each epoch a dict with epoch, train_loss, test_loss and seconds; the losses are means over
    the images. If the model has penalties, such as the KL part of a VAE, test_penalty is their part of
    test_loss. With validation images there is a validation_loss, and with a schedule the learning rate lr of
    the last step. `history` contains the same as a DataFrame. outputs: for each epoch (epoch, originals,
    reconstructions); the last two are (K, *input_shape), and the originals are the same in every epoch.
    folder: the run folder; None if the run is not stored on disk. result: the weights and buffers that the
    run results in, if these are not those of the last step: averaged weights, or those of the best epoch.

    >>> from scratchae.data import Dataset, Images
    >>> from scratchae.training import fit
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> run = fit("fc", data, epochs=1, device="cpu", progress=False)
    >>> run.epoch, list(run.history), len(run.outputs), run.folder
    (1, ['epoch', 'train_loss', 'test_loss', 'seconds'], 1, None)
    """

    model: Autoencoder
    settings: Settings
    rows: list[dict] = field(default_factory=list)
    outputs: list[tuple[int, Tensor, Tensor]] = field(default_factory=list)
    folder: Path | None = None
    result: dict[str, Tensor] | None = None

    @property
    def own_folder(self) -> Path:
        """The run folder. The run must have one."""
        assert self.folder is not None, "this run is not stored on disk"
        return self.folder

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.rows)

    def add_row(
        self,
        epoch: int,
        train_loss: float,
        test_loss: float,
        seconds: float,
        test_penalty: float = math.nan,
        **more: float,
    ) -> None:
        """Add an epoch to `rows`. test_penalty: NaN if no layer has a penalty. more: further columns."""
        row = dict(zip(COLUMNS, (epoch, train_loss, test_loss, seconds), strict=True))
        if not math.isnan(test_penalty):
            row["test_penalty"] = test_penalty
        self.rows.append(row | more)

    def column(self, name: str) -> list[float]:
        """Return the values of a column, for the epochs that have it."""
        return [row[name] for row in self.rows if name in row]

    @property
    def history(self) -> pd.DataFrame:
        """A table with one row for each epoch, and the columns of `rows`."""
        extra = [name for row in self.rows for name in row if name not in COLUMNS]
        return pd.DataFrame(self.rows, columns=[*COLUMNS, *dict.fromkeys(extra)])


def write_config(run: Run) -> None:
    """Write config.json: the settings, and the versions of scratchae, torch and Python."""
    versions = {"scratchae": scratchae.__version__, "torch": torch.__version__}
    versions["python"] = platform.python_version()
    text = json.dumps({**asdict(run.settings), "versions": versions}, indent=2)
    write_text(run.own_folder / "config.json", text + "\n")


def write_checkpoint(run: Run, optimizer: Optimizer) -> None:
    """Write the checkpoint. Then write the weights and the history also to their own files."""
    state = optimizer.state_dict()
    tensors = {f"model.{key}": value for key, value in run.model.state_dict().items()}
    tensors |= {f"optimizer.{key}": value for key, value in state.pop("state").items()}
    result = run.result or {}
    tensors |= {f"result.{key}": value for key, value in result.items()}
    if run.outputs:
        tensors["originals"] = run.outputs[0][1]
        tensors["reconstructions"] = torch.stack([output[2] for output in run.outputs])
    header = {"optimizer": json.dumps(state), "history": json.dumps(run.rows)}
    write_tensors(run.own_folder / "checkpoint.safetensors", tensors, header)
    write_tensors(run.own_folder / "weights.safetensors", result or run.model.state_dict())
    with replacing(run.own_folder / "history.csv") as path:
        run.history.to_csv(path, index=False)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], header: dict[str, str] | None = None
) -> None:
    """Write a safetensors file. If this fails, the old file does not change."""
    own = {key: tensor.detach().cpu().clone() for key, tensor in tensors.items()}
    with replacing(path) as beside:
        beside.write_bytes(save(own, header))


def read_config(folder: Path) -> Settings:
    """Return the settings of a run folder. Raises ScratchaeError if it is not a run folder."""
    path = folder / "config.json"
    if not folder.is_dir():
        raise ScratchaeError(
            f"there is no run folder {folder}: `scratchae train fc --out {folder}` makes one"
        )
    if not path.is_file():
        raise ScratchaeError(
            f"{folder} is not a run folder, because it has no config.json: choose a folder that "
            "`scratchae train` made"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = Settings.__dataclass_fields__
        return Settings(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise ScratchaeError(
            f"{path} is damaged ({error!r}): restore it, or train into another folder"
        ) from error


def read_checkpoint(run: Run, optimizer: Optimizer | None = None) -> None:
    """Load the checkpoint into run and, if it is given, into optimizer.

    With an optimizer, the model gets the weights of the last step; without one, the result of the run.
    Raises ScratchaeError if there is no checkpoint, or if it is damaged.
    """
    path = run.own_folder / "checkpoint.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
            header = file.metadata()
        history = json.loads(header["history"])
        state = json.loads(header["optimizer"])
    except FileNotFoundError as error:
        raise ScratchaeError(
            f"{run.own_folder} has no checkpoint yet, because training stopped before the first one: "
            "start again with the same command and --resume"
        ) from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ScratchaeError(
            f"{path} is damaged or cut short ({error}): restore it from a copy, or train into another folder"
        ) from error
    run.result = part(tensors, "result.") or None
    last = part(tensors, "model.")
    run.model.load_state_dict(last if optimizer is not None else run.result or last)
    if optimizer is not None:
        optimizer.load_state_dict({**state, "state": part(tensors, "optimizer.")})
    run.rows = history
    if "originals" in tensors:
        kept = zip(history, tensors["reconstructions"], strict=True)
        run.outputs = [(row["epoch"], tensors["originals"], images) for row, images in kept]


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, by their names without the prefix."""
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}


def open_run(folder: str | Path) -> Run:
    """Return the run in a folder, with its model on the CPU.

    Raises ScratchaeError if the folder contains no run, or if a file is damaged.

    >>> import tempfile
    >>> from scratchae.data import Dataset, Images
    >>> from scratchae.training import fit
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = fit("fc", data, epochs=1, out=folder, device="cpu", progress=False)
    ...     again = open_run(folder)
    >>> again.epoch, again.history.equals(run.history), again.settings == run.settings
    (1, True, True)
    """
    folder = Path(folder)
    settings = read_config(folder)
    run = Run(build(settings.model, settings.seed), settings, folder=folder)
    read_checkpoint(run)
    return run


def prepare_folder(run: Run, optimizer: Optimizer, resume: bool) -> tuple[list, list, dict | None]:
    """Make the run folder, or load its checkpoint into run and optimizer.

    Returns the run's rows, outputs and result so far. Raises ScratchaeError if the folder contains a run and
    resume is False, or if that run has other settings.
    """
    folder = run.own_folder
    remove_leftovers(folder)
    if folder.is_dir() and any(folder.iterdir()):
        was = read_config(folder)
        if not resume:
            raise ScratchaeError(
                f"{folder} already contains a run: add --resume (resume=True) to continue it, or choose "
                "another folder"
            )
        check_same(was, run.settings, folder)
        if (folder / "checkpoint.safetensors").exists():
            read_checkpoint(run, optimizer)
    write_config(run)
    write_checkpoint(run, optimizer)
    return run.rows, run.outputs, run.result


def check_same(was: Settings, now: Settings, folder: Path) -> None:
    """Raise ScratchaeError if a run would continue with other settings.

    The number of epochs and the test images may differ. `data` and `test_data` may differ if the training
    images are the same.
    """
    for name, old in asdict(was).items():
        new = getattr(now, name)
        unknown = old is None and name in ("optimizer", "loss")  # in a run of an older version
        if name in ("data", "test_data", "test_checksum", "epochs") or unknown or new == old:
            continue
        if name == "checksum":
            raise ScratchaeError(
                f"the run in {folder} was trained on other images: give the same --data, or another --out"
            )
        raise ScratchaeError(
            f"the run in {folder} was started with {name} = {old}, not {new}: keep that setting, or "
            "train into another folder"
        )
