"""Workers for tests: threads of one process, for many random cases, and real processes over gloo."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from scratchae.distributed import Workers, init_workers

PATIENCE = 300  # seconds for processes that should have ended long before
CONTEXT = multiprocessing.get_context("forkserver")  # imports torch once, then forks
CONTEXT.set_forkserver_preload(["tests.distributed.test_data_parallel"])


class ThreadWorker(Workers):
    """A worker that meets the others of its process at a barrier; what is sent lies on a table."""

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, table: list) -> None:
        super().__init__(rank, size)
        self.barrier, self.table = barrier, table

    def all_gather(self, x: torch.Tensor) -> torch.Tensor:
        self.table[self.rank] = x.clone()
        self.barrier.wait()
        everybodys = torch.stack(self.table)
        self.barrier.wait()
        return everybodys

    def sum(self, x: torch.Tensor) -> torch.Tensor:
        return x.copy_(self.all_gather(x).sum(0))


def in_threads(size: int, work: Callable, *args) -> list:
    """What work(workers, *args) gives for each of `size` workers, threads of this process."""
    barrier, table = threading.Barrier(size, timeout=PATIENCE), [None] * size

    def one(rank: int):
        try:
            return work(ThreadWorker(rank, size, barrier, table), *args)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(one, rank) for rank in range(size)]
        errors = [e for f in futures if (e := f.exception()) is not None]
        first = [e for e in errors if not isinstance(e, threading.BrokenBarrierError)]
        for error in first or errors:
            raise error
        return [future.result() for future in futures]


class Processes:
    """work(workers, *args) in `size` processes that meet over gloo, each with one thread."""

    def __init__(
        self, size: int, work: Callable, *args, log: str | os.PathLike | None = None
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        self.pipes, self.processes = [], []
        for rank in range(size):
            reader, writer = CONTEXT.Pipe(duplex=False)
            given = (rank, size, port, writer, log, work, args)
            self.processes.append(CONTEXT.Process(target=run_worker, args=given, daemon=True))
            self.pipes.append(reader)
            self.processes[-1].start()
            writer.close()

    def kill(self, rank: int) -> None:
        self.processes[rank].kill()

    def results(self) -> list:
        """What each gave: its result, the exception it raised, or, where it just ended, its exit code."""
        found = []
        for reader, process in zip(self.pipes, self.processes, strict=True):
            try:
                found.append(pickle.loads(reader.recv_bytes()) if reader.poll(PATIENCE) else None)
            except EOFError:
                found.append(None)
            process.join(PATIENCE)
            if process.is_alive():
                for left in self.processes:
                    left.kill()
                raise AssertionError("a worker hung")
            if found[-1] is None:
                found[-1] = process.exitcode
        return found


def together(size: int, work: Callable, *args) -> list:
    """The results of work(workers, *args) in processes; what one raises is raised here."""
    results = Processes(size, work, *args).results()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def run_worker(rank, size, port, writer, log, work, args) -> None:
    """The life of one process."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    if log is not None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
    try:
        result = work(init_workers(), *args)
    except Exception as error:
        error.add_note(f"in worker {rank}:\n{traceback.format_exc()}")
        result = error
    writer.send_bytes(pickle.dumps(result))
