"""profile: where a training step's time and memory go, beside what arithmetic asks for."""

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
    """Time and count a training step, layer by layer: MSE, Adam, a random batch in [-1, 1] from `seed`.

    What runs is a copy of the model in training mode, on the model's device, denormals flushed as
    in training; times are medians over `steps`, or over fewer where these take long. The target is
    the input, or where the output has another shape a random one. input_shape: one sample's; an
    Autoencoder knows its own. threads: of the CPU; None takes torch's. rates: of the machine; None
    measures them.

    Raises ScratchaeError for a model that is no Sequential, and where such a batch does not fit it
    or the memory.

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
        where = in_words(device)
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
    """The table's row of one pass."""
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
    """Its repr, in one line."""
    return f"{type(layer).__name__}(...)" if "\n" in repr(layer) else repr(layer)


def in_words(device: torch.device) -> str:
    """'CPU, 2 threads', or the name of the GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {(count := torch.get_num_threads())} thread{'s'[: count > 1]}"


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """So many threads inside; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def naming_the_batch(batch_size: int) -> Iterator[None]:
    """One sentence where the memory is too small."""
    try:
        yield
    except RuntimeError as error:
        if "allocate" not in str(error):
            raise
        raise ScratchaeError(
            f"a batch of {batch_size:,} does not fit into the memory: use a smaller one"
        ) from error


def check(model: object, input_shape: tuple | None, **numbers: int | None) -> tuple[int, ...]:
    """The shape of one sample; one sentence where the arguments do not fit."""
    names = [name for name, _ in parts_of(model)] if runs_in_order(model) else []
    if not names:
        raise ScratchaeError(
            "profile wants a Sequential or an Autoencoder with layers that run one after the other, "
            f"but got {'an empty' if runs_in_order(model) else 'a'} {type(model).__name__}: wrap a layer "
            "in Sequential(...) to see it as one part"
        )
    if {"loss", "optimiser"} & set(names):
        raise ScratchaeError(
            "profile lists the loss and the optimiser by these names: call the model's layers otherwise"
        )
    for name, value in numbers.items():
        most = os.cpu_count() if name == "threads" else 2**31 - 1
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole and 1 <= value <= most) and not (name == "threads" and value is None):
            raise ScratchaeError(
                f"profile wants {name} to be a whole number from 1 to {most:,}, but got {value!r}"
            )
    shape = getattr(model, "input_shape", None) if input_shape is None else input_shape
    if shape is None:
        raise ScratchaeError(
            "profile has to know the shape of one sample: give input_shape, such as (784,) or (1, 28, 28)"
        )
    return tuple(shape)
