"""Noise has the strength that was asked for, in any pixel range, and belongs to its sample alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.data import Augmentation, Corruption, load
from scratchae.data.corruption import gaussian_noise, mask_block, mask_pixels, salt_and_pepper
from scratchae.errors import ScratchaeError
from scratchae.noise import noise_keys
from scratchae.training.evaluation import psnr

some = settings(max_examples=50)
ranges = st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (-3.0, 2.0)])
EVERYTHING = Corruption(noise=0.2, salt=0.1, mask=0.1, block=5)


def grey(n=200, pixel_range=(0.0, 1.0), shape=(1, 28, 28)):
    return torch.full((n, *shape), sum(pixel_range) / 2, dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("pixel_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_a_noisy_image_has_minus_20_log_sigma_decibels_in_every_pixel_range(sigma, pixel_range):
    low, high = pixel_range
    clean = low + (high - low) * load().test.pixels[:300].flatten(1).double() / 255
    noisy = gaussian_noise(clean, noise_keys(3, 1, 300), sigma, pixel_range)
    assert psnr(noisy, clean, high - low) == pytest.approx(-20 * math.log10(sigma), abs=0.05)
    assert noisy.min() < low and noisy.max() > high  # nothing is clipped


@given(share=st.floats(0, 1), pixel_range=ranges)
@some
def test_salt_and_pepper_are_half_and_half(share, pixel_range):
    low, high = pixel_range
    clean = grey(100, pixel_range)
    noisy = salt_and_pepper(clean, noise_keys(1, 1, 100), share, pixel_range)
    for value, expected in ((low, share / 2), (high, share / 2), (sum(pixel_range) / 2, 1 - share)):
        assert (noisy == value).double().mean() == pytest.approx(expected, abs=0.01)


@given(share=st.floats(0, 1), pixel_range=ranges)
@some
def test_masked_pixels_become_background(share, pixel_range):
    masked = mask_pixels(grey(100, pixel_range), noise_keys(1, 1, 100), share, pixel_range)
    assert (masked == pixel_range[0]).double().mean() == pytest.approx(share, abs=0.01)
    assert masked.unique().numel() <= 2


@given(side=st.integers(1, 28), seed=st.integers(0, 999), pixel_range=ranges)
@some
def test_a_masked_block_is_one_square_inside_the_image(side, seed, pixel_range):
    masked = mask_block(grey(20, pixel_range), noise_keys(seed, 1, 20), side, pixel_range)
    black = masked[:, 0] == pixel_range[0]
    rows, columns = black.any(dim=2), black.any(dim=1)
    assert (rows.sum(1) == side).all() and (columns.sum(1) == side).all()
    assert (black.sum(dim=(1, 2)) == side**2).all()
    assert ((rows.int().diff(dim=1) == 1).sum(1) <= 1).all()  # one piece


def test_a_masked_block_can_be_everywhere():
    black = mask_block(grey(2000), noise_keys(0, 1, 2000), 26) == 0
    corners = black[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.any(dim=0).all()
    assert black[:, 0].flatten(1).unique(dim=0).shape[0] == 9  # 3 places in each direction


KINDS = [
    Corruption(noise=0.3),
    Corruption(salt=0.3),
    Corruption(mask=0.3),
    Corruption(block=9),
    EVERYTHING,
    Augmentation(rotate=20),
    Augmentation(shift=3),
    Augmentation(scale=0.2),
    Augmentation(elastic=1.4),
    Augmentation(10, 2, 0.1, 1),
]


@pytest.mark.parametrize("change", KINDS, ids=str)
class TestEveryKind:
    def test_it_changes_the_images_and_not_its_arguments(self, change):
        x = load().test.normalised()[:20]
        keys = noise_keys(0, 1, 20)
        copies = x.clone(), keys.clone()
        y = change(x, keys, (-1.0, 1.0))
        assert torch.equal(x, copies[0]) and torch.equal(keys, copies[1])
        assert y.shape == x.shape and y.dtype == x.dtype
        assert ((y != x).flatten(1).any(dim=1)).float().mean() > 0.5

    def test_a_sample_gets_the_same_in_any_batch_and_shape_and_another_in_another_epoch(
        self, change
    ):
        x = load().test.normalised()[:20]
        keys = noise_keys(0, 1, 20)
        y = change(x, keys, (-1.0, 1.0))
        index = torch.tensor([7, 3, 19])
        torch.testing.assert_close(
            change(x[index], keys[index], (-1.0, 1.0)), y[index], atol=1e-4, rtol=0
        )
        assert torch.equal(change(x.flatten(1), keys, (-1.0, 1.0)), y.flatten(1))
        assert not torch.equal(change(x, noise_keys(0, 2, 20), (-1.0, 1.0)), y)
        assert not torch.equal(change(x[:1].expand(2, -1, -1, -1), keys[:2], (-1.0, 1.0))[0], y[1])

    def test_it_means_the_same_in_another_pixel_range(self, change):
        x = load().test.normalised(dtype=torch.float64)[:20]
        keys = noise_keys(0, 1, 20)
        y = change((x + 1) / 2, keys, (0.0, 1.0))
        torch.testing.assert_close(2 * y - 1, change(x, keys, (-1.0, 1.0)), atol=1e-9, rtol=0)

    def test_its_text_is_read_back(self, change):
        assert type(change).parse(str(change)) == change
        assert type(change).parse(change) is change

    def test_no_image_gives_no_image(self, change):
        assert change(torch.zeros(0, 784), noise_keys(0, 1, 0)).shape == (0, 784)


def test_kinds_of_corruption_are_independent_of_one_another():
    """With the same random numbers, salt would fall exactly on the pixels that are masked."""
    x, keys = grey(100), noise_keys(0, 1, 100)
    masked = Corruption(mask=0.3)(x, keys) == 0
    salted = Corruption(salt=0.3)(x, keys) != 0.5
    assert (masked & salted).double().mean() == pytest.approx(0.09, abs=0.01)


numbers = st.floats(0, 1)


@given(noise=numbers, salt=numbers, mask=numbers, block=st.integers(0, 28))
def test_every_corruption_is_read_back_from_its_text(noise, salt, mask, block):
    corruption = Corruption(noise, salt, mask, block)
    assert Corruption.parse(str(corruption) or None) == (corruption or None)


def test_nothing_is_none():
    assert Corruption.parse(None) is None
    assert Corruption.parse("noise=0,block=0") is None
    assert Augmentation.parse(Augmentation()) is None
    assert Corruption.parse(" noise = 0.3 , mask=1e-1") == Corruption(noise=0.3, mask=0.1)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (Corruption, "nois=0.3", "no corruption called 'nois': did you mean noise?"),
        (Corruption, "blur=2", "the names are noise, salt, mask, block"),
        (Corruption, "noise", "expects NAME=VALUE, such as noise=0.3,mask=0.1, but got 'noise'"),
        (Corruption, "", "expects NAME=VALUE"),
        (Corruption, "noise=much", "noise is 'much', but it must be a number"),
        (Corruption, "noise=nan", "must be a number from 0 to 10"),
        (Corruption, "mask=1.5", "must be a number from 0 to 1"),
        (Corruption, "block=2.5", "must be a whole number of pixels"),
        (Corruption, "noise=0.1,noise=0.2", "noise is given twice"),
        (
            Corruption,
            0.3,
            "must be a text such as 'noise=0.3,mask=0.1' or a Corruption, but got 0.3",
        ),
        (Corruption, Augmentation(rotate=3), "or a Corruption"),
        (Augmentation, "rotat=10", "did you mean rotate?"),
        (Augmentation, "shift=-1", "must be a number from 0 to 28"),
        (Augmentation, "scale=1", "must be a number from 0 to 0.9"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(kind, text, says):
    with pytest.raises(ScratchaeError) as error:
        kind.parse(text)
    assert says in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("value", [True, "0.3", None, math.inf, math.nan, -0.1])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(ScratchaeError, match="noise is"):
        Corruption(noise=value)
