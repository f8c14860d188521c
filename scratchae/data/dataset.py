"""Images with their labels, and the scale on which the models see them.

    pixel 0 .. 255   ->   /255   ->   (x - 0.5) / 0.5   ->   -1 .. 1

so that an image has the range of the Tanh at the end of a decoder.
"""

from dataclasses import dataclass

import numpy as np
import torch

from scratchae.errors import ScratchaeError


def normalise(pixels: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """uint8 pixels of any shape, 0..255, to `dtype` in [-1, 1], the shape kept.

    >>> normalise(torch.tensor([0, 51, 255], dtype=torch.uint8))
    tensor([-1.0000, -0.6000,  1.0000])
    """
    return (pixels.to(dtype) / 255 - 0.5) / 0.5


def denormalise(x: torch.Tensor) -> torch.Tensor:
    """The way back from [-1, 1] to uint8 0..255: rounded, and clamped where x lies outside.

    >>> denormalise(torch.tensor([-1.0, 1.0, 7.0])).tolist()
    [0, 255, 255]
    """
    return ((x * 0.5 + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True, eq=False)
class Images:
    """Grey 28 x 28 images and, where they are known, their classes.

    pixels: uint8 (N, 28, 28), 0 background .. 255 ink.   labels: int64 (N,), 0..9, or None.
    Other types, shapes or counts raise ScratchaeError.

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
                f"Images wants pixels of uint8 (N, 28, 28) but got "
                f"{str(self.pixels.dtype).removeprefix('torch.')} {tuple(self.pixels.shape)}: "
                "reshape them, or bring scaled ones back with denormalise()"
            )
        if self.labels is None:
            return
        if self.labels.dtype != torch.int64 or self.labels.shape != self.pixels.shape[:1]:
            raise ScratchaeError(
                f"Images wants labels of int64 ({len(self)},), one for each image, but got "
                f"{str(self.labels.dtype).removeprefix('torch.')} {tuple(self.labels.shape)}: "
                "give labels.long(), or None"
            )

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, index: torch.Tensor) -> "Images":
        """The images at `index`, int64 (M,), in that order."""
        return Images(self.pixels[index], None if self.labels is None else self.labels[index])

    def normalised(
        self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """All images as (N, 1, 28, 28) in [-1, 1] on `device`."""
        # Bytes travel to the device, four times fewer than floats.
        return normalise(self.pixels.to(device), dtype).unsqueeze(1)


@dataclass(frozen=True, eq=False)
class Dataset:
    """What a training run needs; `test` and `validation` are None where nothing was held out.

    source, test_source: what `load` was asked for, paths made absolute, to load it again.

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


def images_from_arrays(pixels: np.ndarray, labels: np.ndarray | None, where: str) -> Images:
    """uint8 (N, 28, 28) and whole-number labels (N,), as a reader of the file `where` found them.

    Raises ScratchaeError for no images at all, another number of labels, and labels beyond 0..9.

    >>> pixels = np.zeros((2, 28, 28), np.uint8)
    >>> images_from_arrays(pixels, np.array([3, 4]), "my.csv").labels.tolist()
    [3, 4]
    """
    if len(pixels) == 0:
        raise ScratchaeError(f"{where} holds no images: was it cut off while it was written?")
    # Bytes that numpy only lends, such as those of an IDX file, are copied; others are not.
    tensor = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
    if labels is None:
        return Images(tensor)
    if len(labels) != len(pixels):
        raise ScratchaeError(
            f"{where} has {len(pixels)} images but {len(labels)} labels: "
            "the two do not belong together, or one of them was cut off"
        )
    wrong = (labels < 0) | (labels > 9)
    if wrong.any():
        at = int(wrong.argmax())
        raise ScratchaeError(
            f"{where} gives image {at} (counting from 0) the label {labels[at]}: "
            "labels are classes 0 to 9"
        )
    return Images(tensor, torch.from_numpy(labels.astype(np.int64)))
