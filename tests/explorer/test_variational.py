"""The page of a variational autoencoder, alone and beside an autoencoder, in a real Chromium."""

import numpy as np
import pytest
import torch

from scratchae.data.letters import LETTERS, draw_letters
from scratchae.explorer import LARGEST, write_page
from scratchae.models import build
from scratchae.training import Run, Settings, fit
from scratchae.training.evaluation import evaluating
from tests.explorer.pages import explored, grey, middle
from tests.helpers.browser import DESK, PHONE, frame
from tests.helpers.runs import few_digits

NEAR = 0.075  # of 1, the range of a pixel: what rounded weights may cost


@pytest.fixture(scope="module")
def runs(browser):
    data = few_digits(train=600)
    names = ("fc,latent=2", "vae,latent=2")
    return [fit(name, data, epochs=6, device="cpu", progress=False) for name in names]


@pytest.fixture(scope="module")
def both(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "both.html"
    write_page(runs, few_digits(), path)
    return path


@pytest.fixture(scope="module")
def page(browser, both):
    """One page for all tests: each of them sets what it needs."""
    with explored(browser, both) as watched:
        yield watched.page
        assert watched.complaints == [] and watched.requests == [both.as_uri()]


def ink_of(page, panel: int, code: str) -> np.ndarray:
    """What the panel's decoder draws for a code, 0 to 255."""
    found = page.evaluate(f"() => Array.from(panels[{panel}].sketch({code}))")
    return 255 * np.array(found).reshape(28, 28)


# --- numbers


def test_the_posterior_and_the_pixels_are_pythons(browser, page, runs):
    run = runs[1]
    x = few_digits().test.normalised(pixel_range=(0.0, 1.0))[:50].flatten(1)
    found = page.evaluate(
        """(all) => all.map((ink) => {
          panels[1].take(ink, '');
          const { mu, sigma } = panels[1].posterior;
          return [[...mu], [...sigma], [...panels[1].sketch(mu)]];
        })""",
        x.tolist(),
    )
    with evaluating(run.model):
        mu, logvar = run.model.posterior(x)
    for own, theirs in ((mu, 0), ((logvar / 2).exp(), 1)):
        off = torch.tensor([one[theirs] for one in found]) - own
        assert off.abs().max() < 0.1 * own.std() + 0.02
    codes = torch.tensor([one[0] for one in found])
    with evaluating(run.model):
        expected = run.model.expected(run.model.decode(codes))
    assert expected.min() >= 0 and expected.max() > 0.5
    assert (torch.tensor([one[2] for one in found]) - expected).abs().max() < NEAR


def test_the_largest_vae_fits_and_its_codes_are_decoded_as_in_python(browser, tmp_path):
    model = build("vae", 1)
    run = Run(model, Settings("vae", "", None, "", 1, 64, 1e-3, 0.0, 0))
    write_page(run, few_digits(), tmp_path / "page.html")
    codes = torch.randn(50, 20, generator=torch.Generator().manual_seed(0))
    assert (tmp_path / "page.html").stat().st_size < LARGEST + 100_000
    with explored(browser, tmp_path / "page.html") as watched:
        found = watched.page.evaluate(
            "(all) => all.map((z) => Array.from(panels[0].decode(Float32Array.from(z))))",
            codes.tolist(),
        )
        assert watched.page.locator("#noises .rows label").count() == 20
        assert not watched.complaints
    with evaluating(model):
        expected = model.expected(model.decode(codes))
    assert (torch.tensor(found) - expected).abs().max() < NEAR


# --- one gesture for both


def test_the_pointer_decodes_in_both_planes(page):
    x, y = middle(page, ".cloud >> nth=0")
    seen = []
    for dx in (-80, 60):
        page.mouse.move(x + dx, y - 30)
        frame(page)
        assert page.evaluate("() => clouds[0].cursor") == page.evaluate("() => clouds[1].cursor")
        for i in (0, 1):
            ink = ink_of(page, i, f"clouds[{i}].codeAt(...clouds[{i}].cursor)")
            np.testing.assert_allclose(grey(page, "decoded", i), ink, atol=1)
        seen.append(page.locator(".code").all_inner_texts())
    assert all(a != b for a, b in zip(*seen, strict=True))


def test_a_stroke_is_given_back_by_both(page):
    page.locator("#clear").click()
    x, y = middle(page, "#pad")
    page.mouse.move(x, y - 60)
    page.mouse.down()
    page.mouse.move(x, y + 60, steps=6)
    page.mouse.up()
    frame(page)
    for i in (0, 1):
        ink = ink_of(page, i, f"panels[{i}].encode(pad.digit())")
        np.testing.assert_allclose(grey(page, "back", i), ink, atol=1)
        assert ink.max() > 60
    words = page.locator("#error").inner_text()
    assert "fc,latent=2: mean squared error" in words and "vae,latent=2: mean" in words


def test_a_click_on_a_point_chooses_the_code_of_the_same_image_in_both(page):
    middle(page, ".cloud >> nth=1")
    box = page.locator(".cloud >> nth=1").bounding_box()
    x, y, i = page.evaluate(
        """() => { const cloud = clouds[1];
          const [x, y] = cloud.project(cloud.codes.places[5]);
          return [x, y, cloud.pointAt(x, y)]; }"""
    )
    end = page.evaluate("() => path.next")
    page.mouse.click(box["x"] + x, box["y"] + y)
    frame(page)
    found, expected = page.evaluate(
        """([end, i]) => [path.ends[end].codes.map((code) => [...code]),
          panels.map(({ codes }) => [...codes.code(i)])]""",
        [end, i],
    )
    assert found == expected
    assert page.locator("#walks .strip").count() == 2


def test_both_fit_beside_each_other_on_a_phone_and_a_finger_moves_both(browser, both):
    for viewport in (DESK, PHONE, {"width": 320, "height": 600}):
        with explored(browser, both, viewport, has_touch=True, is_mobile=True) as watched:
            page = watched.page
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
            boxes = [page.locator(f".cloud >> nth={i}").bounding_box() for i in (0, 1)]
            assert boxes[0]["y"] == boxes[1]["y"]
            assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
            middle(page, ".cloud >> nth=1")
            before = page.locator(".code").all_inner_texts()
            box = page.locator(".cloud >> nth=1").bounding_box()
            page.touchscreen.tap(box["x"] + 15, box["y"] + 15)
            frame(page)
            after = page.locator(".code").all_inner_texts()
            assert all(a != b for a, b in zip(before, after, strict=True))


# --- the plane


def test_the_plane_shows_the_decoded_codes_of_its_places(page):
    page.wait_for_function("() => clouds.every(({ plane }) => plane.key && !plane.cells.length)")
    for i in (0, 1):
        for column, row in ((0, 0), (3, 2)):
            found, ink = page.evaluate(
                """([i, column, row]) => {
                  const { plane } = clouds[i];
                  const place = [(column + 0.5) * plane.size[0], (row + 0.5) * plane.size[1]];
                  const copy = new OffscreenCanvas(28, 28).getContext('2d', { willReadFrequently: true });
                  copy.drawImage(plane.canvas, -28 * column, -28 * row);
                  const cell = copy.getImageData(0, 0, 28, 28);
                  const ink = panels[i].sketch(clouds[i].codeAt(...place, 0));
                  return [[...cell.data], [...tinted(ink, plane.colours).data]];
                }""",
                [i, column, row],
            )
            assert found == ink and len(set(found)) > 10
    look = "() => clouds.map(({ canvas }) => canvas.toDataURL())"
    shown = page.evaluate(look)
    page.locator("#plane").uncheck()
    frame(page)
    hidden = page.evaluate(look)
    page.locator("#plane").check()
    assert all(a != b for a, b in zip(shown, hidden, strict=True))


# --- the noise


def test_the_sliders_move_the_code_by_the_formula(page):
    assert page.locator("#noises article").count() == 1  # the autoencoder has no noise
    sliders = page.locator("#noises .rows input")
    sliders.nth(0).fill("2")
    sliders.nth(1).fill("-1.5")
    page.locator(".spread").fill("3")
    frame(page)
    mu, sigma, z = page.evaluate(
        """() => { const { posterior, marks } = panels[1];
          return [posterior.mu, posterior.sigma, marks.sample.code].map((a) => [...a]); }"""
    )
    np.testing.assert_allclose(
        z, np.array(mu) + 3 * np.array(sigma) * [2, -1.5], rtol=1e-4, atol=1e-5
    )
    ink = ink_of(page, 1, "panels[1].marks.sample.code")
    np.testing.assert_allclose(grey(page, "sampled"), ink, atol=1)
    first = page.locator("#noises .rows output").first.inner_text()
    assert first.endswith(f"= {z[0]:.2f}".replace("-", "−")) and "3.0 ·" in first
    page.locator("button.zero").click()
    np.testing.assert_allclose(grey(page, "sampled"), grey(page, "mean"), atol=1)
    page.locator("button.draw").click()
    eps = page.evaluate("() => [...panels[1].posterior.eps]")
    assert 0 not in eps and float(sliders.nth(0).input_value()) == pytest.approx(eps[0], abs=0.01)


def test_the_ellipse_is_the_projection_of_the_spread(page):
    """On the points of the circle |ε| = 1, and nowhere else."""
    found = page.evaluate(
        """() => {
          const cloud = clouds[1];
          const drawn = [];
          const [mu, sigma] = [Float32Array.of(0.3, -0.2), Float32Array.of(0.5, 0.2)];
          const real = cloud.context.ellipse;
          cloud.context.ellipse = (...words) => drawn.push(...words.slice(0, 5));
          cloud.ellipse(mu, sigma, cloud.basis());
          cloud.context.ellipse = real;
          const at = (angle) => cloud.project(cloud.codes.placeOf(
            [mu[0] + sigma[0] * Math.cos(angle), mu[1] + sigma[1] * Math.sin(angle)])).slice(0, 2);
          return [drawn, [0, 0.7, 1.5, 3, 5].map(at)];
        }"""
    )
    (cx, cy, a, b, turn), points = found
    for x, y in points:
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = -(x - cx) * np.sin(turn) + (y - cy) * np.cos(turn)
        assert (u / a) ** 2 + (v / b) ** 2 == pytest.approx(1, abs=1e-3)


# --- letters


def test_one_click_shows_what_a_letter_becomes(page, runs):
    pixels, labels = draw_letters(10)
    assert LETTERS[labels[0]] == "A"
    page.get_by_role("button", name="Take an A").click()
    frame(page)
    np.testing.assert_allclose(grey(page, "seen"), pixels[0], atol=1)
    assert page.locator("#pad").evaluate("() => pad.digit() !== null")
    x = torch.tensor(pixels[:1]).flatten(1) / 255
    for i, run in enumerate(runs):
        low, high = run.model.pixel_range
        with evaluating(run.model):
            y = run.model.expected(run.model.forward(low + x * (high - low)))
        ink = 255 * ((y - low) / (high - low)).view(28, 28).numpy()
        np.testing.assert_allclose(grey(page, "back", i), ink, atol=255 * NEAR)
