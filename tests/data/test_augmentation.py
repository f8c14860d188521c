"""Images move as torch's grid_sample moves them, and as far as was asked for."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from scratchae.data import Augmentation
from scratchae.data.augmentation import affine_matrices, displacement, smoothing
from scratchae.data.warping import affine_grid, grid_sample
from scratchae.noise import noise_keys, uniform

some = settings(max_examples=60)
sizes = st.sampled_from([1, 2, 3, 7, 28])


@given(
    seed=st.integers(0, 2**31),
    n=st.integers(0, 3),
    c=st.integers(1, 3),
    h=sizes,
    w=sizes,
    back=st.floats(-2, 2),
)
@some
def test_sampling_equals_torchs(seed, n, c, h, w, back):
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(n, c, h, w, generator=random, dtype=torch.float64)
    grid = 3 * torch.randn(n, 5, 4, 2, generator=random, dtype=torch.float64)
    grid[:, 0] = grid[:, 0].round()  # exactly on borders
    if n == 0:
        assert grid_sample(images, grid, back).shape == (0, c, 5, 4)
        return
    expected = (
        functional.grid_sample(images - back, grid, align_corners=False, padding_mode="zeros")
        + back
    )
    torch.testing.assert_close(grid_sample(images, grid, back), expected, atol=1e-12, rtol=0)
    single = grid_sample(images.float(), grid.float(), back)
    torch.testing.assert_close(single.double(), expected, atol=3e-5, rtol=0)


@given(seed=st.integers(0, 2**31), n=st.integers(1, 3), h=sizes, w=sizes)
@some
def test_the_grid_equals_torchs(seed, n, h, w):
    random = torch.Generator().manual_seed(seed)
    matrix = torch.randn(n, 2, 3, generator=random, dtype=torch.float64)
    expected = functional.affine_grid(matrix, [n, 1, h, w], align_corners=False)
    torch.testing.assert_close(affine_grid(matrix, h, w), expected, atol=1e-12, rtol=0)


def test_an_image_that_looks_at_its_own_places_stays():
    images = torch.randn(4, 1, 28, 28)
    identity = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(4, 2, 3)
    torch.testing.assert_close(
        grid_sample(images, affine_grid(identity, 28, 28), -1.0), images, atol=1e-5, rtol=0
    )


def moved(image, degrees=0.0, factor=1.0, shift=(0.0, 0.0)):
    """The image (28, 28) with this one movement; the shift in pixels."""
    matrix = affine_matrices(
        torch.tensor([math.radians(degrees)], dtype=torch.float64),
        torch.tensor([factor], dtype=torch.float64),
        torch.tensor([shift], dtype=torch.float64) / 14,
    )
    return grid_sample(image[None, None], affine_grid(matrix, 28, 28))[0, 0]


def picture():
    return torch.randn(28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_shift_by_whole_pixels_moves_to_the_right_and_down():
    image = picture()
    expected = torch.zeros_like(image)
    expected[3:, 2:] = image[:-3, :-2]
    torch.testing.assert_close(moved(image, shift=(2, 3)), expected)


def test_a_quarter_turn_is_clockwise():
    torch.testing.assert_close(moved(picture(), degrees=90), picture().rot90(-1))


def test_a_factor_above_one_enlarges():
    image = torch.zeros(28, 28, dtype=torch.float64)
    image[10:18, 10:18] = 1
    assert moved(image, factor=2).sum() == pytest.approx(4 * 64)
    assert moved(image, factor=0.5).sum() == pytest.approx(64 / 4)


def test_turning_comes_before_moving():
    image = picture()
    both = moved(image, degrees=90, shift=(2, 0))
    torch.testing.assert_close(both, moved(moved(image, degrees=90), shift=(2, 0)))


def spots(row, column):
    """One white pixel in each of 2,000 images."""
    images = torch.zeros(2000, 1, 28, 28, dtype=torch.float64)
    images[:, :, row, column] = 1
    return images


def centre_of_mass(images):
    at = torch.arange(28, dtype=images.dtype)
    mass = images[:, 0]
    total = mass.sum(dim=(1, 2))
    return (mass.sum(dim=1) @ at) / total, (mass.sum(dim=2) @ at) / total


def test_shifts_are_uniform_up_to_their_bound():
    x, y = centre_of_mass(Augmentation(shift=3)(spots(14, 14), noise_keys(0, 1, 2000)))
    for place in (x - 14, y - 14):
        assert 2.95 < place.abs().max() <= 3 + 1e-9
        assert place.mean().abs() < 0.15 and place.std() == pytest.approx(3 / 3**0.5, rel=0.05)
    assert abs(torch.corrcoef(torch.stack([x, y]))[0, 1]) < 0.1


def test_rotations_are_uniform_up_to_their_bound():
    turned = Augmentation(rotate=30)(spots(14, 24), noise_keys(0, 1, 2000))
    x, y = (place - 13.5 for place in centre_of_mass(turned))
    angle = torch.rad2deg(torch.atan2(y, x)) - math.degrees(math.atan2(0.5, 10.5))
    assert 28 < angle.abs().max() < 32 and angle.mean().abs() < 1.5
    assert (x**2 + y**2).sqrt().mean() == pytest.approx(10.5, abs=0.1)


def test_scales_are_uniform_up_to_their_bound():
    square = torch.zeros(2000, 1, 28, 28, dtype=torch.float64)
    square[..., 10:18, 10:18] = 1
    size = Augmentation(scale=0.25)(square, noise_keys(0, 1, 2000)).sum(dim=(1, 2, 3)).sqrt() / 8
    assert 0.74 < size.min() < 0.77 and 1.23 < size.max() < 1.26
    assert size.mean() == pytest.approx(1, abs=0.02)


def test_an_elastic_field_has_its_strength_everywhere_and_is_smooth():
    field = displacement(noise_keys(0, 1, 1000), 28, 28, torch.float64)
    variance = field.square().mean(dim=0)
    assert variance.mean() == pytest.approx(1, abs=0.03)
    assert variance.min() > 0.8 and variance.max() < 1.2
    assert field.diff(dim=1).square().mean().sqrt() < 0.3  # neighbours move alike
    distant = (field[:, 0, 0] * field[:, 14, 14]).mean()
    assert distant.abs() < 0.15  # far points do not
    assert abs((field[..., 0] * field[..., 1]).mean()) < 0.05


def test_a_displacement_is_random_numbers_smoothed_in_both_directions():
    keys = noise_keys(5, 1, 3)
    n = 3**0.5 * (2 * uniform(keys, (2, 28, 28), torch.float64) - 1)
    row = smoothing(28, n)[0]
    kernel = row[:, None] * row  # two dimensions at once
    direct = torch.fft.ifft2(torch.fft.fft2(n) * torch.fft.fft2(kernel)).real
    torch.testing.assert_close(
        displacement(keys, 28, 28, torch.float64), direct.permute(0, 2, 3, 1)
    )


def test_an_elastic_deformation_is_in_pixels():
    x, _ = centre_of_mass(Augmentation(elastic=0.5)(spots(14, 14), noise_keys(0, 1, 2000)))
    assert (x - 14).std() == pytest.approx(0.5, rel=0.15)


def test_what_comes_in_from_outside_is_background():
    y = Augmentation(shift=5)(torch.ones(50, 1, 28, 28), noise_keys(0, 1, 50), (-1.0, 1.0))
    assert y.min() == -1
    assert Augmentation(shift=5)(torch.ones(50, 1, 28, 28), noise_keys(0, 1, 50)).min() == 0
