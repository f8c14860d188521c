"""Workers: the processes that train together, and the few things that they say to each other.

Who there is stands in the environment: RANK (this worker's number, from 0), WORLD_SIZE (how many),
LOCAL_RANK and LOCAL_WORLD_SIZE (the same on this machine), MASTER_ADDR and MASTER_PORT (where to
meet). torchrun sets them all.
"""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from scratchae.errors import ScratchaeError

# Longer than a slow download or a laptop's nap; a worker that dies is noticed at once anyway.
TIMEOUT = timedelta(minutes=5)
CPU = torch.device("cpu")
T = TypeVar("T")


class WorkerLostError(ScratchaeError):
    """Another worker did not take part: it has died, or its machine cannot be reached.

    >>> print(WorkerLostError("worker 1 of 2 cannot be reached"))
    worker 1 of 2 cannot be reached
    """


class Workers:
    """This process among those that train together; with size 1 it is alone and nothing is sent.

    rank: its number; rank 0 is the one that writes and prints. store: where workers can leave notes
    that outlive them, a torch.distributed Store, or None.

    Whatever is sent has to be asked for by all workers, in the same order.

    >>> alone = Workers()
    >>> alone.sum(torch.tensor([1.0, 2.0])).tolist(), alone.gather(torch.tensor([3.0])).tolist()
    ([1.0, 2.0], [[3.0]])
    >>> alone.first(lambda: "said by rank 0, heard by all")
    'said by rank 0, heard by all'
    """

    def __init__(self, rank: int = 0, size: int = 1, store: dist.Store | None = None) -> None:
        self.rank, self.size, self.store = rank, size, store

    def __deepcopy__(self, memo: dict) -> Workers:
        """Itself: a copy of a model talks to the same workers."""
        return self

    @property
    def writes(self) -> bool:
        """Is this the worker that writes and prints?"""
        return self.rank == 0

    def sum(self, x: Tensor) -> Tensor:
        """x becomes the sum of all workers' x, in place: one all-reduce."""
        if self.size > 1:
            with reaching_others():
                dist.all_reduce(x)
        return x

    def gather(self, x: Tensor) -> Tensor:
        """Every worker's x, (size, *x.shape), in order of rank."""
        if self.size == 1:
            return x[None]
        everybodys = x.new_empty(self.size, *x.shape)
        with reaching_others():
            dist.all_gather(list(everybodys), x)
        return everybodys

    def copy_first(self, x: Tensor) -> None:
        """x becomes rank 0's x, in place."""
        if self.size > 1:
            with reaching_others():
                dist.broadcast(x, 0)

    def mean(self, value: Callable[[], float], count: int) -> float:
        """The mean of what all workers find, each counting `count` times, also not at all."""
        if self.size == 1:
            return value()
        total = self.sum(
            torch.tensor([value() * count if count else 0.0, count], dtype=torch.float64)
        )
        return (total[0] / total[1]).item()

    def first(self, work: Callable[[], T]) -> T:
        """What `work` gives on rank 0, for all; where it raises ScratchaeError there, all raise it."""
        if self.size == 1:
            return work()
        said: list[Any] = [None, None]  # the result, or what was wrong
        if self.rank == 0:
            try:
                said[0] = work()
            except ScratchaeError as error:
                said[1] = str(error)
        with reaching_others():
            dist.broadcast_object_list(said, 0, device=CPU)
        if said[1] is not None:
            raise ScratchaeError(said[1])
        return said[0]

    def after_first(self, work: Callable[[], T]) -> T:
        """What `work` gives here; rank 0 comes first, and the others find the files that it left."""
        own: list[T] = []
        self.first(lambda: own.append(work()))
        return own[0] if own else work()

    @property
    def launcher(self) -> str:
        """The beginning of the command that starts as many workers again.

        >>> Workers().launcher
        'scratchae'
        """
        if self.size == 1:
            return "scratchae"
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        machines = f"--nnodes {self.size // here} " if self.size > here else ""
        return f"torchrun {machines}--nproc-per-node {here} -m scratchae"

    def place(self, device: torch.device) -> torch.device:
        """The device of this worker: of GPUs, each worker of a machine takes its own."""
        if self.size == 1 or device.type != "cuda":
            return device
        here, gpus = int(os.environ.get("LOCAL_RANK", self.rank)), torch.cuda.device_count()
        if here >= gpus:
            raise ScratchaeError(
                f"worker {self.rank} finds no GPU of its own, this machine has {gpus}: start as many "
                "workers as there are GPUs, or use --device cpu"
            )
        torch.cuda.set_device(here)
        return torch.device("cuda", here)


@contextmanager
def reaching_others() -> Iterator[None]:
    """One sentence where another worker does not answer."""
    try:
        yield
    except RuntimeError as error:  # torch's own kinds of it, and gloo's, which has none
        first_line = str(error).partition("\n")[0]
        raise WorkerLostError(
            "another worker has ended or cannot be reached: start all of them again with --resume "
            f"(resume=True) to go on from the last checkpoint ({first_line})"
        ) from error


@functools.cache
def join() -> Workers:
    """This process among its like, as the environment has it; alone where that names no others.

    Waits until all of them are there. Raises ScratchaeError where they cannot meet.

    >>> join().size
    1
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return Workers()
    if not dist.is_available():
        raise ScratchaeError(
            f"WORLD_SIZE is {size}, but this torch was built without torch.distributed: "
            "start one process, or install another torch"
        )
    share_cores()
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
        # one for tensors on each kind of device; notes between workers lie on the CPU
        nccl = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if nccl else "gloo",
            store=dist.PrefixStore("group", store),
            rank=rank,
            world_size=size,
            timeout=TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise ScratchaeError(
            f"the {size} workers that WORLD_SIZE asks for could not meet: start them by torchrun "
            f"--nproc-per-node {size} ({str(error).partition(chr(10))[0]})"
        ) from error
    atexit.register(leave)
    return Workers(rank, size, dist.PrefixStore("notes", store))


def leave() -> None:
    """Close the connections to the others."""
    if dist.is_initialized():
        dist.destroy_process_group()
    join.cache_clear()


def share_cores() -> None:
    """Divide the machine's cores among its workers, unless OMP_NUM_THREADS says otherwise.

    torchrun sets it to 1 where nobody has, so 1 says nothing.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 0))
    if here and os.environ.get("OMP_NUM_THREADS", "1") == "1":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        torch.set_num_threads(max(1, cores // here))
