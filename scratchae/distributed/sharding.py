"""Sharding: which worker works on which images of a batch, and on which batches of the test images."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


def shard_of(batch: Tensor, rank: int, size: int) -> Tensor:
    """Return the rows of batch (N, ...) that worker `rank` of `size` works on: a view, maybe empty.

    The shards follow one another, make up the batch, and differ by one row at most.

    >>> [shard_of(torch.arange(7), rank, 3).tolist() for rank in range(3)]
    [[0, 1], [2, 3], [4, 5, 6]]
    """
    n = len(batch)
    return batch[n * rank // size : n * (rank + 1) // size]


def shard_by_batches(images: Tensor, rank: int, size: int, batch_size: int = 500) -> Tensor:
    """Return every size-th batch of images (N, ...), from number `rank` on: what a worker evaluates.

    The batches are those that one process would evaluate, so that the joined result is the same even
    if a BatchNorm has no running statistics.

    >>> shard_by_batches(torch.arange(7), rank=1, size=2, batch_size=2).tolist()
    [2, 3, 6]
    """
    if size == 1:
        return images
    return torch.cat([images[:0], *images.split(batch_size)[rank::size]])


def check_batch_size(batch_size: int, size: int) -> None:
    """Raise ScratchaeError if a batch has fewer images than there are workers.

    >>> check_batch_size(2, 3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: a batch of 2 cannot be divided among 3 workers: ...
    """
    if batch_size < size:
        raise ScratchaeError(
            f"a batch of {batch_size} cannot be divided among {size} workers: raise batch_size to "
            f"{size} or more, or start fewer workers"
        )
