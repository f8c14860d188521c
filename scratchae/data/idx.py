"""IDX, the format MNIST was published in: a few big-endian counts, then bytes.

    0 0 8 3   count 28 28   count x 28 x 28 pixels
    0 0 8 1   count         count labels

The 8 says unsigned bytes; the last byte of the magic is the number of dimensions.
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


def parse_idx(data: bytes, where: str) -> np.ndarray:
    """The content of an IDX file: uint8 images (N, 28, 28) or labels (N,).

    Raises ScratchaeError for another magic, images of another size, and a length that is
    not the one the header promises.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]), "three labels").tolist()
    [7, 2, 1]
    """
    dimensions = data[3] if len(data) >= 4 else 0
    if data[:3] != b"\0\0\x08" or dimensions not in (1, 3):
        raise ScratchaeError(
            f"{where} starts with the bytes {data[:4].hex(' ')}, where an IDX file of images has "
            "00 00 08 03 and one of labels 00 00 08 01: it is damaged, or another kind of file"
        )
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise ScratchaeError(f"{where} ends within its header: it was cut off, fetch it again")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if shape[1:] not in ((), (28, 28)):
        raise ScratchaeError(
            f"{where} holds images of {shape[1]} x {shape[2]} pixels, where 28 x 28 are wanted: "
            "crop or resize them first"
        )
    promised = int(np.prod(shape, dtype=object))
    found = len(data) - header
    if found != promised:
        raise ScratchaeError(
            f"{where} holds {found} bytes of data where its header promises {promised}: "
            f"{'it was cut off' if found < promised else 'something was added to it'}, "
            "fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def find(folder: Path, stem: str) -> Path | None:
    """The file `stem` in `folder`, plain or gzipped, also by the name `train-images.idx3-ubyte`."""
    for name in (stem, stem.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            if (folder / (name + suffix)).is_file():
                return folder / (name + suffix)
    return None


def labels_beside(images: Path) -> Path | None:
    """The labels file that belongs to an images file, if it lies in the same folder."""
    name = images.name.removesuffix(".gz")
    sibling = name.replace("images", "labels").replace("idx3", "idx1")
    return None if sibling == name else find(images.parent, sibling)
