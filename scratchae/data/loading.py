"""Load a data set by its name or its path, and hold out a test and a validation part."""

import difflib
from pathlib import Path

import torch

from scratchae.data.dataset import DIGITS, Dataset, Images
from scratchae.data.download import PUBLISHED, cache_folder, fetch
from scratchae.data.letters import LETTERS, load_letters
from scratchae.data.readers import read
from scratchae.errors import ScratchaeError

SAMPLE = Path(__file__).parent / "sample" / "mnist_sample.npz"
NAMES = ("sample", "letters", *PUBLISHED)
CLASSES = {  # what the labels 0 to 9 mean, where they are not digits
    "letters": tuple(LETTERS),
    "fashion-mnist": (
        *("T-shirt", "trousers", "pullover", "dress", "coat"),
        *("sandal", "shirt", "trainer", "bag", "ankle boot"),
    ),
}
HELD_OUT = 0.1  # of the images, if the source has no test part


def load(
    source: str | Path = "sample",
    *,
    test: float | str | Path | None = None,
    validation: float = 0.0,
    seed: int = 0,
) -> Dataset:
    """Load the data set `source` and split it.

    source: "sample" (12,000 digits of MNIST, bundled), "letters" (12,000 letters, drawn at the first
        use), "mnist" or "fashion-mnist" (downloaded once), or a path that `readers.read` can read.
        To read a folder with the name mnist, write "./mnist".
    test: None: take the test part of the source, or hold out 10 % of the images if it has none.
        A fraction in [0, 1): hold out that part of the training images instead (0: no test part).
        Another name or path: take the test part of that source, or all of its images if it has no test
        part.
    validation: the fraction in [0, 1) of the remaining training images to hold out.
    seed: decides which images are held out.

    Raises ScratchaeError if the source cannot be read, if an argument is out of its range, or if
    no image is left for training.

    >>> data = load("sample", validation=0.1)
    >>> len(data.train), len(data.validation), len(data.test), data.train.pixels[0].shape
    (9000, 1000, 2000, torch.Size([28, 28]))
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ScratchaeError(f"seed is {seed}, but it must be an integer of at least 0")
    if not isinstance(test, str | Path | None):
        _check_fraction("test", test)
    _check_fraction("validation", validation)

    train, own_test = _read(source)
    fraction = 0.0
    test_images: Images | None = None
    if isinstance(test, str | Path):
        everything, its_test = _read(test)
        test_images = its_test or everything
    elif test is not None:
        fraction = test
    elif own_test is not None:
        test_images = own_test
    else:
        fraction = HELD_OUT

    # Cut the test part first: then it does not depend on the size of the validation part.
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    held, order = _cut(order, fraction, "test")
    validated, order = _cut(order, validation, "validation")
    return Dataset(
        name=Path(source).name or str(source),
        train=train.select(order.sort().values),
        test=test_images or _select(train, held),
        validation=_select(train, validated),
        source=_absolute(source),
        test_source=_absolute(test) if isinstance(test, str | Path) else test,
        validation_fraction=float(validation),
        classes=CLASSES.get(str(source), DIGITS),
    )


def location(name: str) -> str:
    """Say where the images of a data set in NAMES are: bundled, in the cache, or not yet here.

    >>> location("sample")
    'bundled'
    """
    if name == "sample":
        return "bundled"
    folder = cache_folder(name)
    if folder.is_dir() and any(folder.iterdir()):
        return str(folder)
    return f"{'drawn' if name == 'letters' else 'downloaded'} at first use"


def _absolute(source: str | Path) -> str:
    """Return a source with an absolute path, so that it is found from any folder."""
    return str(source) if source in NAMES else str(Path(source).expanduser().resolve())


def _read(source: str | Path) -> tuple[Images, Images | None]:
    if source == "sample":
        return read(SAMPLE)
    if source == "letters":
        return load_letters()
    if source in PUBLISHED:
        return read(fetch(str(source)))
    path = Path(source).expanduser()
    if not path.exists() and str(source) == path.name and not path.suffix:
        near = difflib.get_close_matches(str(source).lower(), NAMES, n=1)
        meant = f"did you mean {near[0]}?" if near else "check the name, or the path"
        raise ScratchaeError(
            f"there is no data set and no file called {source!r}; "
            f"the known names are {', '.join(NAMES)}: {meant}"
        )
    return read(path)


def _check_fraction(what: str, fraction: float) -> None:
    if not isinstance(fraction, float | int) or not 0 <= fraction < 1:
        raise ScratchaeError(
            f"{what} is {fraction}, but it must be a fraction of the images, at least 0 and "
            "below 1, such as 0.1"
        )


def _cut(order: torch.Tensor, fraction: float, what: str) -> tuple[torch.Tensor, torch.Tensor]:
    count = round(fraction * len(order))
    if count == len(order):
        raise ScratchaeError(
            f"{what}={fraction} of {len(order)} images leaves none for training: hold out less"
        )
    return order[:count], order[count:]


def _select(images: Images, index: torch.Tensor) -> Images | None:
    """Return the images at `index` in their original order, or None if `index` is empty."""
    return images.select(index.sort().values) if len(index) else None
