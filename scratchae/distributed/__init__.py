"""Data parallel training: every process works on its share of each batch, and gradients are summed.

Start the same program several times, as `torchrun --nproc-per-node 4 -m scratchae train fc` does,
and `fit` finds the others; no call to anything in here is needed.
"""

from scratchae.distributed.batchnorm import SyncBatchNorm1d, SyncBatchNorm2d
from scratchae.distributed.broadcast import same_start
from scratchae.distributed.buffered import BufferedSyncBatchNorm
from scratchae.distributed.convert import convert_sync_batchnorm, revert_sync_batchnorm
from scratchae.distributed.engine import DataParallel
from scratchae.distributed.error_reporting import one_voice
from scratchae.distributed.sharding import check_batch_size, dealt_out, share_of
from scratchae.distributed.workers import WorkerLostError, Workers, join

__all__ = [
    "BufferedSyncBatchNorm",
    "DataParallel",
    "SyncBatchNorm1d",
    "SyncBatchNorm2d",
    "WorkerLostError",
    "Workers",
    "check_batch_size",
    "convert_sync_batchnorm",
    "dealt_out",
    "join",
    "one_voice",
    "revert_sync_batchnorm",
    "same_start",
    "share_of",
]
