"""Workers: the processes that train together, and the messages between them.

Environment variables describe the workers: RANK (the number of this worker, from 0), WORLD_SIZE (the
number of workers), LOCAL_RANK and LOCAL_WORLD_SIZE (the same two for this machine alone), and
MASTER_ADDR and MASTER_PORT (the address to which all connect). torchrun sets these variables.
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
from scratchae.layers import Layer
from scratchae.optim import Optimizer

# Long enough for a slow download or a laptop that sleeps. If a worker dies, the others notice it at once.
TIMEOUT = timedelta(minutes=5)
CPU = torch.device("cpu")
T = TypeVar("T")


class WorkerLostError(ScratchaeError):
    """Another worker did not answer: it has died, or its machine cannot be reached.

    >>> print(WorkerLostError("worker 1 of 2 cannot be reached"))
    worker 1 of 2 cannot be reached
    """


class Workers:
    """The connection of this process to the other workers. If size is 1, there are none, and nothing is sent.

    rank: the number of this process; rank 0 writes files and prints. size: the number of workers. store:
    None, or a torch.distributed Store, in which a worker can leave notes that remain after its end.

    All workers must call the methods that send something, and in the same order.

    >>> alone = Workers()
    >>> alone.sum(torch.tensor([1.0, 2.0])).tolist(), alone.all_gather(torch.tensor([3.0])).tolist()
    ([1.0, 2.0], [[3.0]])
    >>> alone.from_rank_0(lambda: "found by rank 0, returned to all")
    'found by rank 0, returned to all'
    """

    def __init__(self, rank: int = 0, size: int = 1, store: dist.Store | None = None) -> None:
        self.rank, self.size, self.store = rank, size, store

    def __deepcopy__(self, memo: dict) -> Workers:
        """Return this object itself: the copy of an object that uses it sends to the same workers."""
        return self

    @property
    def is_rank_0(self) -> bool:
        """True if this is the worker that writes files and prints."""
        return self.rank == 0

    def sum(self, x: Tensor) -> Tensor:
        """Replace x, in place, by the sum of all workers' x, and return it. This is an all-reduce."""
        if self.size > 1:
            with lost_workers():
                dist.all_reduce(x)
        return x

    def all_gather(self, x: Tensor) -> Tensor:
        """Return the x of all workers, in the order of their ranks, as one tensor (size, *x.shape)."""
        if self.size == 1:
            return x[None]
        gathered = x.new_empty(self.size, *x.shape)
        with lost_workers():
            dist.all_gather(list(gathered), x)
        return gathered

    def broadcast(self, x: Tensor) -> None:
        """Replace x by rank 0's x, in place."""
        if self.size > 1:
            with lost_workers():
                dist.broadcast(x, 0)

    def mean(self, value: Callable[[], float], count: int) -> float:
        """Return the weighted mean of all workers' values. count: this worker's weight; it may be 0."""
        if self.size == 1:
            return value()
        total = self.sum(
            torch.tensor([value() * count if count else 0.0, count], dtype=torch.float64)
        )
        return (total[0] / total[1]).item()

    def from_rank_0(self, work: Callable[[], T]) -> T:
        """Call `work` on rank 0 only; return its result on all workers.

        If it raises ScratchaeError, all workers raise this error.
        """
        if self.size == 1:
            return work()
        sent: list[Any] = [None, None]  # the result, or the text of the error
        if self.rank == 0:
            try:
                sent[0] = work()
            except ScratchaeError as error:
                sent[1] = str(error)
        with lost_workers():
            dist.broadcast_object_list(sent, 0, device=CPU)
        if sent[1] is not None:
            raise ScratchaeError(sent[1])
        return sent[0]

    def rank_0_first(self, work: Callable[[], T]) -> T:
        """Call `work` on rank 0, and then on the other workers; return this worker's own result.

        So the files that rank 0 writes are there when the others look for them.
        """
        own: list[T] = []
        self.from_rank_0(lambda: own.append(work()))
        return own[0] if own else work()

    @property
    def launcher(self) -> str:
        """The beginning of the command that starts the same number of workers again.

        >>> Workers().launcher
        'scratchae'
        """
        if self.size == 1:
            return "scratchae"
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        machines = f"--nnodes {self.size // here} " if self.size > here else ""
        return f"torchrun {machines}--nproc-per-node {here} -m scratchae"

    def own_device(self, device: torch.device) -> torch.device:
        """Return the device of this worker. On CUDA, each worker of a machine gets a different GPU.

        Raises ScratchaeError if the machine has too few GPUs.
        """
        if self.size == 1 or device.type != "cuda":
            return device
        here, gpus = int(os.environ.get("LOCAL_RANK", self.rank)), torch.cuda.device_count()
        if here >= gpus:
            raise ScratchaeError(
                f"there is no GPU for worker {self.rank}, because this machine has only {gpus}: start "
                "as many workers as there are GPUs, or use --device cpu"
            )
        torch.cuda.set_device(here)
        return torch.device("cuda", here)


@contextmanager
def lost_workers() -> Iterator[None]:
    """Inside the block, raise WorkerLostError if another worker does not answer."""
    try:
        yield
    except RuntimeError as error:  # torch raises subclasses of it, but gloo raises it itself
        first_line = str(error).partition("\n")[0]
        raise WorkerLostError(
            "another worker has ended or cannot be reached: start all of them again with --resume "
            f"(resume=True) to continue from the last checkpoint ({first_line})"
        ) from error


def broadcast_state(model: Layer, optimizer: Optimizer, workers: Workers) -> None:
    """Copy the parameters, the buffers and the optimizer's state of rank 0 to all workers, bit for bit.

    >>> from scratchae.layers import Linear
    >>> from scratchae.optim import Adam
    >>> model = Linear(3, 3)
    >>> broadcast_state(model, Adam(model.parameters()), Workers())
    """
    buffers = [tensor for _, tensor in model.named_buffers()]
    for tensor in (optimizer.value, *optimizer.state.values(), *buffers):
        workers.broadcast(tensor)
    optimizer.steps = workers.from_rank_0(lambda: optimizer.steps)


@functools.cache
def init_workers() -> Workers:
    """Connect this process to the workers that the environment variables describe; return its Workers.

    If they describe no others, size is 1. Waits until all workers are connected. Raises ScratchaeError
    if they cannot be connected.

    >>> init_workers().size
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
    divide_cores()
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=TIMEOUT))
        # one backend for the tensors of each kind of device; objects are sent from the CPU
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
            f"WORLD_SIZE is {size}, but this worker could not connect to the others: start them by "
            f"torchrun --nproc-per-node {size} ({str(error).partition(chr(10))[0]})"
        ) from error
    atexit.register(close_workers)
    return Workers(rank, size, dist.PrefixStore("notes", store))


def close_workers() -> None:
    """Close the connections to the other workers."""
    if dist.is_initialized():
        dist.destroy_process_group()
    init_workers.cache_clear()


def divide_cores() -> None:
    """Divide the machine's cores among its workers, unless OMP_NUM_THREADS is set.

    The value 1 counts as not set, because torchrun itself sets it to 1 if the user does not set it.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 0))
    if here and os.environ.get("OMP_NUM_THREADS", "1") == "1":
        can_tell = hasattr(os, "sched_getaffinity")  # the cores that this process may use
        cores = len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // here))
