"""Splits, batches, scaling and downloads keep their promises."""

import gzip
import hashlib
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.data import Batches, Images, denormalise, download, load, normalise
from scratchae.data.idx import STEMS
from scratchae.errors import ScratchaeError
from tests.data.test_formats import csv_lines, digits, idx_bytes, npz_bytes, write

many = settings(deadline=None, max_examples=50)
seeds = st.integers(0, 2**63 - 1)


def numbered(count: int) -> np.ndarray:
    """Images that tell which row they are: the number stands in the first two pixels."""
    pixels = np.zeros((count, 28, 28), np.uint8)
    pixels[:, 0, 0], pixels[:, 0, 1] = np.arange(count) % 256, np.arange(count) // 256
    return pixels


def rows(images: Images | None) -> list[int]:
    if images is None:
        return []
    return (images.pixels[:, 0, 0].int() + 256 * images.pixels[:, 0, 1].int()).tolist()


def fails(says: str, call, *arguments, **named) -> str:
    with pytest.raises(ScratchaeError) as caught:
        call(*arguments, **named)
    assert says in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


# ---- the bundled sample


def test_the_sample_is_balanced_and_brings_its_own_test_part():
    sample = load()
    assert (sample.name, len(sample.train), len(sample.test)) == ("sample", 10_000, 2_000)
    assert sample.validation is None
    assert torch.bincount(sample.train.labels).tolist() == [1_000] * 10
    assert torch.bincount(sample.test.labels).tolist() == [200] * 10


# ---- splits


@many
@given(
    count=st.integers(1, 600),
    test=st.none() | st.floats(0, 0.99),
    validation=st.floats(0, 0.99),
    seed=seeds,
)
def test_a_split_is_disjoint_complete_and_repeatable(
    tmp_path_factory, count, test, validation, seed
):
    path = tmp_path_factory.getbasetemp() / "numbered.npz"
    write(path, npz_bytes(x_train=numbered(count), y_train=np.arange(count) % 10))
    held = round((0.1 if test is None else test) * count)
    validated = round(validation * (count - held))
    if held + validated >= count:
        fails("leaves none for training", load, path, test=test, validation=validation, seed=seed)
        return
    split = load(path, test=test, validation=validation, seed=seed)
    parts = [rows(part) for part in (split.train, split.test, split.validation)]
    assert [len(part) for part in parts] == [count - held - validated, held, validated]
    assert sorted(row for part in parts for row in part) == list(range(count))
    assert split.train.labels.tolist() == [row % 10 for row in parts[0]]

    again = load(path, test=test, validation=validation, seed=seed)
    assert parts == [rows(part) for part in (again.train, again.test, again.validation)]
    assert rows(load(path, test=test, seed=seed).test) == parts[1]  # whatever is validated


def test_another_seed_holds_out_other_images(tmp_path):
    path = write(tmp_path / "n.npz", npz_bytes(x_train=numbered(500)))
    assert rows(load(path, seed=0).test) != rows(load(path, seed=1).test)


def test_a_test_part_is_the_sources_own_or_a_fraction_or_another_source(tmp_path):
    both = npz_bytes(x_train=numbered(100), x_test=numbered(7))
    both = write(tmp_path / "both.npz", both)
    table = write(tmp_path / "t.csv", "\n".join(csv_lines(*digits(0, 9))).encode())
    assert len(load(both).test) == 7
    assert len(load(both, test=0.3).test) == 30 and len(load(both, test=0.3).train) == 70
    assert load(both, test=0).test is None and len(load(both, test=0).train) == 100
    assert len(load(both, test=table).test) == 9  # all of it: it has no test part
    assert len(load(table, test=str(both)).test) == 7  # its test part
    assert len(load(table, test="sample").train) == 9
    assert len(load(both, validation=0.25).validation) == 25


def test_what_load_cannot_do_is_said_in_a_sentence(tmp_path):
    fails(
        "known names are sample, letters, mnist, fashion-mnist: did you mean mnist?", load, "mnst"
    )
    fails("did you mean fashion-mnist?", load, "Fashion_MNIST")
    fails("check the name, or the path", load, "zzz")
    fails("there is no file or folder", load, tmp_path / "none.csv")
    for bad in (1.0, -0.1, float("nan"), 5, True):
        fails("test is", load, test=bad)
        fails("validation is", load, validation=bad)
    fails("validation is 0.1", load, validation="0.1")
    fails("seed is -1", load, seed=-1)


# ---- the scale


def test_pixels_come_back_from_the_scale_unchanged_and_fill_it():
    pixels = torch.arange(256, dtype=torch.uint8)
    for dtype in (torch.float32, torch.float64):
        x = normalise(pixels, dtype)
        assert x.dtype == dtype and (x.min(), x.max()) == (-1, 1)
        assert torch.equal(denormalise(x), pixels)
    assert torch.equal(normalise(pixels), (pixels / 255 - 0.5) / 0.5)
    assert denormalise(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_images_are_selected_and_normalised():
    images = Images(torch.from_numpy(numbered(5)), torch.arange(5))
    chosen = images.select(torch.tensor([4, 2]))
    assert (rows(chosen), chosen.labels.tolist(), len(chosen)) == ([4, 2], [4, 2], 2)
    x = images.normalised(dtype=torch.float64)
    assert x.shape == (5, 1, 28, 28) and x.dtype == torch.float64
    assert torch.equal(denormalise(x)[:, 0], images.pixels)


def test_images_of_another_form_are_refused():
    pixels = torch.zeros(3, 28, 28, dtype=torch.uint8)
    fails("got float32 (3, 28, 28)", Images, pixels.float())
    fails("got uint8 (3, 784)", Images, pixels.flatten(1))
    fails("got int32 (3,)", Images, pixels, torch.zeros(3, dtype=torch.int32))
    fails("got int64 (2,)", Images, pixels, torch.zeros(2, dtype=torch.int64))


# ---- batches


@many
@given(n=st.integers(1, 500), size=st.integers(1, 600), seed=seeds, epoch=st.integers(0, 1000))
def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(n, size, seed, epoch):
    batches = Batches(n, size, seed)
    seen = list(batches.epoch(epoch))
    assert len(seen) == len(batches)
    assert [len(index) for index in seen[:-1]] == [size] * (len(seen) - 1)
    assert 1 <= len(seen[-1]) <= size and seen[0].dtype == torch.int64
    assert sorted(torch.cat(seen).tolist()) == list(range(n))
    # Resuming: neither earlier epochs, nor the global state, nor the batch size matter.
    torch.manual_seed(n)
    assert torch.equal(torch.cat(list(Batches(n, 7, seed).epoch(epoch))), torch.cat(seen))


def test_epochs_and_seeds_do_not_repeat_each_other():
    orders = {
        tuple(Batches(100, 10, seed).order(epoch).tolist())
        for seed in range(20)
        for epoch in range(20)
    }
    assert len(orders) == 400


def test_batches_unshuffled_go_in_sequence():
    index = list(Batches(10, 4, shuffle=False).epoch(5))
    assert [part.tolist() for part in index] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_batches_that_cannot_be_are_refused():
    fails("n=0", Batches, 0, 4)
    fails("batch_size=0", Batches, 4, 0)
    fails("seed=-1", Batches, 4, 4, -1)
    fails("there is no epoch -1", Batches(4, 4).epoch, -1)


# ---- downloads, from servers on this machine


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass


class Corrupt(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(gzip.compress(b"not the file"))

    log_message = Quiet.log_message


class CutOff(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"\x1f\x8b only the beginning")

    log_message = Quiet.log_message


@pytest.fixture
def serve():
    servers = []

    def start(handler) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Four real IDX files in a folder, a `publish(*mirrors)`, and an empty cache."""
    origin, cache = tmp_path / "origin", tmp_path / "cache"
    origin.mkdir()
    hashes = []
    for stem, array in zip(STEMS, (*digits(1, 30), *digits(2, 10)), strict=True):
        file = write(origin / f"{stem}.gz", idx_bytes(array), gzipped=True)
        hashes.append(hashlib.sha256(file.read_bytes()).hexdigest())
    monkeypatch.setenv("SCRATCHAE_CACHE", str(cache))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def publish(*mirrors: str) -> None:
        there = download.Published(mirrors, tuple(hashes))
        monkeypatch.setitem(download.PUBLISHED, "mnist", there)

    return origin, cache / "mnist", publish


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_data_set_is_downloaded_once_and_then_needs_no_network(published, serve):
    origin, folder, publish = published
    publish(serve(partial(Quiet, directory=origin)))
    first = load("mnist")
    assert (first.name, len(first.train), len(first.test)) == ("mnist", 30, 10)
    assert files_in(folder) == sorted(f"{stem}.gz" for stem in STEMS)
    publish()
    assert torch.equal(load("mnist").train.pixels, first.train.pixels)


def test_a_mirror_that_fails_leaves_the_work_to_the_next(published, serve):
    origin, folder, publish = published
    good = serve(partial(Quiet, directory=origin))
    publish("http://127.0.0.1:9/", serve(Corrupt), serve(CutOff), good)
    assert len(load("mnist").train) == 30
    assert files_in(folder) == sorted(f"{stem}.gz" for stem in STEMS)


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (Corrupt, "is not the published one"),
        (CutOff, "the connection broke"),
        (partial(Quiet, directory="/nowhere"), "the server answered 404"),
        (None, "no connection"),
    ],
)
def test_a_failed_download_leaves_no_file_and_says_what_to_do(published, serve, handler, says):
    _, folder, publish = published
    publish(serve(handler) if handler else "http://127.0.0.1:9/")
    text = fails(says, load, "mnist")
    assert "could not download mnist (train-images-idx3-ubyte.gz" in text
    assert "use `--data sample`" in text and f"into {folder} by hand" in text
    assert files_in(folder) == []


def test_files_placed_by_hand_are_taken_plain_or_gzipped(published):
    origin, folder, publish = published
    publish()
    folder.mkdir(parents=True)
    for stem in STEMS:
        (folder / stem).write_bytes(gzip.decompress((origin / f"{stem}.gz").read_bytes()))
    assert len(load("mnist").train) == 30


def test_a_cache_that_cannot_be_written_is_said(published, monkeypatch):
    origin, _, publish = published
    publish("http://127.0.0.1:9/")
    monkeypatch.setenv("SCRATCHAE_CACHE", str(origin / f"{STEMS[0]}.gz"))
    fails("could not download mnist", load, "mnist")
