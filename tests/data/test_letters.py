"""The letters look like MNIST's digits, are the same everywhere, and survive a damaged cache."""

import hashlib

import numpy as np
import pytest
import torch

from scratchae.data import NAMES, letters, load, location
from scratchae.data.letters import FACES, LETTERS, draw_letters, glyph


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and few letters in few faces, so that they are drawn at once."""
    monkeypatch.setenv("SCRATCHAE_CACHE", str(tmp_path))
    monkeypatch.setattr(letters, "FACES", FACES[:1])
    monkeypatch.setattr(letters, "TRAIN", 60)
    monkeypatch.setattr(letters, "TEST", 20)
    return tmp_path / "letters" / "letters.npz"


@pytest.fixture(scope="module")
def drawn():
    return draw_letters(100)


def test_letters_have_mnists_form(drawn):
    pixels, labels = drawn
    assert pixels.dtype == np.uint8 and np.bincount(labels).tolist() == [10] * 10
    share = pixels.mean() / load().train.pixels.double().mean().item()
    assert 0.9 < share < 1.4  # as much ink as digits have
    assert ((pixels > 0) & (pixels < 255)).mean() > 0.05  # grey edges
    at = np.arange(28)
    for axis in (1, 2):
        inked = pixels.max(axis=axis) > 0
        size = 28 - inked.argmax(axis=1) - inked[:, ::-1].argmax(axis=1)
        assert size.min() > 3 and size.max() <= 21  # 20, and a grey edge
        assert not pixels.take(0, axis=axis).any()
        mass = pixels.astype(float).sum(axis=axis)
        centre = (mass * at).sum(axis=1) / mass.sum(axis=1)
        assert abs(centre.mean() - 14) < 0.2 and abs(centre - 14).max() < 2


def test_the_same_letters_are_drawn_on_every_machine(drawn):
    pixels, _ = drawn
    assert hashlib.sha256(pixels.tobytes()).hexdigest().startswith("11b595a44f328cf9")


def test_more_letters_begin_with_the_same_ones_and_another_seed_gives_others(drawn):
    pixels, _ = drawn
    assert np.array_equal(draw_letters(10)[0], pixels[:10])
    assert not np.array_equal(draw_letters(10, seed=1)[0], pixels[:10])
    assert len({image.tobytes() for image in pixels}) == 100


def test_a_distance_field_measures_distances():
    field, extent, mass = glyph("DejaVuSans", "H")
    steps = np.abs(np.diff(field, axis=1)) * letters.CELLS / (2 * letters.REACH)
    assert steps.max() <= 1 + 1e-9  # no distance changes faster than the way
    assert extent.max() == pytest.approx(1) and extent[1] > extent[0]
    assert np.abs(mass) == pytest.approx(0, abs=0.02)  # an H is symmetric
    middle = letters.CELLS // 2
    assert field[middle, middle] < 0 < field[2, 2]  # inside the bar of the H, and outside of it


@pytest.mark.parametrize("face", FACES)
def test_every_face_has_ten_different_letters(face):
    fields = [glyph(face, letter)[0] < 0 for letter in LETTERS[:3] + LETTERS[-2:]]
    assert all((a != b).mean() > 0.02 for i, a in enumerate(fields) for b in fields[:i])


def test_letters_are_loaded_by_name_with_the_names_of_their_classes(cache):
    assert "letters" in NAMES and location("letters") == "drawn at first use"
    data = load("letters")
    assert (data.name, data.source, data.classes) == ("letters", "letters", tuple("ACEFHKMRTX"))
    assert (len(data.train), len(data.test)) == (60, 20)
    assert torch.bincount(data.test.labels).tolist() == [2] * 10
    assert location("letters") == str(cache.parent)
    assert len(load("sample", test="letters").test) == 20
    assert load().classes == tuple("0123456789")


def test_letters_are_drawn_once(cache, monkeypatch):
    first = load("letters")
    monkeypatch.setattr(letters, "draw_letters", None)
    again = load("letters")
    assert torch.equal(first.train.pixels, again.train.pixels)
    assert torch.equal(first.test.labels, again.test.labels)


@pytest.mark.parametrize(
    "harm", ["cut", "another version", "no version", "no archive", "a flipped bit"]
)
def test_a_damaged_or_old_cache_is_replaced(cache, harm):
    first = load("letters").train.pixels
    whole = cache.read_bytes()
    if harm == "cut":
        cache.write_bytes(whole[: len(whole) // 2])
    elif harm == "another version":
        np.savez(cache, version=0, x_train=np.zeros((5, 28, 28), np.uint8), x_test=first[:2])
    elif harm == "no version":
        np.savez(cache, x_train=np.zeros((5, 28, 28), np.uint8))
    elif harm == "no archive":
        cache.write_text("letters")
    else:
        place = len(whole) // 2
        cache.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert torch.equal(load("letters").train.pixels, first)
    assert torch.equal(load("letters").train.pixels, first)
    with np.load(cache) as file:
        assert len(file["x_train"]) == 60 and file["version"] == letters.VERSION


def test_without_a_cache_letters_are_drawn_all_the_same(cache, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SCRATCHAE_CACHE", str(tmp_path / "file"))
    assert len(load("letters").train) == 60
