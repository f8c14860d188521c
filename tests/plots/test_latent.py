"""Codes are drawn where they are, or where their principal components put them."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from scratchae import plots
from tests.helpers.figures import points, words


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_codes_stand_where_they_are(width, dtype):
    codes, labels = torch.randn(40, width).to(dtype), torch.arange(40) % 10
    figure = plots.latent_cloud(codes, labels)
    (ax,) = figure.axes
    expected = codes[labels.argsort(stable=True)].double().numpy()
    np.testing.assert_allclose(points(ax), expected, rtol=1e-12)
    assert [t.get_text() for t in ax.texts] == list("0123456789")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list("0123456789")
    assert len({tuple(c.get_facecolor()[0][:3]) for c in ax.collections}) == 10
    assert "code 1" in ax.get_xlabel() and "code 2" in ax.get_ylabel()


def test_classes_that_are_not_digits_are_called_by_their_names():
    figure = plots.latent_cloud(torch.randn(20, 2), torch.arange(20) % 3, classes="ACE")
    assert [t.get_text() for t in figure.axes[0].texts] == list("ACE")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list("ACE")
    assert "digit" not in words(figure) and "20 images" in words(figure)


def test_no_labels_no_legend():
    figure = plots.latent_cloud(torch.randn(5, 3))
    assert not figure.legends and not figure.axes[0].texts and len(points(figure.axes[0])) == 5


def test_many_codes_are_thinned_alike_for_every_digit():
    codes = torch.randn(3000, 2)
    labels = (torch.arange(3000) % 10) * (torch.arange(3000) % 2)  # 0 is common
    figure, again = (plots.latent_cloud(codes, labels, most=60) for _ in range(2))
    assert {len(c.get_offsets()) for c in figure.axes[0].collections} == {10}
    assert "60 digits out of 3,000" in words(figure)
    np.testing.assert_array_equal(points(figure.axes[0]), points(again.axes[0]))
    other = plots.latent_cloud(codes, labels, most=60, seed=1)
    assert not np.array_equal(points(figure.axes[0]), points(other.axes[0]))


def test_wide_codes_are_projected_on_their_principal_components():
    spread = torch.tensor([5.0, 3.0, 2.0] + [0.5] * 9)
    codes = torch.randn(200, 12, generator=torch.Generator().manual_seed(0)) * spread + 7
    figure = plots.latent_cloud(codes)
    variance = torch.linalg.eigvalsh(torch.cov(codes.T.double())).flip(0)
    np.testing.assert_allclose(points(figure.axes[0]).var(axis=0, ddof=1), variance[:3], rtol=1e-9)
    share = variance[:3].sum() / variance.sum()
    assert "first 3 principal components" in words(figure) and f"{share:.0%}" in words(figure)


def test_codes_that_are_all_the_same_have_no_variance():
    assert "0% of the variance" in words(plots.latent_cloud(torch.ones(4, 5)))


@pytest.mark.parametrize("width", [2, 3])
def test_digits_in_the_same_place_stand_side_by_side(width):
    codes = torch.randn(20, width, generator=torch.Generator().manual_seed(0)).repeat(10, 1)
    figure = plots.latent_cloud(codes, torch.arange(10).repeat_interleave(20))
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts]
    assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))
