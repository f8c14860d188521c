"""Batches: the order in which training sees the images. Each epoch has its own permutation."""

from collections.abc import Iterator

import numpy as np
import torch

from scratchae.errors import ScratchaeError


class Batches:
    """Batches of indices into `n` images.

    `epoch(e)` iterates over the batches of epoch e. Each batch is an int64 tensor (batch_size,)
    on `device`; the last batch of an epoch may be shorter. Every image occurs exactly once in
    an epoch. The order depends only on the seed and the number of the epoch, and it is drawn on
    the CPU. So a run that resumes at epoch 3 sees the same batches as an uninterrupted run.
    With `shuffle=False` the order is 0, 1, ..., n - 1.

    Raises ScratchaeError if n or batch_size is below 1, or if seed or epoch is negative.

    >>> [index.tolist() for index in Batches(5, 2, shuffle=False).epoch(0)]
    [[0, 1], [2, 3], [4]]
    >>> batches = Batches(5, 2, seed=1)
    >>> sorted(batches.order(3).tolist()), bool((batches.order(3) == batches.order(3)).all())
    ([0, 1, 2, 3, 4], True)
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        seed: int = 0,
        device: torch.device | str = "cpu",
        *,
        shuffle: bool = True,
    ) -> None:
        if n < 1 or batch_size < 1 or seed < 0:
            raise ScratchaeError(
                f"Batches(n={n}, batch_size={batch_size}, seed={seed}) is not possible: "
                "n and batch_size must be at least 1, and seed at least 0"
            )
        self.n = n
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.shuffle = shuffle

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.n // self.batch_size)

    def order(self, epoch: int) -> torch.Tensor:
        """Return the order of the whole epoch: int64 (n,) on the device."""
        if epoch < 0:
            raise ScratchaeError(f"there is no epoch {epoch}: the first epoch is 0")
        if not self.shuffle:
            return torch.arange(self.n, device=self.device)
        # With seed + epoch, epoch 0 of seed 1 would equal epoch 1 of seed 0. SeedSequence
        # mixes the two numbers, so that no two orders are related.
        mixed = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        return torch.randperm(self.n, generator=generator).to(self.device)

    def epoch(self, epoch: int) -> Iterator[torch.Tensor]:
        """Iterate over the batches of one epoch."""
        return iter(self.order(epoch).split(self.batch_size))
