"""IDX, the format in which MNIST was published: a header of big-endian integers, then bytes.

    0 0 8 3   count 28 28   count x 28 x 28 pixels
    0 0 8 1   count         count labels

The first four bytes are the magic number: 8 stands for unsigned bytes, and the last byte is the
number of dimensions.
"""

import struct
from pathlib import Path

import numpy as np

from scratchae.errors import ScratchaeError

STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def parse_idx(data: bytes, name: str) -> np.ndarray:
    """Return the content of the IDX file `name`: uint8 images (N, 28, 28) or labels (N,).

    Raises ScratchaeError if the magic number, the size of the images or the length of the data
    is not as expected.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]), "three labels").tolist()
    [7, 2, 1]
    """
    dimensions = data[3] if len(data) >= 4 else 0
    if data[:3] != b"\0\0\x08" or dimensions not in (1, 3):
        raise ScratchaeError(
            f"{name} starts with the bytes {data[:4].hex(' ')}, but an IDX file starts with "
            "00 00 08 03 (images) or 00 00 08 01 (labels): it is damaged, or another kind of file"
        )
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise ScratchaeError(f"{name} ends within its header: it was cut off, so download it again")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if shape[1:] not in ((), (28, 28)):
        raise ScratchaeError(
            f"{name} contains images of {shape[1]} x {shape[2]} pixels, but 28 x 28 are expected: "
            "crop or resize them first"
        )
    expected = int(np.prod(shape, dtype=object))
    found = len(data) - header
    if found != expected:
        raise ScratchaeError(
            f"{name} contains {found} bytes of data, but its header announces {expected}: "
            f"{'it was cut off' if found < expected else 'something was added to it'}, "
            "so download it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def find(folder: Path, stem: str) -> Path | None:
    """Return the file `stem` in `folder`: plain or gzipped, and with "-idx" or ".idx" in its name."""
    for name in (stem, stem.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            if (folder / (name + suffix)).is_file():
                return folder / (name + suffix)
    return None


def labels_beside(images: Path) -> Path | None:
    """Return the labels file of an images file, if there is one in the same folder."""
    name = images.name.removesuffix(".gz")
    sibling = name.replace("images", "labels").replace("idx3", "idx1")
    return None if sibling == name else find(images.parent, sibling)
