"""fit: the training loop."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from scratchae.data import Batches, Dataset, Images
from scratchae.distributed import (
    DataParallel,
    check_batch_size,
    dealt_out,
    join,
    revert_sync_batchnorm,
    same_start,
)
from scratchae.engines import Engine, NotFiniteError, make_engine
from scratchae.errors import ScratchaeError
from scratchae.files import remove_leftovers
from scratchae.models import Autoencoder, build
from scratchae.optim import Adam
from scratchae.training.denormals import flushing_denormals
from scratchae.training.evaluation import (
    check_numbers,
    evaluate,
    evaluating,
    first_bad_tensor,
    float32_products,
)
from scratchae.training.run import (
    COLUMNS,
    Run,
    Settings,
    read_checkpoint,
    read_config,
    write_checkpoint,
    write_config,
)

# Seed 0 is an unlucky one: fc stays far above the published loss, and so does torch.nn
# (reference/results/record-cpu.json).
DEFAULT_SEED = 2


def fit(
    model: Autoencoder | str,
    data: Dataset,
    *,
    epochs: int = 20,
    batch_size: int = 64,
    lr: float = 1e-3,
    weight_decay: float = 1e-5,
    seed: int = DEFAULT_SEED,
    device: str | torch.device = "auto",
    engine: str = "eager",
    precision: str = "float32",
    tf32: bool = False,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Train an autoencoder to give back `data.train`: MSE, Adam, shuffled batches.

    model: a model, or the name of one (then built with `seed`). out: the run folder, with a
    checkpoint after every epoch; None keeps nothing on disk. resume: go on from the checkpoint in
    `out`, to the same weights, bit for bit, as if never stopped; where there is none yet,
    start. device: "auto" takes CUDA where there is one.

    engine: "eager" runs the layers as they are written. The others make the same steps, up to
    rounding: "buffered" in memory that is laid out once, "frugal" in less of it, "compile" through
    torch.compile, "graph" (on CUDA) as a recording. precision: "float32", or on CUDA, with compile
    or graph, "bf16": the layers compute in bfloat16, the weights are kept in float32. tf32: let
    CUDA cut the factors of float32 products to TF32. A run folder does not keep these three: resume
    with the same.

    Started several times by torchrun, the processes train one model: each works on its share of every
    batch, which makes the steps of one process, up to rounding. Rank 0 alone writes and prints; all
    return the same run.

    Raises ScratchaeError for settings that cannot be, and where the loss is no longer finite: then
    the checkpoint is that of the last good epoch.

    >>> from scratchae.data import Dataset, Images
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> run = fit("fc", data, epochs=2, batch_size=10, device="cpu", progress=False)
    >>> run.history["epoch"].tolist(), run.history["train_loss"].is_monotonic_decreasing
    ([1, 2], True)
    """
    model = build(model, seed) if isinstance(model, str) else model
    check_settings(epochs, batch_size, seed)
    if out is not None and model.name is None:
        raise ScratchaeError(
            "a run folder has to say how its model is built: `register` yours under a name and give "
            "fit that name, or leave `out` away"
        )
    workers = join()
    check_batch_size(batch_size, workers.size)
    device = workers.place(choose_device(device))
    check_numbers(device, tf32, precision)
    settings = Settings(
        model=model.name,
        data=data.source,
        test_data=data.test_source,
        checksum=checksum(data),
        epochs=epochs,
        batch_size=batch_size,
        lr=float(lr),
        weight_decay=float(weight_decay),
        seed=seed,
    )
    run = Run(model, settings, folder=None if out is None else Path(out))
    with flushing_denormals(), float32_products(tf32):
        model.to(device)
        optimizer = Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
        stepper = make_engine(engine, model, optimizer, precision)
        if workers.size > 1:
            stepper = DataParallel(stepper, workers)
        if run.folder is not None:
            run.rows, run.outputs = workers.first(partial(prepare_folder, run, optimizer, resume))
        same_start(model, optimizer, workers)
        train_images = pixels_for(model, data.train, device)
        test_images = None if data.test is None else pixels_for(model, data.test, device)
        if test_images is not None:
            test_images = dealt_out(test_images, workers.rank, workers.size)
        kept = keepsakes(model, data.test or data.train)
        batches = Batches(len(data.train), batch_size, seed, device)
        for epoch in range(run.epoch + 1, epochs + 1):
            started, name = time.perf_counter(), f"epoch {epoch:>{len(str(epochs))}}/{epochs}"
            with tqdm(
                total=len(batches),
                desc=name,
                unit="step",
                disable=None if progress and workers.writes else True,
                file=sys.stderr,
            ) as bar:
                hidden = bar.disable  # there is no terminal to draw in
                train_loss = train_epoch(stepper, train_images, batches, epoch, bar)
                test_loss = float("nan")
                if test_images is not None:
                    test_loss = workers.mean(
                        partial(evaluate, model, test_images), len(test_images)
                    )
                bar.set_postfix_str(f"train {train_loss:.4f}, test {test_loss:.4f}")
            seconds = time.perf_counter() - started
            run.rows.append(
                dict(zip(COLUMNS, (epoch, train_loss, test_loss, seconds), strict=True))
            )
            run.outputs.append((epoch, kept, reconstruct(model, kept)))
            if run.folder is not None:
                workers.first(partial(write_checkpoint, run, optimizer))
            if progress and hidden and workers.writes:
                print(f"{name}: train {train_loss:.4f}, test {test_loss:.4f}", file=sys.stderr)
        revert_sync_batchnorm(model)
    return run


def train_epoch(engine: Engine, images: Tensor, batches: Batches, epoch: int, bar: tqdm) -> float:
    """Every image once; returns the mean loss over the images."""
    engine.model.train()
    try:
        total = engine.epoch(images, batches.epoch(epoch), bar.update)
    except NotFiniteError as error:
        where = first_bad_tensor(engine.model, error.batch)
        raise ScratchaeError(
            f"the loss is {error.loss} in step {error.step} of epoch {epoch}; first bad tensor: {where}; "
            f"training stopped there: lower the learning rate (lr is {engine.optimizer.lr:g}) or look at the data"
        ) from error
    engine.model.forget()
    return (total / len(images)).item()


def prepare_folder(run: Run, optimizer: Adam, resume: bool) -> tuple[list, list]:
    """Make the run folder, or bring run and optimizer to where the one that is there stands.

    Returns the run's rows and outputs so far.
    """
    folder = run.folder
    remove_leftovers(folder)
    if folder.is_dir() and any(folder.iterdir()):
        was = read_config(folder)
        if not resume:
            raise ScratchaeError(
                f"{folder} holds a run already: add --resume (resume=True) to go on with it, or choose "
                "another folder"
            )
        check_same(was, run.settings, folder)
        if (folder / "checkpoint.safetensors").exists():
            read_checkpoint(run, optimizer)
    write_config(run)
    write_checkpoint(run, optimizer)
    return run.rows, run.outputs


def check_same(was: Settings, now: Settings, folder: Path) -> None:
    """One sentence where a run is to go on under other settings; more epochs are welcome."""
    for name, old in asdict(was).items():
        new = getattr(now, name)
        if name in ("data", "test_data", "epochs") or new == old:
            continue
        if name == "checksum":
            raise ScratchaeError(
                f"the run in {folder} was trained on other images: give the same --data, or another --out"
            )
        raise ScratchaeError(
            f"the run in {folder} was started with {name} = {old}, not {new}: leave it as it was, or "
            "train into another folder"
        )


def check_settings(epochs: int, batch_size: int, seed: int) -> None:
    """One sentence where a whole number is out of range."""
    for name, value, least in (
        ("epochs", epochs, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ScratchaeError(f"{name} has to be a whole number >= {least}, got {value!r}")


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """The device; "auto" is CUDA where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise ScratchaeError(f"there is no device {device!r}: use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ScratchaeError("there is no CUDA device here: use --device cpu, or auto")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def checksum(data: Dataset) -> str:
    """A checksum of the training images, in their order."""
    return hashlib.sha256(data.train.pixels.contiguous().numpy()).hexdigest()[:16]


def pixels_for(model: Autoencoder, images: Images, device: torch.device) -> Tensor:
    """(N, *input_shape) in [-1, 1] on the device."""
    return images.normalised(device).reshape(-1, *model.input_shape)


def keepsakes(model: Autoencoder, images: Images, count: int = 10) -> Tensor:
    """The digits whose reconstruction is kept: the first of each class, or the first ones."""
    if images.labels is None:
        index = torch.arange(min(count, len(images)))
    else:
        classes = images.labels.unique()
        index = torch.stack([(images.labels == c).nonzero()[0, 0] for c in classes])
    return pixels_for(model, images, torch.device("cpu"))[index]


def reconstruct(model: Autoencoder, images: Tensor) -> Tensor:
    """What the model gives back of images (N, *input_shape), on the CPU."""
    device = next(iter(model.parameters())).device
    with evaluating(model):
        y = model.forward(images.to(device)).cpu()
    return y.clone()  # a tensor like any other, outside of inference mode
