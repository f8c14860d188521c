"""Download MNIST and Fashion-MNIST once, into the user's cache."""

import os
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from scratchae.data import idx
from scratchae.errors import ScratchaeError


@dataclass(frozen=True)
class Published:
    """The mirrors of a data set, and the SHA-256 of its gzipped files in the order of idx.STEMS."""

    mirrors: tuple[str, ...]
    sha256: tuple[str, str, str, str]


PUBLISHED = {
    "mnist": Published(
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        sha256=(
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion-mnist": Published(
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        sha256=(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
}
TIMEOUT = 30  # seconds to wait for an answer; then the next mirror is tried


def fetch(name: str) -> Path:
    """Return the folder with the four IDX files of the data set `name`, a key of PUBLISHED.

    Missing files are downloaded. Files that are already there are used as they are. The folder
    is in the user's cache, or in the folder that the environment variable SCRATCHAE_CACHE names.
    Raises ScratchaeError if no mirror sends a file with the right SHA-256.
    """
    folder = cache_folder(name)
    published = PUBLISHED[name]
    for stem, sha256 in zip(idx.STEMS, published.sha256, strict=True):
        if idx.find(folder, stem) is None:
            _download(f"{stem}.gz", sha256, folder, name)
    return folder


def cache_folder(name: str) -> Path:
    """Return the folder in which the files of the data set `name` are kept.

    >>> cache_folder("fashion-mnist").name
    'fashion-mnist'
    """
    return Path(os.environ.get("SCRATCHAE_CACHE") or pooch.os_cache("scratchae")) / name


def _download(file: str, sha256: str, folder: Path, name: str) -> None:
    failures = []
    for mirror in PUBLISHED[name].mirrors:
        try:
            # pooch writes a temporary file and renames it only if the hash is right.
            pooch.retrieve(
                mirror + file,
                known_hash=sha256,
                fname=file,
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
            )
            return
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            failures.append(f"{mirror.split('/')[2]}: {_reason(error)}")
    raise ScratchaeError(
        f"could not download {name} ({file}; {'; '.join(failures)}): use `--data sample`, which "
        f"needs no network, or put the four files {', '.join(idx.STEMS)} (plain or .gz) "
        f"into {folder} by hand"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code}"
    # A connection that breaks during the download is a ChunkedEncodingError, handled below.
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return "no connection"
    if isinstance(error, requests.RequestException):
        return "the connection broke"
    if isinstance(error, ValueError):
        return "the file it sent is not the published one (its SHA-256 differs)"
    return str(error)
