"""Pictures of a VAE: each shows the decoder's own images and the history's own numbers."""

import numpy as np
import pandas as pd
import pytest
import torch

from scratchae import ScratchaeError, plots
from scratchae.models import build
from scratchae.plots.generative import prior_samples, spread
from tests.helpers.figures import drawn, words

MODELS = ["vae,latent=2", "conv-vae", "linear-vae,latent=2"]


@pytest.mark.parametrize("name", MODELS)
def test_samples_are_decoded_codes_from_the_prior(name):
    model = build(name, 1)
    (ax,) = plots.samples(model, count=7, seed=3).axes
    expected = prior_samples(model, 7, seed=3).double().reshape(-1, 28, 28).numpy()
    np.testing.assert_array_equal(drawn(ax), expected)
    assert {image.get_clim() for image in ax.images} == {model.pixel_range}
    # image i does not depend on the count, and the codes are standard normal
    torch.testing.assert_close(prior_samples(model, 7, 3)[:2], prior_samples(model, 2, 3))
    assert not torch.equal(prior_samples(model, 7, 3), prior_samples(model, 7, 4))
    assert model.training


@pytest.mark.parametrize("name", MODELS)
def test_the_plane_is_the_decoder_at_the_quantiles_of_the_prior(name):
    model = build(name, 1)
    (ax,) = plots.latent_plane(model, size=4).axes
    picture = np.asarray(ax.images[0].get_array())
    assert picture.shape == (112, 112) and ax.images[0].get_extent() == [0, 4, 0, 4]
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor([1, 3, 5, 7]) / 8)
    for row in range(4):
        for column in range(4):
            code = torch.stack([quantiles[column], quantiles[3 - row]])[
                None
            ]  # code 2 rises upwards
            expected = model.expected(model.eval().decode(code)).reshape(28, 28)
            cell = picture[28 * row : 28 * row + 28, 28 * column : 28 * column + 28]
            np.testing.assert_allclose(cell, expected, atol=1e-5)


def test_the_three_lines_are_the_loss_and_its_two_parts():
    losses, penalties = [190.0, 170.0, 160.5], [4.0, 5.0, 6.25]
    history = pd.DataFrame({"epoch": [1, 2, 3], "test_loss": losses, "test_penalty": penalties})
    (ax,) = plots.elbo_parts(history).axes
    whole, fit, kl = ax.lines[:3]
    np.testing.assert_array_equal(whole.get_ydata(), losses)
    np.testing.assert_array_equal(kl.get_ydata(), penalties)
    np.testing.assert_allclose(fit.get_ydata() + kl.get_ydata(), losses)
    assert [text.get_text() for text in ax.texts] == [
        "−ELBO 160.5",
        "reconstruction 154.2",
        "KL 6.25",
    ]
    assert "nats per image" in ax.get_ylabel()


def test_with_another_beta_the_sum_is_not_called_the_elbo():
    history = pd.DataFrame({"epoch": [1, 2], "test_loss": [9.0, 8.0], "test_penalty": [2.0, 3.0]})
    text = words(plots.elbo_parts(history, beta=0.5))
    assert "reconstruction + 0.5 KL 8" in text and "ELBO" not in text


def test_texts_do_not_overlap():
    history = pd.DataFrame(
        {"epoch": [1, 2], "test_loss": [150.0, 149.0], "test_penalty": [0.1, 0.2]}
    )
    figure = plots.elbo_parts(history)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert sorted(spread([5.0, 5.0, 5.0], 0.1)) == [5.0, 5.5, 6.0]


def test_what_is_no_vae_is_refused():
    with pytest.raises(ScratchaeError, match="have no prior"):
        plots.samples(build("fc"))
    for name in ("vae", "fc"):
        with pytest.raises(ScratchaeError, match="code of two numbers"):
            plots.latent_plane(build(name))
    with pytest.raises(ScratchaeError, match="test_penalty"):
        plots.elbo_parts(pd.DataFrame({"epoch": [1], "test_loss": [0.1]}))
