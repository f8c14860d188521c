"""Sharding: divide the images of a batch, and the batches of the test images, among the workers."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


def shard_of(batch: Tensor, rank: int, size: int) -> Tensor:
    """Return the shard of worker `rank` of `size`: some rows of batch (N, ...), as a view. It may be empty.

    The shards of all workers, one after the other, are the batch. Their sizes differ by at most one row.

    >>> [shard_of(torch.arange(7), rank, 3).tolist() for rank in range(3)]
    [[0, 1], [2, 3], [4, 5, 6]]
    """
    n = len(batch)
    return batch[n * rank // size : n * (rank + 1) // size]


def shard_by_batches(images: Tensor, rank: int, size: int, batch_size: int = 500) -> Tensor:
    """Return the images that worker `rank` of `size` evaluates: the batches rank, rank + size, and so on.

    images: (N, ...). The batches are those of a single process, so that the result for all workers is
    the same even if a BatchNorm has no running statistics.

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
