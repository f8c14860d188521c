"""Digits as text: one row an image, `label,pixel0,...,pixel783`, as Kaggle hands MNIST out.

The header may be missing, and so may the labels. The whole text is taken as an array of
bytes: everything that is no digit must be a comma or the end of a line, these mark where
the cells end, and the value of a cell is read backwards from its end, all cells at once.
That is faster than pandas (reference/csv_benchmark.py measures it) and stricter: a file that
is not exactly such a table is read again, slowly, to say what is wrong on which line.
"""

import re

import numpy as np

from scratchae.errors import ScratchaeError

PIXELS = 28 * 28
CHUNK = 1 << 17  # bytes at a time: the arrays of a chunk stay in the processor's cache


def parse_csv(text: bytes, where: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The table `text` of the file `where` as pixels uint8 (N, 28, 28) and labels uint8 (N,).

    Labels are None for a table of 784 columns. Lines may end in LF or CRLF; a byte order
    mark, a missing last line end and empty lines at the end are no trouble. Anything else
    raises ScratchaeError, with the line as an editor counts it and the column by its name.

    >>> pixels, labels = parse_csv(b"7" + 784 * b",255", "digits.csv")
    >>> pixels.shape, labels.tolist()
    ((1, 28, 28), [7])
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    if not text.endswith(b"\n") or text.endswith(b"\n\n"):
        text = text.rstrip(b"\n") + b"\n"
    names, has_header = _columns(text, where)

    start = text.index(b"\n") + 1 if has_header else 0
    if start == len(text):
        raise ScratchaeError(f"{where} has a header but no rows below it: was it cut off?")
    labelled = names[0] == "label"
    table = np.empty((text.count(b"\n", start), len(names)), np.uint8)
    row = 0
    while start < len(text):
        stop = text.rfind(b"\n", start, start + CHUNK) + 1 or text.index(b"\n", start) + 1
        cells = _parse_rows(np.frombuffer(text, np.uint8, stop - start, start), len(names))
        if cells is None or (labelled and cells[:, 0].max() > 9):
            raise _trouble(text[start:stop], 1 + text.count(b"\n", 0, start), names, where)
        table[row : row + len(cells)] = cells
        row += len(cells)
        start = stop
    return table[:, labelled:].reshape(-1, 28, 28), table[:, 0] if labelled else None


def _parse_rows(text: np.ndarray, columns: int) -> np.ndarray | None:
    """uint8 characters of whole lines to uint8 (rows, columns); None if anything is amiss."""
    digit = text - np.uint8(ord("0"))  # wraps round: all that is no digit becomes 10 or more
    end = np.flatnonzero(digit > 9)  # where each cell ends: at a comma, each last one at a line end
    is_line_end = text == ord("\n")
    if np.count_nonzero(text == ord(",")) + np.count_nonzero(is_line_end) != end.size:
        return None
    if not np.array_equal(np.flatnonzero(is_line_end), end[columns - 1 :: columns]):
        return None
    width = np.diff(end, prepend=-1) - 1
    if width.min() < 1 or width.max() > 3:
        return None
    value = digit[end - 1].astype(np.uint16)
    two = np.flatnonzero(width > 1)  # most cells of a digit are a single 0: these are few
    value[two] += 10 * digit[end[two] - 2].astype(np.uint16)
    three = two[width[two] > 2]
    value[three] += 100 * digit[end[three] - 3].astype(np.uint16)
    if value.max() > 255:
        return None
    return value.astype(np.uint8).reshape(-1, columns)


def _columns(text: bytes, where: str) -> tuple[list[str], bool]:
    """The names of the columns, and whether the first line is a header that gives them."""
    line = text[: text.index(b"\n")].decode("utf-8", errors="replace")
    names = [cell.strip().strip('"') for cell in line.split(",")]
    names_label = names[0].lower() == "label"
    has_header = names_label or not any(re.fullmatch(r"[-+.\d]*", name) for name in names)
    labelled = names_label if has_header else len(names) == PIXELS + 1
    if len(names) != PIXELS + labelled:
        raise ScratchaeError(
            f"{where} is no table of digits: its first line has {len(names)} "
            f"column{'s'[: len(names) > 1]}, where 785 (label, pixel0 ... pixel783) or 784 "
            "(the pixels alone) are wanted, with commas between"
        )
    if not has_header:
        names = [f"pixel{i}" for i in range(PIXELS)]
        return (["label", *names] if labelled else names), False
    return (["label", *names[1:]] if labelled else names), True


def _trouble(lines: bytes, first: int, names: list[str], where: str) -> ScratchaeError:
    """What is wrong in `lines`, of which the first is line `first` of the file."""
    for number, line in enumerate(lines.removesuffix(b"\n").split(b"\n"), first):
        cells = line.decode("utf-8", errors="replace").split(",")
        if len(cells) != len(names):
            found = f"{len(cells)} cells" if line else "no cells"
            return ScratchaeError(
                f"{where}, line {number} has {found} where {len(names)} are wanted: "
                "was the file cut off or edited there?"
            )
        for name, cell in zip(names, cells, strict=True):
            highest = 9 if name == "label" else 255
            if not (re.fullmatch(r"[0-9]{1,3}", cell) and int(cell) <= highest):
                return ScratchaeError(
                    f"{where}, line {number}, column {name} {_what(cell)}: "
                    f"a {'label' if name == 'label' else 'pixel'} is a whole number "
                    f"from 0 to {highest}{_cure(cell)}"
                )
    raise AssertionError("the fast and the strict reading of a CSV disagree")


def _what(cell: str) -> str:
    return f"holds {cell[:20]!r}" if cell else "is empty"


def _cure(cell: str) -> str:
    if re.fullmatch(r"[01]?\.\d*(e-?\d+)?", cell.strip(), re.IGNORECASE):
        return ", so if these were scaled to 0..1, multiply by 255 and round before saving"
    return ""
