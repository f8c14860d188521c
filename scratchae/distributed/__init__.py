"""Data parallel training: each process works on its part (shard) of every batch; the gradients are summed.

A process is called a worker. If the same program is started several times, as by
`torchrun --nproc-per-node 4 -m scratchae train fc`, `fit` finds the other workers. A program does not
have to call this package itself.
"""

from scratchae.distributed.batchnorm import join_statistics, join_sums, joined
from scratchae.distributed.engine import DataParallel
from scratchae.distributed.error_reporting import ErrorReporter, report_errors_once
from scratchae.distributed.sharding import check_batch_size, shard_by_batches, shard_of
from scratchae.distributed.workers import (
    WorkerLostError,
    Workers,
    broadcast_state,
    init_workers,
)

__all__ = [
    "DataParallel",
    "ErrorReporter",
    "WorkerLostError",
    "Workers",
    "broadcast_state",
    "check_batch_size",
    "init_workers",
    "join_statistics",
    "join_sums",
    "joined",
    "report_errors_once",
    "shard_by_batches",
    "shard_of",
]
