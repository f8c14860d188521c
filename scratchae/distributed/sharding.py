"""Shares: who works on which images of a batch, and on which batches of the test images."""

from __future__ import annotations

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError


def share_of(batch: Tensor, rank: int, size: int) -> Tensor:
    """The rows of batch (N, ...) that worker `rank` of `size` works on: a view, maybe an empty one.

    The shares lie behind one another, make up the batch, and differ by one row at most.

    >>> [share_of(torch.arange(7), rank, 3).tolist() for rank in range(3)]
    [[0, 1], [2, 3], [4, 5, 6]]
    """
    n = len(batch)
    return batch[n * rank // size : n * (rank + 1) // size]


def dealt_out(images: Tensor, rank: int, size: int, batch_size: int = 500) -> Tensor:
    """Of images (N, ...), every size-th batch, from number `rank` on: what a worker evaluates.

    Whole batches, those that one process would evaluate, so that the joined result is the same also
    where a BatchNorm has no running statistics.

    >>> dealt_out(torch.arange(7), rank=1, size=2, batch_size=2).tolist()
    [2, 3, 6]
    """
    if size == 1:
        return images
    return torch.cat([images[:0], *images.split(batch_size)[rank::size]])


def check_batch_size(batch_size: int, size: int) -> None:
    """One sentence where some of `size` workers would never have anything to do.

    >>> check_batch_size(2, 3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: a batch of 2 cannot be shared by 3 workers: ...
    """
    if batch_size < size:
        raise ScratchaeError(
            f"a batch of {batch_size} cannot be shared by {size} workers: raise batch_size to {size} "
            "or more, or start fewer of them"
        )
