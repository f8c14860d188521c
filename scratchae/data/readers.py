"""Read any file or folder of digits. The first bytes of a file show its format, not its name."""

import gzip
import zlib
from pathlib import Path

from scratchae.data import idx
from scratchae.data.dataset import Images, images_from_arrays
from scratchae.data.kaggle_csv import parse_csv
from scratchae.data.npz import parse_npz
from scratchae.errors import ScratchaeError


def read(path: Path) -> tuple[Images, Images | None]:
    """Return the images at `path`, and the test part if the source has one.

    `path` is a CSV, IDX or NPZ file, plain or gzipped, or a folder with the four IDX files
    of MNIST. Raises ScratchaeError if it cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "digits.csv")
    ...     _ = path.write_text("7" + 784 * ",0")
    ...     images, test = read(path)
    >>> len(images), images.labels.tolist(), test
    (1, [7], None)
    """
    if path.is_dir():
        return _read_folder(path)
    data, name = _content(path), str(path)
    if data[:2] == b"PK":
        return parse_npz(data, name)
    if data[:2] == b"\0\0" or "ubyte" in path.name:
        return _read_idx(path, data), None
    if b"\0" in data[:1024] or not _is_text(data[:1024]):
        raise ScratchaeError(
            f"{name} has an unknown format: give a CSV, IDX or NPZ file, plain or gzipped"
        )
    pixels, labels = parse_csv(data, name)
    return images_from_arrays(pixels, labels, name), None


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except FileNotFoundError as error:
        raise ScratchaeError(f"there is no file or folder {path}: check the path") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ScratchaeError(
            f"{path} is a damaged gzip file, probably cut off: download it again"
        ) from error
    except OSError as error:
        raise ScratchaeError(f"{path} cannot be read ({error.strerror}): check the path") from error
    if not data or data.isspace():
        raise ScratchaeError(f"{path} is empty: check that it was written completely")
    return data


def _is_text(start: bytes) -> bool:
    # Invalid bytes are ignored: the last character may be cut off, which leaves up to 3 bytes of UTF-8.
    return len(start.decode("utf-8", errors="ignore").encode()) >= len(start) - 3


def _read_idx(path: Path, data: bytes) -> Images:
    pixels = idx.parse_idx(data, str(path))
    if pixels.ndim == 1:
        raise ScratchaeError(
            f"{path} contains labels, not images: give the file of images; its labels are found in "
            "the same folder"
        )
    labels_path = idx.labels_beside(path)
    if labels_path is None:
        return images_from_arrays(pixels, None, str(path))
    labels = idx.parse_idx(_content(labels_path), str(labels_path))
    if labels.ndim == 3:
        raise ScratchaeError(f"{labels_path} contains images, but its name says labels: rename it")
    return images_from_arrays(pixels, labels, f"{path} with {labels_path.name}")


def _read_folder(folder: Path) -> tuple[Images, Images]:
    found = {stem: path for stem in idx.STEMS if (path := idx.find(folder, stem)) is not None}
    missing = [stem for stem in idx.STEMS if stem not in found]
    if missing:
        raise ScratchaeError(
            f"the folder {folder} lacks {', '.join(missing)} (plain or .gz): put the four IDX "
            "files there, or give the path of one CSV, IDX or NPZ file"
        )
    train, test = (found[stem] for stem in idx.STEMS[::2])
    return _read_idx(train, _content(train)), _read_idx(test, _content(test))
