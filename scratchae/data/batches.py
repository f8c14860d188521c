"""The order in which the images are seen: a new permutation each epoch, always the same one."""

from collections.abc import Iterator

import numpy as np
import torch

from scratchae.errors import ScratchaeError


class Batches:
    """Batches of indices into `n` images.

    for index in batches.epoch(3): each index is int64 (batch_size,) on `device`; the last
    one of an epoch may be shorter. Every image comes once an epoch. The order of an epoch
    is drawn on the CPU from (seed, epoch) and depends on nothing else, so a run that
    resumes at epoch 3 sees what an uninterrupted one sees. `shuffle=False` keeps 0..n-1.

    n >= 1, batch_size >= 1, seed >= 0 and epoch >= 0, or ScratchaeError.

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
                f"Batches(n={n}, batch_size={batch_size}, seed={seed}) cannot be: "
                "n and batch_size are at least 1, and a seed at least 0"
            )
        self.n = n
        self.batch_size = batch_size
        self.seed = seed
        self.device = device
        self.shuffle = shuffle

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return -(-self.n // self.batch_size)

    def order(self, epoch: int) -> torch.Tensor:
        """The whole epoch at once: int64 (n,) on the device."""
        if epoch < 0:
            raise ScratchaeError(f"there is no epoch {epoch}: the first one is 0")
        if not self.shuffle:
            return torch.arange(self.n, device=self.device)
        # seed + epoch would give seed 1 the epochs of seed 0, one later: SeedSequence mixes.
        mixed = np.random.SeedSequence([self.seed, epoch]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        return torch.randperm(self.n, generator=generator).to(self.device)

    def epoch(self, epoch: int) -> Iterator[torch.Tensor]:
        return iter(self.order(epoch).split(self.batch_size))
