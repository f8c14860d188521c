"""CSV as Kaggle publishes MNIST: one image per row, `label,pixel0,...,pixel783`.

The header and the labels may be missing. The text is read as an array of bytes. Every byte that
is not a digit must be a comma or a line end, so these bytes mark where the cells end. The value of
a cell is computed from its last digit to its first, for all cells at once. This is faster than
pandas (see reference/csv_benchmark.py) and stricter. If the text is not such a table, it is read a
second time, slowly, to find the line and the column of the error.
"""

import re

import numpy as np

from scratchae.errors import ScratchaeError

PIXELS = 28 * 28
CHUNK = 1 << 17  # bytes at a time: the arrays of one chunk fit into the processor's cache


def parse_csv(text: bytes, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pixels, uint8 (N, 28, 28), and labels, uint8 (N,), of the CSV file `name`.

    The labels are None if the table has 784 columns. Lines may end in LF or CRLF. A byte order
    mark, empty lines at the end and a missing last line end are accepted. Raises ScratchaeError
    for any other text; the message gives the number of the line and the name of the column.

    >>> pixels, labels = parse_csv(b"7" + 784 * b",255", "digits.csv")
    >>> pixels.shape, labels.tolist()
    ((1, 28, 28), [7])
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    if not text.endswith(b"\n") or text.endswith(b"\n\n"):
        text = text.rstrip(b"\n") + b"\n"
    columns, has_header = _columns(text, name)

    start = text.index(b"\n") + 1 if has_header else 0
    if start == len(text):
        raise ScratchaeError(
            f"{name} has a header but no rows below it: check that it was written completely"
        )
    labelled = columns[0] == "label"
    table = np.empty((text.count(b"\n", start), len(columns)), np.uint8)
    row = 0
    while start < len(text):
        stop = text.rfind(b"\n", start, start + CHUNK) + 1 or text.index(b"\n", start) + 1
        cells = _parse_rows(np.frombuffer(text, np.uint8, stop - start, start), len(columns))
        if cells is None or (labelled and cells[:, 0].max() > 9):
            raise _error(text[start:stop], 1 + text.count(b"\n", 0, start), columns, name)
        table[row : row + len(cells)] = cells
        row += len(cells)
        start = stop
    return table[:, labelled:].reshape(-1, 28, 28), table[:, 0] if labelled else None


def _parse_rows(text: np.ndarray, columns: int) -> np.ndarray | None:
    """Convert the bytes of whole lines to uint8 (rows, columns), or return None on any error."""
    digit = text - np.uint8(ord("0"))  # wraps around: any other byte becomes 10 or more
    end = np.flatnonzero(digit > 9)  # the comma or line end behind each cell
    is_line_end = text == ord("\n")
    if np.count_nonzero(text == ord(",")) + np.count_nonzero(is_line_end) != end.size:
        return None
    if not np.array_equal(np.flatnonzero(is_line_end), end[columns - 1 :: columns]):
        return None
    width = np.diff(end, prepend=-1) - 1
    if width.min() < 1 or width.max() > 3:
        return None
    value = digit[end - 1].astype(np.uint16)
    two = np.flatnonzero(width > 1)  # few cells: most pixels are a single 0
    value[two] += 10 * digit[end[two] - 2].astype(np.uint16)
    three = two[width[two] > 2]
    value[three] += 100 * digit[end[three] - 3].astype(np.uint16)
    if value.max() > 255:
        return None
    return value.astype(np.uint8).reshape(-1, columns)


def _columns(text: bytes, name: str) -> tuple[list[str], bool]:
    """Return the names of the columns, and whether the first line is a header with these names."""
    line = text[: text.index(b"\n")].decode("utf-8", errors="replace")
    names = [cell.strip().strip('"') for cell in line.split(",")]
    names_label = names[0].lower() == "label"
    has_header = names_label or not any(re.fullmatch(r"[-+.\d]*", cell) for cell in names)
    labelled = names_label if has_header else len(names) == PIXELS + 1
    if len(names) != PIXELS + labelled:
        raise ScratchaeError(
            f"{name} is not a table of digits: its first line has {len(names)} "
            f"column{'s'[: len(names) > 1]}, but 785 (label, pixel0 ... pixel783) or 784 "
            "(only the pixels) are expected, separated by commas"
        )
    if not has_header:
        names = [f"pixel{i}" for i in range(PIXELS)]
        return (["label", *names] if labelled else names), False
    return (["label", *names[1:]] if labelled else names), True


def _error(lines: bytes, first: int, columns: list[str], name: str) -> ScratchaeError:
    """Return the error in `lines`. The first of them is line number `first` of the file."""
    for number, line in enumerate(lines.removesuffix(b"\n").split(b"\n"), first):
        cells = line.decode("utf-8", errors="replace").split(",")
        if len(cells) != len(columns):
            found = f"{len(cells)} cells" if line else "no cells"
            return ScratchaeError(
                f"{name}, line {number} has {found}, but {len(columns)} are expected: check "
                "whether the file was cut off or edited there"
            )
        for column, cell in zip(columns, cells, strict=True):
            highest = 9 if column == "label" else 255
            if not (re.fullmatch(r"[0-9]{1,3}", cell) and int(cell) <= highest):
                return ScratchaeError(
                    f"{name}, line {number}, column {column} {_what(cell)}: "
                    f"a {'label' if column == 'label' else 'pixel'} must be an integer "
                    f"from 0 to {highest}{_cure(cell)}"
                )
    raise AssertionError("the fast reader refused a CSV in which the slow one finds no error")


def _what(cell: str) -> str:
    return f"contains {cell[:20]!r}" if cell else "is empty"


def _cure(cell: str) -> str:
    if re.fullmatch(r"[01]?\.\d*(e-?\d+)?", cell.strip(), re.IGNORECASE):
        return "; if the pixels were scaled to 0..1, multiply them by 255 and round them"
    return ""
