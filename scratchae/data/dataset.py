"""Images with their labels, and the scale of the pixels that a model sees.

    pixel 0 .. 255   ->   x = pixel / 255, in [0, 1]   ->   2 x - 1, in [-1, 1]

[-1, 1] is the range of Tanh, the last layer of some decoders. Other models take pixels in [0, 1].
"""

from dataclasses import dataclass

import numpy as np
import torch

from scratchae.errors import ScratchaeError

DIGITS = tuple("0123456789")  # the names of the classes, if nothing else is known


def normalise(
    pixels: torch.Tensor,
    dtype: torch.dtype = torch.float32,
    pixel_range: tuple[float, float] = (-1.0, 1.0),
) -> torch.Tensor:
    """Scale uint8 pixels, 0..255, to numbers of `dtype` in pixel_range. The shape is kept.

    >>> normalise(torch.tensor([0, 51, 255], dtype=torch.uint8))
    tensor([-1.0000, -0.6000,  1.0000])
    >>> normalise(torch.tensor([0, 51, 255], dtype=torch.uint8), pixel_range=(0, 1))
    tensor([0.0000, 0.2000, 1.0000])
    """
    low, high = pixel_range
    return pixels.to(dtype) / 255 * (high - low) + low


def denormalise(x: torch.Tensor, pixel_range: tuple[float, float] = (-1.0, 1.0)) -> torch.Tensor:
    """Scale numbers in pixel_range back to uint8 pixels: rounded, and clamped to 0..255.

    >>> denormalise(torch.tensor([-1.0, 1.0, 7.0])).tolist()
    [0, 255, 255]
    """
    low, high = pixel_range
    return ((x - low) / (high - low) * 255).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True, eq=False)
class Images:
    """Grey images of 28 x 28 pixels, and their classes if they are known.

    pixels: uint8 (N, 28, 28), from 0 (background) to 255 (ink).
    labels: int64 (N,), from 0 to 9, or None.
    Raises ScratchaeError if a tensor has another type or shape.

    >>> images = Images(torch.zeros(3, 28, 28, dtype=torch.uint8), torch.tensor([7, 2, 1]))
    >>> len(images), images.select(torch.tensor([2, 0])).labels.tolist()
    (3, [1, 7])
    >>> images.normalised().shape, images.normalised().unique().item()
    (torch.Size([3, 1, 28, 28]), -1.0)
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.pixels.dtype != torch.uint8 or self.pixels.shape[1:] != (28, 28):
            raise ScratchaeError(
                f"Images expects pixels of uint8 (N, 28, 28) but got "
                f"{str(self.pixels.dtype).removeprefix('torch.')} {tuple(self.pixels.shape)}: "
                "reshape them, or convert scaled pixels with denormalise()"
            )
        if self.labels is None:
            return
        if self.labels.dtype != torch.int64 or self.labels.shape != self.pixels.shape[:1]:
            raise ScratchaeError(
                f"Images expects labels of int64 ({len(self)},), one for each image, but got "
                f"{str(self.labels.dtype).removeprefix('torch.')} {tuple(self.labels.shape)}: "
                "pass labels.long(), or None"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, index: torch.Tensor) -> "Images":
        """Return the images at `index`, an int64 tensor (M,), in that order."""
        return Images(self.pixels[index], None if self.labels is None else self.labels[index])

    def normalised(
        self,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        pixel_range: tuple[float, float] = (-1.0, 1.0),
    ) -> torch.Tensor:
        """Return all images as (N, 1, 28, 28) in pixel_range on `device`."""
        # Copy the pixels to the device as bytes, a quarter of the size of floats.
        return normalise(self.pixels.to(device), dtype, pixel_range).unsqueeze(1)


@dataclass(frozen=True, eq=False)
class Dataset:
    """The images of a training run. `test` and `validation` are None if nothing was held out.

    source, test_source: the arguments of `load`, with absolute paths, so that the same data can
    be loaded again. validation_fraction: the part of the training images that was held out as `validation`.
    classes: the names of the labels 0 to 9, such as "A" for 0 in `letters`.

    >>> blank = Images(torch.zeros(5, 28, 28, dtype=torch.uint8))
    >>> data = Dataset("blank", train=blank)
    >>> len(data.train), data.test
    (5, None)
    """

    name: str
    train: Images
    test: Images | None = None
    validation: Images | None = None
    source: str = ""
    test_source: str | float | None = None
    validation_fraction: float = 0.0
    classes: tuple[str, ...] = DIGITS


def images_from_arrays(pixels: np.ndarray, labels: np.ndarray | None, name: str) -> Images:
    """Return the Images that a reader found in the file `name`.

    pixels: uint8 (N, 28, 28). labels: integers (N,), or None.
    Raises ScratchaeError if there are no images, if the number of labels differs from the number
    of images, or if a label is not in 0..9.

    >>> pixels = np.zeros((2, 28, 28), np.uint8)
    >>> images_from_arrays(pixels, np.array([3, 4]), "my.csv").labels.tolist()
    [3, 4]
    """
    if len(pixels) == 0:
        raise ScratchaeError(f"{name} contains no images: check that it was written completely")
    # torch needs writable memory. This copies an array only if it is read-only (as from an IDX file).
    tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    if labels is None:
        return Images(tensor)
    if len(labels) != len(pixels):
        raise ScratchaeError(
            f"{name} has {len(pixels)} images but {len(labels)} labels: "
            "the two do not belong together, or one of them was cut off"
        )
    wrong = (labels < 0) | (labels > 9)
    if wrong.any():
        at = int(wrong.argmax())
        raise ScratchaeError(
            f"{name} gives image {at} (counting from 0) the label {labels[at]}: "
            "labels must be from 0 to 9"
        )
    return Images(tensor, torch.from_numpy(labels.astype(np.int64)))
