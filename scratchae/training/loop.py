"""fit: the training loop over epochs and batches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from scratchae.data import Augmentation, Batches, Corruption, Dataset
from scratchae.distributed import (
    DataParallel,
    Workers,
    broadcast_state,
    check_batch_size,
    init_workers,
    shard_by_batches,
)
from scratchae.engines import Engine, NotFiniteError, make_engine
from scratchae.errors import ScratchaeError
from scratchae.losses import Loss
from scratchae.models import Autoencoder, build
from scratchae.noise import noise_keys
from scratchae.optim import Adam, Optimizer
from scratchae.step import loss_of
from scratchae.training.epoch_images import EpochImages, corrupted_keepsakes, images_and_targets
from scratchae.training.evaluation import first_bad_tensor, loss_and_penalty, reconstruct
from scratchae.training.floating_point import check_numbers, float32_products, flushing_denormals
from scratchae.training.preparation import (
    DEFAULT_SEED,
    check_settings,
    checksum,
    choose_device,
    keepsakes,
    pixels_for,
)
from scratchae.training.run import Run, Settings, prepare_folder, write_checkpoint

LR, WEIGHT_DECAY = 1e-3, 1e-5  # for Adam, the default optimizer


def fit(
    model: Autoencoder | str,
    data: Dataset,
    *,
    epochs: int = 20,
    batch_size: int = 64,
    optimizer: Optimizer | Callable[[list[Tensor]], Optimizer] | None = None,
    loss: Loss | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    seed: int = DEFAULT_SEED,
    device: str | torch.device = "auto",
    engine: str = "eager",
    precision: str = "float32",
    tf32: bool = False,
    corrupt: Corruption | str | None = None,
    augment: Augmentation | str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Train an autoencoder on shuffled batches of `data.train`.

    model: a model, or a name, such as "fc"; a named model is built with `seed`. The target of the images
    is `model.target(images)`, normally the images themselves.

    loss: None means the model's own loss, or the mean squared error if it has none. optimizer: None
    means Adam with learning rate `lr` (default 1e-3) and `weight_decay` (default 1e-5). It can also be an
    optimizer of the model's parameters, or a function that takes a list of parameters and returns an
    optimizer, such as `lambda parameters: SGD(parameters, lr=0.1)`.

    out: the run folder, which gets a checkpoint after every epoch; None stores nothing on disk. resume:
    continue from the checkpoint in `out`, or start if there is none yet. The final weights are the
    same, bit for bit, as without the interruption. device: "auto" uses CUDA if there is a GPU.

    engine: "eager" calls the layers one by one. The others make the same steps, up to rounding:
    "buffered" uses memory that is allocated once, "frugal" uses less of such memory, "compile" uses
    torch.compile, and "graph" (only on CUDA) records a CUDA graph. precision: "float32"; or "bf16", only
    on CUDA and with the engine compile or graph: the layers compute in bfloat16, and the weights stay in
    float32. tf32: if True, CUDA rounds the factors of float32 products to TF32. A run folder does not
    store engine, precision and tf32: resume with the same values.

    corrupt: noise on the input alone, such as "noise=0.3" (`Corruption`): the model learns to remove it.
    augment: movements of input and target, such as "rotate=10,shift=2" (`Augmentation`). Both are drawn anew
    in each epoch. Test images are evaluated as they are; `Run.outputs` shows what is made of noisy images.

    If torchrun starts the program several times, the processes train one model together. Each process
    works on its part of every batch. The steps are those of one process, up to rounding. Only the first
    process (rank 0) writes and prints. All return the same run.

    Raises ScratchaeError if a setting is wrong, or if a loss is not finite. In the second case, the
    checkpoint is that of the last epoch before this loss.

    >>> from scratchae.data import Dataset, Images
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> run = fit("fc", data, epochs=2, batch_size=10, device="cpu", progress=False)
    >>> run.history["epoch"].tolist(), run.history["train_loss"].is_monotonic_decreasing
    ([1, 2], True)
    """
    # the settings
    model = build(model, seed) if isinstance(model, str) else model
    check_settings(epochs, batch_size, seed)
    if out is not None and model.name is None:
        raise ScratchaeError(
            "a run folder stores the name of its model, but this model has none: `register` it and pass "
            "its name to fit, or omit `out`"
        )
    corrupt, augment = Corruption.parse(corrupt), Augmentation.parse(augment)
    workers = init_workers()
    check_batch_size(batch_size, workers.size)
    device = workers.own_device(choose_device(device))
    check_numbers(device, tf32, precision)
    if loss is not None:
        model.loss = loss
    with flushing_denormals(), float32_products(tf32):
        # the optimizer, the run and the engine
        optimizer = make_optimizer(optimizer, model, device, lr, weight_decay)
        settings = Settings(
            model=str(model.name),
            data=data.source,
            test_data=data.test_source,
            checksum=checksum(data.train),
            epochs=epochs,
            batch_size=batch_size,
            lr=float(optimizer.lr),
            weight_decay=float(optimizer.weight_decay),
            seed=seed,
            optimizer=repr(optimizer),
            loss=repr(loss_of(model)),
            corrupt=str(corrupt or "none"),
            augment=str(augment or "none"),
            test_checksum=None if data.test is None else checksum(data.test),
        )
        run = Run(model, settings, folder=None if out is None else Path(out))
        stepper = make_engine(engine, model, optimizer, precision)
        if workers.size > 1:
            stepper = DataParallel(stepper, workers)
        # rank 0 makes the folder or reads the checkpoint; then all workers get its state
        if run.folder is not None:
            run.rows, run.outputs = workers.from_rank_0(
                partial(prepare_folder, run, optimizer, resume)
            )
        broadcast_state(model, optimizer, workers)
        # the images, on the device; the keys of the test images are the same in every epoch
        train = EpochImages(model, pixels_for(model, data.train, device), seed, corrupt, augment)
        test = None
        if data.test is not None:
            own, own_keys = (
                shard_by_batches(rows, workers.rank, workers.size)
                for rows in (
                    pixels_for(model, data.test, device),
                    noise_keys(seed, 0, len(data.test), device),
                )
            )
            test = (*images_and_targets(model, own), own_keys)
        kept = keepsakes(model, data.test or data.train)
        shown = corrupted_keepsakes(model, kept, seed, corrupt)
        batches = Batches(len(data.train), batch_size, seed, device)
        # the epochs
        for epoch in range(run.epoch + 1, epochs + 1):
            started, name = time.perf_counter(), f"epoch {epoch:>{len(str(epochs))}}/{epochs}"
            with tqdm(
                total=len(batches),
                desc=name,
                unit="step",
                disable=None if progress and workers.is_rank_0 else True,
                file=sys.stderr,
            ) as bar:
                hidden = bar.disable  # True if there is no terminal to draw the bar in
                train_loss = train_epoch(stepper, *train.epoch(epoch), batches, epoch, bar)
                test_loss = test_penalty = float("nan")
                if test is not None:
                    test_loss, test_penalty = test_losses(model, workers, *test)
                bar.set_postfix_str(f"train {train_loss:.4f}, test {test_loss:.4f}")
            seconds = time.perf_counter() - started
            run.add_row(epoch, train_loss, test_loss, seconds, test_penalty)
            run.outputs.append((epoch, kept, reconstruct(model, shown)))
            if run.folder is not None:
                workers.from_rank_0(partial(write_checkpoint, run, optimizer))
            if progress and hidden and workers.is_rank_0:
                print(f"{name}: train {train_loss:.4f}, test {test_loss:.4f}", file=sys.stderr)
    return run


def make_optimizer(
    optimizer: Optimizer | Callable[[list[Tensor]], Optimizer] | None,
    model: Autoencoder,
    device: torch.device,
    lr: float | None,
    weight_decay: float | None,
) -> Optimizer:
    """Move the model to the device and return the optimizer of its parameters.

    The arguments are those of `fit`. Raises ScratchaeError if they contradict one another.
    """
    if optimizer is None:
        return Adam(
            model.to(device).parameters(),
            lr=LR if lr is None else lr,
            weight_decay=WEIGHT_DECAY if weight_decay is None else weight_decay,
        )
    if lr is not None or weight_decay is not None:
        raise ScratchaeError(
            "fit got an optimizer, and also lr or weight_decay, which belong to the default optimizer: "
            "pass them to your optimizer instead"
        )
    if not isinstance(optimizer, Optimizer):
        optimizer = optimizer(model.to(device).parameters())
    own = {id(parameter) for parameter in model.parameters()}
    if not isinstance(optimizer, Optimizer) or own != set(map(id, optimizer.parameters)):
        raise ScratchaeError(
            "fit expects an optimizer of scratchae.optim with all of the model's parameters: pass a "
            "function that makes it, such as lambda parameters: SGD(parameters, lr=0.1)"
        )
    if optimizer.value.device != device:
        raise ScratchaeError(
            f"the optimizer was made on {optimizer.value.device}, but training is on {device}: pass a "
            "function that makes it, such as lambda parameters: SGD(parameters, lr=0.1)"
        )
    return optimizer


def test_losses(
    model: Autoencoder, workers: Workers, images: Tensor, targets: Tensor | None, keys: Tensor
) -> tuple[float, float]:
    """Return the loss and the penalties of all workers' test images, as `loss_and_penalty`."""
    count = len(images)
    own = loss_and_penalty(model, images, targets, keys=keys) if count else (0.0, 0.0)
    return workers.mean(lambda: own[0], count), workers.mean(lambda: own[1], count)


def train_epoch(
    engine: Engine,
    images: Tensor,
    targets: Tensor | None,
    keys: Tensor | None,
    batches: Batches,
    epoch: int,
    bar: tqdm,
) -> float:
    """Train for one epoch; return the mean of the losses over all images.

    Raises ScratchaeError if a loss is not finite.
    """
    engine.model.train()
    try:
        total = engine.epoch(images, batches.epoch(epoch), bar.update, targets, keys)
    except NotFiniteError as error:
        culprit = first_bad_tensor(engine.model, error.batch)
        raise ScratchaeError(
            f"the loss is {error.loss} in step {error.step} of epoch {epoch}, and training stopped; "
            f"first bad tensor: {culprit}: lower the learning rate (lr is "
            f"{float(engine.optimizer.lr):g}) or check the data"
        ) from error
    engine.model.forget()
    return (total / len(images)).item()
