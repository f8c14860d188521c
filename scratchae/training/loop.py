"""fit: the training loop over epochs and batches."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from scratchae.data import Augmentation, Batches, Corruption, Dataset, Images
from scratchae.data.binarise import check_binarisation
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
from scratchae.optim import Optimizer, Schedule, averaged
from scratchae.step import loss_of
from scratchae.training.early_stopping import check_patience, has_ended, keep_result
from scratchae.training.epoch_images import EpochImages, corrupted_keepsakes, images_and_targets
from scratchae.training.evaluation import first_bad_tensor, loss_and_penalty, reconstruct
from scratchae.training.floating_point import check_numbers, float32_products, flushing_denormals
from scratchae.training.optimizers import configure, make_optimizer
from scratchae.training.preparation import (
    DEFAULT_SEED,
    check_output,
    check_settings,
    checksum,
    choose_device,
    evaluation_pixels_for,
    keepsakes,
    pixels_for,
)
from scratchae.training.run import Run, Settings, prepare_folder, write_checkpoint


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
    binarise: str = "none",
    schedule: Schedule | str | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    ema: float | None = None,
    patience: int | None = None,
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

    binarise: "dynamic" or "static" makes images of zeros and ones from grey ones, for which BCE is a
    likelihood. dynamic draws the training images anew in each epoch, static draws them once. The test images
    are drawn once and are the same for all runs (scratchae.data.binarise).

    schedule: how the learning rate changes: a text such as "cosine,warmup=2", in which lengths are epochs
    (scratchae.optim.named), or a Schedule, in which lengths are steps. ReduceLROnPlateau observes the
    validation loss or, without validation images, the training loss. clip_norm, clip_value: limits of the
    gradient's norm and of its elements. ema: the decay of an average of the weights over the steps, such as
    0.999. The averaged weights are then what is evaluated and returned, with BatchNorm's statistics from
    training. None: as the optimizer has it, normally off.

    patience: stop after so many epochs in a row without a lower loss on `data.validation`, and return the
    weights of the best epoch. None: train for all epochs, and return the last weights.

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
    check_patience(patience, data)
    if out is not None and model.name is None:
        raise ScratchaeError(
            "a run folder stores the name of its model, but this model has none: `register` it and pass "
            "its name to fit, or omit `out`"
        )
    corrupt, augment = Corruption.parse(corrupt), Augmentation.parse(augment)
    check_binarisation(binarise, model.pixel_range, augment)
    workers = init_workers()
    check_batch_size(batch_size, workers.size)
    device = workers.own_device(choose_device(device))
    check_numbers(device, tf32, precision)
    if loss is not None:
        model.loss = loss
    check_output(model)
    with flushing_denormals(), float32_products(tf32):
        # the optimizer, the run and the engine
        batches = Batches(len(data.train), batch_size, seed, device)
        optimizer = make_optimizer(optimizer, model, device, lr, weight_decay)
        extras = (schedule, clip_norm, clip_value, ema)
        schedule_text = configure(optimizer, epochs, len(batches), *extras)
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
            binarise=binarise,
            test_checksum=None if data.test is None else checksum(data.test),
            schedule=schedule_text,
            clip_norm=optimizer.clip_norm,
            clip_value=optimizer.clip_value,
            ema=optimizer.ema,
            patience=patience,
            validation=data.validation_fraction,
        )
        run = Run(model, settings, folder=None if out is None else Path(out))
        stepper = make_engine(engine, model, optimizer, precision)
        if workers.size > 1:
            stepper = DataParallel(stepper, workers)
        # rank 0 makes the folder or reads the checkpoint; then all workers get its state
        if run.folder is not None:
            run.rows, run.outputs, run.result = workers.from_rank_0(
                partial(prepare_folder, run, optimizer, resume)
            )
        broadcast_state(model, optimizer, workers)
        # the images, on the device; the keys of the test images are the same in every epoch
        pixels = pixels_for(model, data.train, device)
        train = EpochImages(model, pixels, seed, corrupt, augment, binarise)
        test = own_part(model, data.test, seed, device, workers, binarise)
        validation = own_part(model, data.validation, seed, device, workers, binarise)
        kept = keepsakes(model, data.test or data.train, binarisation=binarise)
        shown = corrupted_keepsakes(model, kept, seed, corrupt)
        # the epochs
        for row in run.rows:
            observe(optimizer, row)
        for epoch in range(run.epoch + 1, epochs + 1):
            if has_ended(run.column("validation_loss"), patience):
                break
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
                more = {}
                if optimizer.schedule is not None:
                    more["lr"] = float(optimizer.rate(optimizer.steps - 1))  # of the last step
                with averaged(optimizer):
                    test_loss, test_penalty = mean_losses(model, workers, test)
                    if validation is not None:
                        more["validation_loss"], _ = mean_losses(model, workers, validation)
                    seconds = time.perf_counter() - started
                    run.add_row(epoch, train_loss, test_loss, seconds, test_penalty, **more)
                    run.outputs.append((epoch, kept, reconstruct(model, shown)))
                    keep_result(run)
                observe(optimizer, run.rows[-1])
                words = f"train {train_loss:.4f}, test {test_loss:.4f}"
                bar.set_postfix_str(words)
            if run.folder is not None:
                workers.from_rank_0(partial(write_checkpoint, run, optimizer))
            if progress and hidden and workers.is_rank_0:
                print(f"{name}: {words}", file=sys.stderr)
        if run.result is not None:
            model.load_state_dict(run.result)
    return run


def own_part(
    model: Autoencoder,
    images: Images | None,
    seed: int,
    device: torch.device,
    workers: Workers,
    binarisation: str,
) -> tuple[Tensor, Tensor | None, Tensor] | None:
    """Return this worker's part of held-out images: pixels, targets and the keys of random layers.

    The keys are the same in every epoch. None: there are no such images.
    """
    if images is None:
        return None
    pixels, keys = (
        shard_by_batches(rows, workers.rank, workers.size)
        for rows in (
            evaluation_pixels_for(model, images, device, binarisation),
            noise_keys(seed, 0, len(images), device),
        )
    )
    return *images_and_targets(model, pixels), keys


def mean_losses(
    model: Autoencoder, workers: Workers, part: tuple[Tensor, Tensor | None, Tensor] | None
) -> tuple[float, float]:
    """Return the loss and the penalties of all workers' images, as `loss_and_penalty`; NaN without images."""
    if part is None:
        return math.nan, math.nan
    images, targets, keys = part
    count = len(images)
    own = loss_and_penalty(model, images, targets, keys=keys) if count else (0.0, 0.0)
    return workers.mean(lambda: own[0], count), workers.mean(lambda: own[1], count)


def observe(optimizer: Optimizer, row: dict) -> None:
    """Let the schedule take note of an epoch's loss: without validation images, the training loss."""
    if optimizer.schedule is not None:
        optimizer.schedule.observe(row.get("validation_loss", row["train_loss"]))


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
            f"{float(engine.optimizer.rate(engine.optimizer.steps)):g}) or check the data"
        ) from error
    engine.model.forget()
    return (total / len(images)).item()
