"""NPZ: arrays x_train, y_train, x_test, y_test in one file, as Keras hands MNIST out."""

import io
import zipfile
import zlib

import numpy as np

from scratchae.data.dataset import Images, images_from_arrays
from scratchae.errors import ScratchaeError


def parse_npz(data: bytes, where: str) -> tuple[Images, Images | None]:
    """The training and the test part; x uint8 (N, 28, 28) or (N, 784), y whole numbers (N,).

    Labels and the test part may be missing. Nothing is ever unpickled: arrays of objects
    raise ScratchaeError, as do other types and shapes, and damaged files.

    >>> file = io.BytesIO()
    >>> np.savez(file, x_train=np.zeros((2, 28, 28), np.uint8), y_train=[3, 4])
    >>> train, test = parse_npz(file.getvalue(), "digits.npz")
    >>> train.labels.tolist(), test
    ([3, 4], None)
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = file.files
            arrays = {name: _array(file, name, where) for name in _NAMES if name in found}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, ScratchaeError):
            raise
        raise ScratchaeError(
            f"{where} is a damaged NPZ (zip) file, likely cut off: fetch it again"
        ) from error
    if "x_train" not in arrays:
        raise ScratchaeError(
            f"{where} has no array x_train (it holds {', '.join(found) or 'nothing'}): "
            "save the images as x_train, or unpack the file first if it is an ordinary zip"
        )
    return _part(arrays, "train", where), (
        _part(arrays, "test", where) if "x_test" in arrays else None
    )


_NAMES = ("x_train", "y_train", "x_test", "y_test")


def _array(file: np.lib.npyio.NpzFile, name: str, where: str) -> np.ndarray:
    try:
        array = file[name]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise ScratchaeError(
            f"{where}: {name} is an array of Python objects, which could run code when read and "
            "so is refused: save it as a plain array of numbers, np.stack(images).astype('uint8')"
        ) from error
    return array


def _part(arrays: dict[str, np.ndarray], part: str, where: str) -> Images:
    x, y = arrays[f"x_{part}"], arrays.get(f"y_{part}")
    if x.dtype != np.uint8:
        raise ScratchaeError(
            f"{where}: x_{part} is {x.dtype}, where pixels are uint8 from 0 to 255: save it with "
            ".round().astype('uint8'), after * 255 if it was scaled to 0..1"
        )
    if x.shape[1:] not in ((28, 28), (784,)):
        raise ScratchaeError(
            f"{where}: x_{part} has the shape {x.shape}, where (N, 28, 28) or (N, 784) is wanted: "
            "reshape it before saving"
        )
    if y is not None and (y.dtype.kind not in "iu" or y.ndim != 1):
        raise ScratchaeError(
            f"{where}: y_{part} is {y.dtype} {y.shape}, where labels are whole numbers (N,): "
            "for one-hot rows save y.argmax(axis=1)"
        )
    return images_from_arrays(x.reshape(-1, 28, 28), y, f"{where}, {part} part,")
