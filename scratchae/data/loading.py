"""`load`: a data set by its name or its path, with what is held out of it."""

import difflib
from pathlib import Path

import torch

from scratchae.data.dataset import Dataset, Images
from scratchae.data.download import PUBLISHED, cache_folder, fetch
from scratchae.data.readers import read
from scratchae.errors import ScratchaeError

SAMPLE = Path(__file__).parent / "sample" / "mnist_sample.npz"
NAMES = ("sample", *PUBLISHED)
HELD_OUT = 0.1  # of a source that brings no test part of its own


def load(
    source: str | Path = "sample",
    *,
    test: float | str | Path | None = None,
    validation: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """The data set `source`, split.

    source: "sample" (12,000 digits of MNIST, bundled), "mnist", "fashion-mnist" (downloaded
    once), or a path that `readers.read` understands; a name wins over a path ("./mnist").
    test: None takes the source's own test part, or holds out 10 % of the images where it has
    none; a fraction in [0, 1) holds out that much of the training part instead (0: no test
    part); another name or path makes all of that source the test part, or, if it has a test
    part, that.
    validation: the fraction in [0, 1) of the remaining training images that is held out.
    What is held out depends on the seed alone. Raises ScratchaeError for what cannot be.

    >>> data = load("sample", validation=0.1)
    >>> len(data.train), len(data.validation), len(data.test), data.train.pixels[0].shape
    (9000, 1000, 2000, torch.Size([28, 28]))
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ScratchaeError(f"seed is {seed}, but a seed is a whole number from 0 up")
    if not isinstance(test, str | Path | None):
        _check_fraction("test", test)
    _check_fraction("validation", validation)

    train, own_test = _read(source)
    if isinstance(test, str | Path):
        whole, part = _read(test)
        fraction, test_images = 0.0, part or whole
    elif test is None and own_test is not None:
        fraction, test_images = 0.0, own_test
    else:
        fraction, test_images = (HELD_OUT if test is None else test), None

    # The test part is cut first, so that it stays the same whatever the validation part is.
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    held, order = _cut(order, fraction, "test")
    validated, order = _cut(order, validation, "validation")
    return Dataset(
        name=Path(source).name or str(source),
        train=_select(train, order),
        test=test_images or _select(train, held),
        validation=_select(train, validated),
        source=_absolute(source),
        test_source=_absolute(test) if isinstance(test, str | Path) else test,
    )


def where(name: str) -> str:
    """Where the images of a known name are: bundled, in the cache, or not here yet.

    >>> where("sample")
    'bundled'
    """
    if name == "sample":
        return "bundled"
    folder = cache_folder(name)
    return str(folder) if folder.is_dir() and any(folder.iterdir()) else "downloaded at first use"


def _absolute(source: str | Path) -> str:
    """A source as it can be found again from any folder."""
    return str(source) if source in NAMES else str(Path(source).expanduser().resolve())


def _read(source: str | Path) -> tuple[Images, Images | None]:
    if source == "sample":
        return read(SAMPLE)
    if source in PUBLISHED:
        return read(fetch(source))
    path = Path(source).expanduser()
    if not path.exists() and str(source) == path.name and not path.suffix:
        near = difflib.get_close_matches(str(source).lower(), NAMES, n=1)
        meant = f"did you mean {near[0]}?" if near else "check the name, or the path"
        raise ScratchaeError(
            f"there is no data set and no file called {source!r}; "
            f"known names are {', '.join(NAMES)}: {meant}"
        )
    return read(path)


def _check_fraction(what: str, fraction: float) -> None:
    if not isinstance(fraction, float | int) or not 0 <= fraction < 1:
        raise ScratchaeError(
            f"{what} is {fraction}, but it is a fraction of the images, at least 0 and below 1, "
            "such as 0.1"
        )


def _cut(order: torch.Tensor, fraction: float, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    count = round(fraction * len(order))
    if count == len(order):
        raise ScratchaeError(
            f"{what}={fraction} of {len(order)} images leaves none to train on: hold out less"
        )
    return order[:count], order[count:]


def _select(images: Images, index: torch.Tensor) -> Images | None:
    """The images at `index`, in the order they had; None for no images."""
    return images.select(index.sort().values) if len(index) else None
