"""The images of each epoch: augmented, binarised and corrupted anew.

    pixels ──augmentation──> moved ──binarisation──> binary ──corruption──> input of the model
                                                       └─> model.target ──> target

Each of the three may be left out. The target moves with the augmentation, and stays free of noise. The
random numbers of an image are a function of the seed, the epoch and its number alone. So every engine, every
worker and a resumed run see the same images.
"""

from __future__ import annotations

from torch import Tensor

from scratchae.data import Augmentation, Corruption
from scratchae.data.binarise import binarise, binarise_once
from scratchae.losses import check_targets
from scratchae.models import Autoencoder
from scratchae.noise import noise_keys, split_keys
from scratchae.step import loss_of

# numbers of splits; random layers have those from 0
AUGMENTATION, CORRUPTION, BINARISATION = 2**20, 2**20 + 1, 2**20 + 2
CHUNK = 1000  # images at a time: the places of their pixels need 30 times the memory of the images


class EpochImages:
    """The images (N, ...) of a model for each epoch, and the keys of its random layers.

    binarisation: "none", "dynamic" (drawn anew in each epoch) or "static" (drawn once). Raises
    ScratchaeError if the images are outside of the range that the model's loss is made for.

    >>> import torch
    >>> from scratchae.models import build
    >>> model, x = build("fc"), torch.full((3, 784), -1.0)
    >>> images = EpochImages(model, x, seed=0, corruption=Corruption(noise=0.3))
    >>> noisy, targets, keys = images.epoch(1)
    >>> torch.equal(targets, x), torch.equal(noisy, images.epoch(1)[0])
    (True, True)
    >>> torch.equal(noisy.clone(), images.epoch(2)[0])
    False
    """

    def __init__(
        self,
        model: Autoencoder,
        images: Tensor,
        seed: int,
        corruption: Corruption | None = None,
        augmentation: Augmentation | None = None,
        binarisation: str = "none",
    ) -> None:
        if binarisation == "static":
            images = binarise_once(images, "train")
        self.model, self.images, self.seed = model, images, seed
        self.corruption, self.augmentation = corruption, augmentation
        self.dynamic = binarisation == "dynamic"
        self.constant = not (corruption or augmentation or self.dynamic)
        self.inputs, self.targets = images_and_targets(model, images)
        check_targets(loss_of(model), images if self.targets is None else self.targets)
        random = any(layer.random for _, layer in model.modules())
        self.keys = noise_keys(seed, 0, len(images), images.device) if random else None
        if not self.constant:
            self.inputs = images.clone()
            if corruption or self.targets is not None:
                self.targets = model.target(images).clone()

    def epoch(self, epoch: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return the inputs (N, ...), the targets (N, ...) and the keys (N,) of an epoch.

        The targets are None if they are the inputs; the keys are None if no layer is random. The next call
        overwrites these tensors. So a recorded CUDA graph finds them at the same address.
        """
        keys = noise_keys(self.seed, epoch, len(self.images), self.images.device)
        if self.keys is not None:
            self.keys.copy_(keys)
        if self.constant:
            return self.inputs, self.targets, self.keys
        for start in range(0, len(self.images), CHUNK):
            part = slice(start, start + CHUNK)
            moved = self.images[part]
            if self.augmentation:
                own = split_keys(keys[part], AUGMENTATION)
                moved = self.augmentation(moved, own, self.model.pixel_range)
            if self.dynamic:
                moved = binarise(moved.clamp(0, 1), split_keys(keys[part], BINARISATION))
            if self.targets is not None:
                self.targets[part] = self.model.target(moved)
            self.inputs[part] = corrupted(self.model, moved, keys[part], self.corruption)
        return self.inputs, self.targets, self.keys


def corrupted(
    model: Autoencoder, images: Tensor, keys: Tensor, corruption: Corruption | None
) -> Tensor:
    """Return the images with the noise of these keys; without a corruption, as they are."""
    if not corruption:
        return images
    return corruption(images, split_keys(keys, CORRUPTION), model.pixel_range)


def corrupted_keepsakes(
    model: Autoencoder, kept: Tensor, seed: int, corruption: Corruption | None
) -> Tensor:
    """Return the images (K, ...) that a run keeps, with the same noise in every epoch.

    >>> import torch
    >>> from scratchae.models import build
    >>> kept = torch.zeros(10, 784)
    >>> corrupted_keepsakes(build("fc"), kept, 0, None) is kept
    True
    """
    return corrupted(model, kept, noise_keys(seed, 0, len(kept), kept.device), corruption)


def images_and_targets(model: Autoencoder, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return (images, targets), both (N, ...); targets is None if the images are their own targets.

    >>> import torch
    >>> from scratchae.models import build
    >>> images_and_targets(build("fc"), torch.zeros(2, 784))[1] is None
    True
    """
    targets = model.target(images)
    return images, None if targets is images else targets
