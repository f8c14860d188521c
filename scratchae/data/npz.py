"""NPZ: the arrays x_train, y_train, x_test and y_test in one file, as Keras publishes MNIST."""

import io
import zipfile
import zlib

import numpy as np

from scratchae.data.dataset import Images, images_from_arrays
from scratchae.errors import ScratchaeError


def parse_npz(data: bytes, name: str) -> tuple[Images, Images | None]:
    """Return the training part and the test part of the NPZ file `name`.

    x must be uint8 (N, 28, 28) or (N, 784), and y integers (N,). Labels and the test part may be
    missing. Nothing is ever unpickled. Raises ScratchaeError if an array holds Python objects or
    has another type or shape, or if the file is damaged.

    >>> file = io.BytesIO()
    >>> np.savez(file, x_train=np.zeros((2, 28, 28), np.uint8), y_train=[3, 4])
    >>> train, test = parse_npz(file.getvalue(), "digits.npz")
    >>> train.labels.tolist(), test
    ([3, 4], None)
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = file.files
            arrays = {key: _array(file, key, name) for key in _KEYS if key in found}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, ScratchaeError):
            raise
        raise ScratchaeError(
            f"{name} is a damaged NPZ (zip) file, probably cut off: download it again"
        ) from error
    if "x_train" not in arrays:
        raise ScratchaeError(
            f"{name} has no array x_train (it contains {', '.join(found) or 'nothing'}): "
            "save the images as x_train, or unpack the file first if it is an ordinary zip"
        )
    test = _part(arrays, "test", name) if "x_test" in arrays else None
    return _part(arrays, "train", name), test


_KEYS = ("x_train", "y_train", "x_test", "y_test")


def _array(file: np.lib.npyio.NpzFile, key: str, name: str) -> np.ndarray:
    try:
        return file[key]
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise ScratchaeError(
            f"{name}: {key} is an array of Python objects, which could run code when it is read: "
            "save plain numbers instead, np.stack(images).astype('uint8')"
        ) from error


def _part(arrays: dict[str, np.ndarray], part: str, name: str) -> Images:
    x, y = arrays[f"x_{part}"], arrays.get(f"y_{part}")
    if x.dtype != np.uint8:
        raise ScratchaeError(
            f"{name}: x_{part} is {x.dtype}, but pixels must be uint8 from 0 to 255: save "
            "x.round().astype('uint8'), or (x * 255).round().astype('uint8') if it is in 0..1"
        )
    if x.shape[1:] not in ((28, 28), (784,)):
        raise ScratchaeError(
            f"{name}: x_{part} has the shape {x.shape}, but (N, 28, 28) or (N, 784) is expected: "
            "reshape it before saving"
        )
    if y is not None and (y.dtype.kind not in "iu" or y.ndim != 1):
        raise ScratchaeError(
            f"{name}: y_{part} is {y.dtype} {y.shape}, but labels must be integers (N,): "
            "if the labels are one-hot, save y.argmax(axis=1)"
        )
    return images_from_arrays(x.reshape(-1, 28, 28), y, f"{name}, {part} part,")
