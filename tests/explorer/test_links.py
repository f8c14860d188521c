"""What a pixel of a map is connected with: the page's frames and numbers are those of the layers."""

import numpy as np
import pytest

from scratchae.explorer import write_page
from scratchae.models import build
from scratchae.training import Run, Settings
from tests.explorer.pages import explored, middle
from tests.helpers.browser import PHONE, frame
from tests.helpers.runs import few_digits


@pytest.fixture(scope="module")
def path(browser, tmp_path_factory):
    run = Run(build("conv", 1), Settings("conv", "", None, "", 1, 64, 1e-3, 0.0, 0))
    path = tmp_path_factory.mktemp("pages") / "conv.html"
    write_page(run, few_digits(), path)
    return path


@pytest.fixture(scope="module")
def page(browser, path):
    with explored(browser, path) as watched:
        yield watched.page
        assert not watched.complaints


def test_windows_and_stamps_add_up_to_the_outputs_of_the_layers(page):
    """Σ x w over the links of an output, and Σ of the stamps of all inputs, are both the output."""
    found = page.evaluate(
        """() => [panels[0].encoder, panels[0].decoder].flatMap(({ layers, x: first }) =>
          layers.filter(isConvolution).map((conv) => {
            const before = layers[layers.indexOf(conv) - 1];
            const x = before ? before.y : first;
            const value = (map, [r, c], [, H, W]) => x[(map * H + r) * W + c];
            const [C, H, W] = conv.shape;
            const windows = [[0, 0, 0], [C - 1, 2, 1], [0, H - 1, W - 1]].map((cell) => {
              const { to, channels, links, weight } = follow(conv, cell, false);
              const sum = channels.flatMap((map) => links.map(({ place, tap }) =>
                value(map, place, to) * weight(map, tap))).reduce((a, b) => a + b, conv.bias[cell[0]]);
              return [sum, conv.y[(cell[0] * H + cell[1]) * W + cell[2]]];
            });
            const map = C - 1;
            const stamped = new Float64Array(H * W).fill(conv.bias[map]);
            for (let c = 0; c < conv.inShape[0]; c++)
              for (let r = 0; r < conv.inShape[1]; r++)
                for (let k = 0; k < conv.inShape[2]; k++) {
                  const { links, weight } = follow(conv, [c, r, k], true);
                  for (const { place, tap } of links)
                    stamped[place[0] * W + place[1]] += value(c, [r, k], conv.inShape) * weight(map, tap);
                }
            return { windows, stamped: [...stamped], y: [...conv.y.subarray(map * H * W)] };
          }))"""
    )
    assert len(found) == 6
    for one in found:
        np.testing.assert_allclose(*np.array(one["windows"]).T, atol=1e-4)
        np.testing.assert_allclose(one["stamped"], one["y"], atol=1e-4)


def test_pointing_at_an_input_of_a_transposed_convolution_shows_its_stamp(page):
    decoder = page.locator(".stages >> nth=1")
    canvas = decoder.locator("canvas").nth(1)  # 32 maps of 7 x 7, the input of stride 2
    canvas.scroll_into_view_if_needed()
    canvas.hover(position={"x": 45 + 3.5 * 6, "y": 2.5 * 6})
    view, cell = page.evaluate(
        """() => { const { decoderView: v } = panels[0];
          return [v.views.indexOf(v.chosen.view), v.chosen.cell]; }"""
    )
    assert (view, cell) == (1, [1, 2, 3])
    links = page.evaluate(
        "() => follow(panels[0].decoderView.views[1].to.conv, [1, 2, 3], true).links"
    )
    assert sorted(link["place"] for link in links) == [[r, c] for r in (3, 4, 5) for c in (5, 6, 7)]
    words = decoder.locator(".links").inner_text()
    assert "stamps" in words and "to 9 pixels of each of 16 maps" in words
    assert "is fed by" in words and decoder.locator(".links table").count() == 2
    page.mouse.move(5, 5)
    assert not decoder.locator(".links").is_visible()


def test_the_keyboard_moves_from_pixel_to_pixel_and_from_map_to_map(page):
    page.locator(".stages >> nth=1 >> canvas >> nth=1").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "PageDown", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    assert page.evaluate("() => panels[0].decoderView.chosen.cell") == [1, 0, 2]
    assert "in row 0, column 2 of map 1" in page.locator(".links >> nth=1").inner_text()


def test_a_tap_chooses_a_pixel(browser, path):
    with explored(browser, path, PHONE, has_touch=True, is_mobile=True) as watched:
        page = watched.page
        page.touchscreen.tap(*middle(page, ".stages >> nth=1 >> canvas >> nth=1"))
        frame(page)
        assert page.locator(".links >> nth=1").is_visible() and not watched.complaints
