"""Measurements for the scaling model: steps of one process, and two processes with gloo."""

from __future__ import annotations

import multiprocessing
import os
import socket
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist

from scratchae.distributed import DataParallel, Workers, init_workers
from scratchae.engines import make_engine
from scratchae.models import build
from scratchae.optim import Adam
from scratchae.training.floating_point import flushing_denormals

SIZES = [2**k for k in range(2, 23, 2)]  # of an all-reduce, in bytes


def median_seconds(work: Callable[[], object], seconds: float, least: int = 5) -> float:
    """Return the median time of `work`, measured for about `seconds`, after two calls to warm up."""
    for _ in range(2):
        work()
    times: list[float] = []
    while len(times) < least or sum(times) < seconds:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def make_step(
    name: str, batch: int, workers: Workers, device: torch.device
) -> Callable[[], object]:
    """Return a function that makes a step of data-parallel training on `batch` random images."""
    model = build(name, seed=0).to(device)
    optimizer = Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)
    kind = "buffered" if device.type == "cpu" else "eager"
    engine = DataParallel(make_engine(kind, model, optimizer), workers)
    x = torch.rand(batch, *model.input_shape, device=device) * 2 - 1
    return lambda: engine.step(x).item()


def step_seconds(name: str, batch: int, device: torch.device, seconds: float) -> float:
    """Return the seconds of a step of one process with one thread, without communication."""
    return median_seconds(make_step(name, batch, Workers(), device), seconds)


def two_processes(names: list[str], batch: int, seconds: float) -> dict:
    """Measure two processes: seconds of an all-reduce (gloo) by bytes, and of a step by model.

    "beside": a step if both run at the same time without communication. It shows the cost of sharing
    caches and memory. "step": a step if they train together.
    """
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    given = (port, names, batch, seconds, queue)
    processes = [context.Process(target=one_of_two, args=(rank, *given)) for rank in range(2)]
    for process in processes:
        process.start()
    found = queue.get()
    for process in processes:
        process.join()
    return found


def one_of_two(rank: int, port: int, names: list[str], batch: int, seconds: float, queue) -> None:
    """Run one of the two processes. Rank 0 sends the results."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    workers, cpu = init_workers(), torch.device("cpu")
    with flushing_denormals():
        reduce = {
            size: statistics.mean(
                agreed_times(
                    partial(dist.all_reduce, torch.zeros(size // 4)), seconds, between=True
                )
            )
            for size in SIZES
        }
        beside, step = (
            {
                name: statistics.median(agreed_times(make_step(name, batch, who, cpu), 4 * seconds))
                for name in names
            }
            for who in (Workers(), workers)
        )
    if rank == 0:
        queue.put({"all_reduce": reduce, "beside": beside, "step": step})
    dist.barrier()


def agreed_times(work: Callable[[], object], seconds: float, between: bool = False) -> list[float]:
    """Return the times of `work`, which both processes call equally often for about `seconds`.

    between: compute something before each call, without timing it. A message then costs more than one
    of many in a row: a process must be woken, and the earlier process waits. So it is in a step.
    """
    matrix, times, count = torch.rand(300, 300), [], 20
    while len(times) < count:
        if between:
            matrix @ matrix
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
        if len(times) == 10:
            enough = torch.tensor([seconds / statistics.mean(times[5:])])
            dist.broadcast(enough, 0)
            count = max(20, min(2000, int(enough)))
    return times[5:]
