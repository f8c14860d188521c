"""Every format gives back what was written; every damaged file gets its sentence."""

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.data.idx import STEMS
from scratchae.data.readers import read
from scratchae.errors import ScratchaeError

HEADER = ["label", *(f"pixel{i}" for i in range(784))]
FULL = Path(__file__).parents[3] / "shared" / "data" / "mnist"


def digits(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    # Half of the pixels are 0, as in real digits, and all widths of numbers occur.
    pixels = rng.integers(0, 256, (count, 28, 28)) * rng.integers(0, 2, (count, 28, 28))
    return pixels.astype(np.uint8), rng.integers(0, 10, count)


def csv_lines(pixels: np.ndarray, labels: np.ndarray | None, header: bool = True) -> list[str]:
    table = pixels.reshape(-1, 784)
    if labels is not None:
        table = np.column_stack([labels, table])
    names = [",".join(HEADER[785 - table.shape[1] :])] if header else []
    return names + [",".join(map(str, row)) for row in table.tolist()]


def idx_bytes(array: np.ndarray) -> bytes:
    head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def npz_bytes(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def write(path: Path, data: bytes, gzipped: bool = False) -> Path:
    path.write_bytes(gzip.compress(data, 1) if gzipped else data)
    return path


def check(path: Path, pixels: np.ndarray, labels: np.ndarray | None) -> None:
    images, _ = read(path)
    assert torch.equal(images.pixels, torch.from_numpy(pixels))
    assert (images.labels is None) == (labels is None)
    if labels is not None:
        assert torch.equal(images.labels, torch.from_numpy(labels).long())


def sentence(path: Path) -> str:
    with pytest.raises(ScratchaeError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text and path.name in text
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("formats")


many = settings(deadline=None, max_examples=40)
examples = st.integers(0, 2**32 - 1)
counts = st.integers(1, 60)  # up to two chunks of the CSV reader


@many
@given(
    seed=examples,
    count=counts,
    labelled=st.booleans(),
    header=st.booleans(),
    line_end=st.sampled_from(["\n", "\r\n"]),
    blank_lines=st.integers(0, 3),
    mark=st.booleans(),
    gzipped=st.booleans(),
)
def test_a_csv_of_any_dress_reads_back_equal(
    folder, seed, count, labelled, header, line_end, blank_lines, mark, gzipped
):
    pixels, labels = digits(seed, count)
    labels = labels if labelled else None
    text = line_end.join(csv_lines(pixels, labels, header)) + line_end * blank_lines
    data = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    check(write(folder / "digits.csv", data, gzipped), pixels, labels)


@many
@given(seed=examples, count=counts, labelled=st.booleans(), gzipped=st.booleans())
def test_idx_images_read_back_equal_with_the_labels_beside_them(
    tmp_path_factory, seed, count, labelled, gzipped
):
    folder = tmp_path_factory.mktemp("idx")
    pixels, labels = digits(seed, count)
    path = write(folder / "train-images-idx3-ubyte", idx_bytes(pixels), gzipped)
    if labelled:
        write(folder / "train-labels-idx1-ubyte.gz", idx_bytes(labels), gzipped=True)
    check(path, pixels, labels if labelled else None)


@many
@given(
    seed=examples,
    count=counts,
    labelled=st.booleans(),
    flat=st.booleans(),
    test=st.booleans(),
    gzipped=st.booleans(),
)
def test_an_npz_reads_back_equal(folder, seed, count, labelled, flat, test, gzipped):
    pixels, labels = digits(seed, count)
    x = pixels.reshape(-1, 784) if flat else pixels
    arrays = {"x_train": x} | ({"y_train": labels} if labelled else {})
    arrays |= {"x_test": x[::-1]} if test else {}
    path = write(folder / "digits.npz", npz_bytes(**arrays), gzipped)
    check(path, pixels, labels if labelled else None)
    own_test = read(path)[1]
    assert (own_test is not None) == test
    if test:
        assert torch.equal(own_test.pixels, torch.from_numpy(pixels[::-1].copy()))


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("separator", ["-", "."])
def test_a_folder_of_the_four_idx_files_gives_both_parts(tmp_path, gzipped, separator):
    train, test = digits(1, 7), digits(2, 3)
    for stem, array in zip(STEMS, (*train, *test), strict=True):
        name = stem.replace("-idx", separator + "idx") + ".gz" * gzipped
        write(tmp_path / name, idx_bytes(array), gzipped)
    check(tmp_path, *train)
    assert torch.equal(read(tmp_path)[1].pixels, torch.from_numpy(test[0]))


def test_the_name_of_a_file_does_not_decide_what_it_is(tmp_path):
    pixels, labels = digits(3, 5)
    csv = "\n".join(csv_lines(pixels, labels)).encode()
    check(write(tmp_path / "digits.dat", csv, gzipped=True), pixels, labels)
    check(write(tmp_path / "digits.csv", npz_bytes(x_train=pixels)), pixels, None)


def test_headers_as_other_tables_have_them_are_read(tmp_path):
    pixels, labels = digits(4, 3)
    rows = csv_lines(pixels, labels, header=False)
    ones = ",".join(["label", *(f"{i // 28 + 1}x{i % 28 + 1}" for i in range(784))])
    quoted = ",".join(f'"{name}"' for name in HEADER)
    for header in (ones, quoted):
        check(write(tmp_path / "d.csv", "\n".join([header, *rows]).encode()), pixels, labels)


@pytest.mark.skipif(not FULL.is_dir(), reason="the full MNIST is not beside the repository")
def test_the_whole_of_kaggles_csv_equals_the_idx_files_it_was_made_from():
    table, _ = read(FULL / "kaggle_train_42000.csv.gz")
    published, test = read(FULL)
    assert (len(table), len(published), len(test)) == (42_000, 60_000, 10_000)
    assert torch.equal(table.pixels, published.pixels[:42_000])
    assert torch.equal(table.labels, published.labels[:42_000])


def edited(row: int, column: int, cell: str | None, rows: int = 300, labelled: bool = True) -> str:
    """A CSV with one cell replaced, or taken out; rows and columns count from 0."""
    pixels, labels = digits(5, rows)
    lines = csv_lines(pixels, labels if labelled else None)
    cells = lines[row + 1].split(",")
    cells[column : column + 1] = [] if cell is None else [cell]
    lines[row + 1] = ",".join(cells)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("x", "contains 'x': a pixel must be an integer from 0 to 255"),
        ("", "is empty: a pixel"),
        ("256", "contains '256': a pixel"),
        ("999", "contains '999': a pixel"),
        ("1000", "contains '1000': a pixel"),
        ("-1", "contains '-1': a pixel"),
        ("0.5", "if the pixels were scaled to 0..1, multiply them by 255"),
        ("7.0", "contains '7.0': a pixel"),
        (" 7", "contains ' 7': a pixel"),
        ("7\r", "contains '7\\r': a pixel"),
        ("٣", "contains '٣': a pixel"),
    ],
)
@settings(deadline=None, max_examples=5)
@given(row=st.integers(0, 299), pixel=st.integers(0, 782))
def test_a_wrong_cell_is_named_by_its_line_and_column(folder, cell, says, row, pixel):
    path = write(folder / "bad.csv", edited(row, pixel + 1, cell).encode())
    text = sentence(path)
    assert f"line {row + 2}, column pixel{pixel} " in text and says in text


def test_a_wrong_label_is_named_by_its_line(tmp_path):
    text = sentence(write(tmp_path / "bad.csv", edited(200, 0, "10").encode()))
    assert "line 202, column label contains '10': a label must be an integer from 0 to 9" in text


def test_a_wrong_row_is_named_by_its_line(tmp_path):
    short = sentence(write(tmp_path / "bad.csv", edited(250, 5, None).encode()))
    assert "line 252 has 784 cells, but 785 are expected" in short
    long = sentence(write(tmp_path / "bad.csv", edited(3, 5, "0,0").encode()))
    assert "line 5 has 786 cells, but 785 are expected" in long
    empty = sentence(write(tmp_path / "bad.csv", (edited(0, 1, "0") + "\n\n1,2").encode()))
    assert "line 302 has no cells" in empty


@settings(deadline=None, max_examples=60)
@given(seed=examples, byte=st.integers(0, 255), labelled=st.booleans())
def test_one_byte_changed_anywhere_is_read_as_written_or_refused(folder, seed, byte, labelled):
    """Never a silent error: what is accepted is what a plain reading of the text gives."""
    data = bytearray(edited(0, 1, "0", rows=3, labelled=labelled).encode())
    at = np.random.default_rng(seed).integers(len(",".join(HEADER)) + 1, len(data))
    data[at] = byte
    path = write(folder / "changed.csv", bytes(data))
    try:
        images, _ = read(path)
    except ScratchaeError:
        return
    rows = [line.split(",") for line in data.decode().splitlines() if line][1:]
    plain = torch.tensor([[int(cell) for cell in row] for row in rows])
    assert torch.equal(images.pixels.flatten(1).long(), plain[:, labelled:])
    assert not labelled or torch.equal(images.labels, plain[:, 0])


def test_a_line_end_moved_by_one_cell_is_not_made_up_for_by_the_next_row(tmp_path):
    cells = edited(0, 1, "0", rows=4).replace("\n", ",\n").split(",")
    at = cells.index("\n" + cells[2 * 785][1:])  # the first cell of the second row
    cells[at - 1 : at + 1] = ["\n" + cells[at - 1], cells[at][1:]]
    text = ",".join(cells).replace(",\n", "\n")
    assert "line 2 has 784 cells" in sentence(write(tmp_path / "moved.csv", text.encode()))


def test_files_that_are_no_table_of_digits_are_refused(tmp_path):
    narrow = "\n".join(line.rsplit(",", 1)[0] for line in edited(0, 1, "0").splitlines())
    cases = {
        "narrow.csv": (narrow.encode(), "its first line has 784 columns, but 785"),
        "header.csv": ((",".join(HEADER) + "\n").encode(), "a header but no rows"),
        "notes.txt": (b"Dear diary\n", "its first line has 1 column, but 785"),
        "photo.png": (b"\x89PNG\r\n\x1a\n\0\0", "has an unknown format"),
        "empty.csv": (b"", "is empty"),
        "blank.csv": (b"\n\n", "is empty"),
        "gone.csv.gz": (gzip.compress(b""), "is empty"),
    }
    for name, (data, says) in cases.items():
        assert says in sentence(write(tmp_path / name, data))
    for data in (gzip.compress(b"0,1,2" * 1000)[:-20], gzip.compress(b"0,1,2")[:12]):
        assert "damaged gzip file" in sentence(write(tmp_path / "cut.csv.gz", data))
    assert "there is no file or folder" in sentence(tmp_path / "missing.csv")


def test_damaged_idx_files_are_refused(tmp_path):
    pixels, labels = digits(6, 4)
    good = idx_bytes(pixels)
    cases = {
        "starts with the bytes 00 00 0d 03": b"\0\0\x0d\x03" + good[4:],
        "it was cut off": good[:-1],
        "something was added to it": good + b"\0",
        "ends within its header": good[:10],
        "contains images of 14 x 28 pixels": idx_bytes(pixels[:, :14]),
        "contains no images": idx_bytes(pixels[:0]),
        "contains labels, not images": idx_bytes(labels),
    }
    for says, data in cases.items():
        assert says in sentence(write(tmp_path / "some-idx3-ubyte", data))
    path = write(tmp_path / "train-images-idx3-ubyte", good)
    write(tmp_path / "train-labels-idx1-ubyte", idx_bytes(labels[:3]))
    assert "has 4 images but 3 labels" in sentence(path)
    write(tmp_path / "train-labels-idx1-ubyte", idx_bytes(labels + 10))
    assert f"the label {labels[0] + 10}: labels must be from 0 to 9" in sentence(path)
    assert "lacks t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (plain" in sentence(tmp_path)


def test_npz_files_that_do_not_hold_digits_are_refused(tmp_path):
    pixels, labels = digits(7, 4)
    cases = [
        ({"images": pixels}, "has no array x_train (it contains images)"),
        ({"x_train": np.array([{}], dtype=object)}, "array of Python objects"),
        ({"x_train": pixels / 255}, "x_train is float64, but pixels must be uint8"),
        ({"x_train": pixels[:, :20]}, "has the shape (4, 20, 28)"),
        ({"x_train": pixels[0, 0, 0]}, "has the shape ()"),
        ({"x_train": pixels, "y_train": np.eye(10)[labels]}, "y_train is float64 (4, 10)"),
        ({"x_train": pixels, "y_train": labels[:2]}, "has 4 images but 2 labels"),
        ({"x_train": pixels, "y_train": labels - 11}, "labels must be from 0 to 9"),
        ({"x_train": pixels[:0]}, "contains no images"),
    ]
    for arrays, says in cases:
        assert says in sentence(write(tmp_path / "bad.npz", npz_bytes(**arrays)))
    good = npz_bytes(x_train=pixels)
    for cut in (good[:-30], good[:40]):
        assert "damaged NPZ" in sentence(write(tmp_path / "cut.npz", cut))
    middle = bytearray(good)
    middle[300:320] = bytes(20)
    assert "damaged NPZ" in sentence(write(tmp_path / "rotten.npz", bytes(middle)))
