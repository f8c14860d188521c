"""profile: measure where the time and memory of a training step go."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch

from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, Sequential
from scratchae.optim import Adam
from scratchae.profiling.counting import Count
from scratchae.profiling.pieces import Key, count_step, parts_of, runs_in_order, time_steps
from scratchae.profiling.rates import Rates, measure_rates
from scratchae.profiling.result import Profile
from scratchae.step import loss_of
from scratchae.training.floating_point import flushing_denormals


def profile(
    model: Sequential,
    batch_size: int = 64,
    *,
    input_shape: tuple[int, ...] | None = None,
    steps: int = 30,
    threads: int | None = None,
    rates: Rates | None = None,
    seed: int = 0,
) -> Profile:
    """Measure a training step with Adam, layer by layer: its time, arithmetic and memory.

    The step runs on a copy of the model in training mode, on the model's device. Denormal numbers
    are flushed to zero, as in training. The batch is random in [-1, 1], drawn from `seed`. The
    target is the input, or random if the output has another shape. The times are medians over
    `steps` steps, or over fewer if a step is slow.

    input_shape: the shape of one sample. Not needed for an Autoencoder, which has an `input_shape`.
    threads: the threads of the CPU. None: as many as torch uses.
    rates: the speed of the machine. None: it is measured.

    Raises ScratchaeError if the model is not a Sequential, if the input does not fit the model, or
    if the batch does not fit into the memory.

    >>> from scratchae.layers import Linear, ReLU
    >>> result = profile(Sequential(Linear(5, 3), ReLU()), 10, input_shape=(5,), steps=2)
    >>> result.table[["part", "pass", "multiply_adds"]].values.tolist()[:3]
    [['0', 'forward', 150], ['0', 'backward', 300], ['1', 'forward', 0]]
    """
    shape = check(model, input_shape, batch_size=batch_size, steps=steps, threads=threads)
    first = next(iter(model.parameters()), torch.zeros(()))
    device, generator = first.device, torch.Generator().manual_seed(seed)
    with flushing_denormals(), using_threads(threads), naming_the_batch(batch_size):
        rates = rates or measure_rates(device, first.dtype)
        x = (torch.rand(batch_size, *shape, generator=generator) * 2 - 1).to(first)
        copied = copy.deepcopy(model).train()
        parts = list(parts_of(copied))
        optimizer = Adam(copied.parameters(), weight_decay=1e-5) if copied.parameters() else None
        output_shape = copied.forward(x).shape
        copied.forget()
        random = torch.rand(output_shape, generator=generator)
        target = x if output_shape == x.shape else random.to(first)
        counter, kept = count_step(copied, parts, optimizer, x, target)
        with torch.inference_mode():
            milliseconds, whole, done = time_steps(
                copied, parts, optimizer, x, target, steps, device
            )
        where = device_name(device)
    layers = {name: brief(layer) for name, layer in parts} | {
        "loss": repr(loss_of(copied)),
        "optimiser": "Adam",
    }
    rows = [
        row(key, layers[key[0]], milliseconds[key], counter.counts[key], kept.get(key, 0), rates)
        for name in layers
        for key in counter.counts
        if key[0] == name
    ]
    headline = (
        f"{getattr(model, 'name', None) or type(model).__name__}, a batch of {batch_size}, "
        f"{str(first.dtype).removeprefix('torch.')}, {where}, medians of {done} steps"
    )
    return Profile(pd.DataFrame(rows), headline, rates, {"eager": whole}, counter.peak)


def row(key: Key, layer: str, ms: float, count: Count, kept: int, rates: Rates) -> dict:
    """Return the row of the table for one pass."""
    floor = 1e3 * rates.floor(count.multiply_adds, count.traffic)
    return {
        "part": key[0],
        "layer": layer,
        "pass": key[1],
        "ms": ms,
        "floor_ms": floor,
        "ratio": ms / floor if floor else float("nan"),
        **vars(count),
        "kept": kept,
    }


def brief(layer: Layer) -> str:
    """Return the repr of the layer in one line."""
    return f"{type(layer).__name__}(...)" if "\n" in repr(layer) else repr(layer)


def device_name(device: torch.device) -> str:
    """Return 'CPU, 2 threads', or the name of the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {(count := torch.get_num_threads())} thread{'s'[: count > 1]}"


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Use this number of threads inside the block. None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def naming_the_batch(batch_size: int) -> Iterator[None]:
    """Raise ScratchaeError if the memory is too small for the batch."""
    try:
        yield
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        raise ScratchaeError(
            f"a batch of {batch_size:,} does not fit into the memory: use a smaller one"
        ) from error


def check(model: object, input_shape: tuple | None, **numbers: int | None) -> tuple[int, ...]:
    """Return the shape of one sample. Raises ScratchaeError if an argument is not valid."""
    names = [name for name, _ in parts_of(model)] if runs_in_order(model) else []
    if not names:
        raise ScratchaeError(
            "profile expects a Sequential or an Autoencoder whose layers run one after the other, but "
            f"got {'an empty' if runs_in_order(model) else 'a'} {type(model).__name__}: wrap a layer in "
            "Sequential(...) to measure it as one part"
        )
    if {"loss", "optimiser"} & set(names):
        raise ScratchaeError(
            "the names loss and optimiser are reserved in a profile: rename these layers of the model"
        )
    for name, value in numbers.items():
        most = (os.cpu_count() or 1) if name == "threads" else 2**31 - 1
        if name == "threads" and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ScratchaeError(
                f"profile expects {name} to be an integer from 1 to {most:,}, but got {value!r}"
            )
    shape = getattr(model, "input_shape", None) if input_shape is None else input_shape
    if shape is None:
        raise ScratchaeError(
            "profile needs the shape of one sample: give input_shape, such as (784,) or (1, 28, 28)"
        )
    return tuple(shape)
