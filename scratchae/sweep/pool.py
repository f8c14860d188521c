"""The images of a sweep: one pool on the device, from which each trial takes its batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from scratchae.data import Batches, Dataset
from scratchae.errors import ScratchaeError
from scratchae.models import Autoencoder
from scratchae.noise import noise_keys
from scratchae.training.preparation import checksum, keepsakes, pixels_for


@dataclass(frozen=True)
class SeedImages:
    """The images on which the trials of one seed are trained and tested.

    start: the index in the pool of the first of its n training images. test: (K, *input_shape), or None.
    kept: (k, *input_shape), the images whose reconstructions are stored after each epoch.
    """

    data: Dataset
    checksum: str
    test_checksum: str | None
    start: int
    test: Tensor | None
    kept: Tensor


class ImagePool:
    """The training images of all seeds, in one tensor `images` (K n, *input_shape).

    There are n images for each of K different data sets; equal data sets are stored once. data: one data
    set for all seeds, or {seed: data set}, if the test images are chosen by the seed. Raises
    ScratchaeError if a seed has no data set, or if the data sets differ in size.

    >>> from scratchae.data import Images
    >>> from scratchae.models import build
    >>> data = Dataset("blank", Images(torch.zeros(20, 28, 28, dtype=torch.uint8)))
    >>> pool = ImagePool(data, [0, 1], build("fc"), torch.device("cpu"))
    >>> pool.images.shape, pool.orders([0, 0, 1], epoch=1).shape
    (torch.Size([20, 784]), torch.Size([3, 20]))
    """

    def __init__(
        self,
        data: Dataset | Mapping[int, Dataset],
        seeds: Sequence[int],
        model: Autoencoder,
        device: torch.device,
    ) -> None:
        self.device = device
        self.parts: dict[int, SeedImages] = {}
        images: list[Tensor] = []
        known: dict[tuple, SeedImages] = {}
        for seed in seeds:
            if isinstance(data, Mapping) and seed not in data:
                raise ScratchaeError(
                    f"there is no data set for seed {seed}: give one for each seed"
                )
            own = data[seed] if isinstance(data, Mapping) else data
            tested = own.test or own.train
            key = (checksum(own.train), checksum(tested), own.test is None)
            if key not in known:
                test = None if own.test is None else pixels_for(model, own.test, device)
                kept = keepsakes(model, tested)
                tested_by = None if own.test is None else key[1]
                known[key] = SeedImages(own, key[0], tested_by, sum(map(len, images)), test, kept)
                images.append(pixels_for(model, own.train, device))
            self.parts[seed] = known[key]
        sizes = sorted({len(x) for x in images})
        if len(sizes) > 1:
            raise ScratchaeError(
                f"models that train in one step need equally many images, but the seeds have "
                f"{' and '.join(f'{n:,}' for n in sizes)}: cut the data sets to one size"
            )
        self.n, self.images = sizes[0], images[0] if len(images) == 1 else torch.cat(images)

    def orders(self, seeds: Sequence[int], epoch: int) -> Tensor:
        """Return indices (M, n) into the pool: for each seed, its images in the order of a single run."""
        own = {seed: Batches(self.n, 1, seed, self.device).order(epoch) for seed in set(seeds)}
        return torch.stack([own[seed] + self.parts[seed].start for seed in seeds])

    def keys(self, seeds: Sequence[int], epoch: int) -> Tensor:
        """Return keys (M, n) for random layers: for each seed, those of its images in a single run."""
        own = {seed: noise_keys(seed, epoch, self.n, self.device) for seed in set(seeds)}
        return torch.stack([own[seed] for seed in seeds])

    def batch(self, index: Tensor) -> Tensor:
        """Return the images (M, B, *input_shape) at index (M, B)."""
        return self.images.index_select(0, index.flatten()).unflatten(0, index.shape)
