"""The methods that denoising is compared with are right, and the stored results reach their goals."""

import json

import pytest
import torch

from reference import denoising
from reference.denoising import (
    PCA,
    RESULTS,
    clean_pixels,
    median_filter,
    moved,
    noisy_pixels,
    rival,
)
from scratchae.data import load
from tests.helpers.runs import few_digits

STORED = json.loads((RESULTS / "denoising.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("window", [3, 5])
def test_a_median_filter_takes_medians(window):
    images, beside = torch.randn(3, 7, 6), window // 2
    padded = torch.nn.functional.pad(images, (beside,) * 4)
    for row in range(7):
        for column in range(6):
            part = padded[:, row : row + window, column : column + window].flatten(1)
            assert torch.equal(
                median_filter(images, window)[:, row, column], part.median(dim=1).values
            )


def test_pca_projects_on_the_directions_of_most_variance():
    images = clean_pixels(load().train)[:900]
    pca = PCA(images)
    x = images.flatten(1).double()
    variances = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    for k in (1, 10, 50):
        error = (pca(images, k) - images).double().flatten(1).square().sum(1).mean()
        assert error.item() == pytest.approx(variances[k:].sum().item(), rel=1e-5)
    assert torch.allclose(pca(images, 784), images, atol=1e-5)


def test_moved_digits_are_the_same_digits_two_pixels_away():
    images = load().test
    away = moved(images)
    space = torch.nn.functional.pad(images.pixels, (4, 4, 4, 4))
    seen = set()
    for i in range(100):
        places = [
            (down, right)
            for down in range(9)
            for right in range(9)
            if torch.equal(space[i, down : down + 28, right : right + 28], away.pixels[i])
        ]
        (place,) = places
        seen.add(place)
    assert seen == {(2, 2), (2, 6), (6, 2), (6, 6)}
    assert torch.equal(away.labels, images.labels)


def test_noise_on_held_out_digits_is_fixed_and_not_that_of_validation():
    images = few_digits().test
    assert torch.equal(noisy_pixels(images, 0.3), noisy_pixels(images, 0.3))
    assert not torch.equal(noisy_pixels(images, 0.3), noisy_pixels(images, 0.3, seed=1))


def test_stored_results_reach_the_goals():
    for row in STORED["denoising"]:
        assert row["identity"] == pytest.approx(row["formula"], abs=0.02)
        assert min(row["conv"]) > rival(row)
    (strong,) = [row for row in STORED["denoising"] if row["sigma"] == 0.3]
    assert min(strong["conv"]) >= rival(strong) + 3
    small = STORED["bottleneck"]
    assert small["plain"] < small["noisy"] < small["clipped"]
    augmentation = STORED["augmentation"]
    assert augmentation["with"]["moved"] > augmentation["without"]["moved"] + 1


def test_the_page_and_the_readme_show_the_stored_results():
    (strong,) = [row for row in STORED["denoising"] if row["sigma"] == 0.3]
    gain = sum(strong["conv"]) / len(strong["conv"]) - rival(strong)
    assert f"{gain:.1f} dB" in (RESULTS.parents[1] / "README.md").read_text(encoding="utf-8")
    page = denoising.markdown(STORED)
    assert page == (RESULTS / "denoising.md").read_text(encoding="utf-8")
    assert (RESULTS / "denoising.png").exists()


@pytest.mark.slow
def test_the_study_runs(monkeypatch):
    data = load("sample", validation=0.1)
    few = torch.arange(300)
    small = type(data)(
        "few", data.train.select(few), data.test.select(few), data.validation.select(few)
    )
    monkeypatch.setattr(denoising, "EPOCHS", {"conv": 1, "small": 1, "augmentation": 1})
    rows, figure = denoising.measure_denoising(small, epochs=1)
    assert [row["sigma"] for row in rows] == list(denoising.SIGMAS) and len(figure.axes) == 5
    assert denoising.measure_bottleneck(small)["noisy"] == pytest.approx(20, abs=0.1)
    assert set(denoising.measure_augmentation(small)["with"]) == {"untouched", "moved"}
