"""Contenders: the same training step in scratchae, torch.nn, torch.compile and JAX.

A factory takes a case and its images and returns a Contender. Its step is: zero the gradients,
forward, mean squared error, backward, Adam. All contenders start from the same weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from reference.benchmark.cases import ADAM, Case
from reference.benchmark.machine import version
from reference.twins import twin
from scratchae.engines import ENGINES, make_engine
from scratchae.errors import ScratchaeError
from scratchae.optim import Adam

REFERENCE = "torch.nn"  # with its defaults; all times and losses are compared with it


class UnusableError(Exception):
    """A contender cannot run here. The message says why."""


@dataclass
class Contender:
    """A training step, ready to be timed.

    step(x) is called for the elements x of `feed` in turn. It makes `steps_a_call` steps and returns
    the loss before each update. wait() returns when all steps are finished. compiled_bytes() is the
    memory of a step, if a compiler reports it.
    """

    step: Callable[[Any], Any]
    feed: list
    steps_a_call: int = 1
    wait: Callable[[], object] = lambda: None
    compiled_bytes: Callable[[], int] | None = None


Factory = Callable[[Case, Tensor], Contender]


def scratchae(case: Case, images: Tensor, engine: str) -> Contender:
    """An engine of scratchae. On a GPU a call is an epoch, so that the engine can run ahead."""
    model = case.build().train()
    if engine == "compile":
        check_compiler(case)
    try:
        stepper = make_engine(engine, model, Adam(model.parameters(), **ADAM))
    except ScratchaeError as error:
        raise UnusableError(str(error)) from error
    if case.device == "cpu":
        return Contender(stepper.step, case.batches(images))
    indices = torch.arange(len(images), device=images.device).split(case.batch_size)

    def epoch(_: None) -> Tensor:
        return stepper.epoch(images, indices) / len(images)

    return Contender(epoch, [None], case.count, torch.cuda.synchronize)


def torch_nn(case: Case, images: Tensor, **options) -> Contender:
    """torch.nn, autograd and torch.optim.Adam with these options."""
    model = twin(case.build()).train()
    optimizer = torch.optim.Adam(model.parameters(), **ADAM, **options)

    def step(x: Tensor) -> Tensor:
        loss = mse_loss(model(x), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Contender(step, case.batches(images), wait=waiter(case))


def torch_compile(case: Case, images: Tensor, mode: str | None = None) -> Contender:
    """The compiled forward and backward pass of torch.nn, then the fused Adam."""
    check_compiler(case)
    model = twin(case.build()).train()
    optimizer = torch.optim.Adam(model.parameters(), **ADAM, fused=True)
    loss_of = torch.compile(lambda x: mse_loss(model(x), x), mode=mode)

    def step(x: Tensor) -> Tensor:
        loss = loss_of(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Contender(step, case.batches(images), wait=waiter(case))


def torch_compile_whole(case: Case, images: Tensor, mode: str | None = None) -> Contender:
    """Forward, gradient and Adam in one compiled graph, so Adam is written as a formula."""
    check_compiler(case)
    model = twin(case.build()).train()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())
    m, v = ({name: torch.zeros_like(p) for name, p in parameters.items()} for _ in "mv")
    t = torch.zeros((), device=case.device)
    for tensor in (*parameters.values(), *buffers.values(), *m.values(), *v.values(), t):
        torch._dynamo.mark_static_address(
            tensor
        )  # otherwise a CUDA graph cannot change it in place

    def loss_of(parameters: dict, buffers: dict, x: Tensor) -> Tensor:
        return mse_loss(torch.func.functional_call(model, (parameters, buffers), (x,)), x)

    @torch.compile(fullgraph=True, mode=mode)
    def step(x: Tensor) -> Tensor:
        gradients, loss = torch.func.grad_and_value(loss_of)(parameters, dict(buffers), x)
        t.add_(1)
        scale, root = ADAM["lr"] / (1 - 0.9**t), (1 - 0.999**t).sqrt()
        for name, p in parameters.items():
            g = gradients[name] + ADAM["weight_decay"] * p
            m[name].lerp_(g, 0.1)
            v[name].mul_(0.999).addcmul_(g, g, value=0.001)
            p.sub_(scale * m[name] / (v[name].sqrt() / root + 1e-8))
        return loss

    return Contender(step, case.batches(images), wait=waiter(case))


def jax_jit(case: Case, images: Tensor, scan: bool) -> Contender:
    """JAX with jit and a donated state. With `scan`, one call makes the steps of all batches."""
    if version("jax") is None:
        raise UnusableError("JAX is not installed: pip install -e '.[bench]'")
    from reference.benchmark.jax_step import jax_contender

    return jax_contender(case, images, scan)


def waiter(case: Case) -> Callable[[], object]:
    """Return a function that waits for the device."""
    return torch.cuda.synchronize if case.device.startswith("cuda") else lambda: None


def check_compiler(case: Case) -> None:
    if case.device == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        raise UnusableError("torch.compile finds no C++ compiler: install g++")


def contenders(device: torch.device) -> dict[str, Factory]:
    """Return the factories of all contenders for a device, by name.

    >>> list(contenders(torch.device("cpu")))[:2]
    ['scratchae eager', 'scratchae buffered']
    """
    found: dict[str, Factory] = {
        f"scratchae {engine}": partial(scratchae, engine=engine) for engine in ENGINES
    }
    found |= {
        "torch.nn, Adam for-loop": partial(torch_nn, foreach=False),
        REFERENCE: torch_nn,
        "torch.nn, Adam foreach": partial(torch_nn, foreach=True),
        "torch.nn, Adam fused": partial(torch_nn, fused=True),
        "torch.compile": torch_compile,
        "torch.compile, whole step": torch_compile_whole,
    }
    if device.type == "cuda":
        found |= {
            "torch.compile, reduce-overhead": partial(torch_compile, mode="reduce-overhead"),
            "torch.compile, whole step, reduce-overhead": partial(
                torch_compile_whole, mode="reduce-overhead"
            ),
        }
    return found | {
        "JAX jit": partial(jax_jit, scan=False),
        "JAX scan": partial(jax_jit, scan=True),
    }


def compiles(name: str) -> bool:
    """Say whether the contender needs many seconds before its first step."""
    return "compile" in name
