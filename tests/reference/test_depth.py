"""The race of deep autoencoders is fair, and the stored results show what they claim."""

import json
import statistics

import pytest

from reference.depth import LATENTS, RESULTS, SEEDS, first_step, last, markdown, mean_image_error
from scratchae.data import load
from scratchae.models import build
from tests.helpers.runs import few_digits

STORED = json.loads((RESULTS / "depth.json").read_text(encoding="utf-8"))


def stored(name: str, latent: int) -> dict:
    (row,) = (r for r in STORED["rows"] if (r["model"], r["latent"]) == (name, latent))
    return row


@pytest.mark.parametrize("latent", LATENTS)
def test_residual_wins_by_more_than_the_seeds_differ(latent):
    residual, plain = stored("residual", latent), stored("plain-deep", latent)
    assert len(residual["losses"]) == len(plain["losses"]) == len(SEEDS) == 5
    assert residual["parameters"] == plain["parameters"]
    spread = max(max(last(row)) - min(last(row)) for row in (residual, plain))
    assert min(last(plain)) - max(last(residual)) > spread


@pytest.mark.parametrize("latent", LATENTS)
def test_plain_stalls_at_the_mean_image_and_residual_beats_the_shallow_model(latent):
    for losses in stored("plain-deep", latent)["losses"]:
        assert losses[-1] > 0.97 * STORED["mean_image"]
        assert losses[1] - losses[-1] < 0.01 * losses[1]  # no progress after the first epochs
    assert max(last(stored("residual", latent))) < min(last(stored("fc", latent)))


def test_the_stored_error_of_the_mean_image_is_that_of_the_sample():
    assert mean_image_error(load()) == pytest.approx(STORED["mean_image"], rel=1e-6)


def test_the_first_gradient_is_lost_without_skips():
    steps = {n: first_step(f"{n},latent=16", few_digits(500)) for n in ("residual", "plain-deep")}
    linear = [n for n, _ in build("residual").modules() if n.endswith(("body.1", "body.3"))]
    assert len(linear) == 32 and len(steps["residual"]["gradient"]) == 36
    first, deep = (found["gradient"][0] for found in steps.values())
    assert deep < 1e-6 * first
    assert statistics.median(steps["plain-deep"]["spread"]) < 0.01


def test_the_page_is_that_of_the_stored_results():
    assert (RESULTS / "depth.md").read_text(encoding="utf-8") == markdown(STORED)
