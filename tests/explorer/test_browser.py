"""The explorer in a real Chromium: its numbers are Python's, and pointer, fingers and keys all work."""

import base64
import copy
import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.data import Dataset, Images, digit_from_picture, load
from scratchae.explorer import network as exported
from scratchae.explorer import write_page
from scratchae.explorer.network import describe
from scratchae.explorer.quantise import quantise
from scratchae.layers import (
    GELU,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GroupNorm,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    Unflatten,
    Upsample,
)
from scratchae.models import Autoencoder, build
from scratchae.training import Run, Settings, fit
from scratchae.training.evaluation import evaluating
from tests.explorer.pages import explored, grey, middle, painted
from tests.helpers.browser import DESK, PHONE, frame
from tests.helpers.runs import few_digits

OTHERS = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("fc,latent=1", "fc,latent=2", "fc,latent=8")
]
NEAR = 0.15  # of 2, the range of a pixel: what int8 weights may cost


@pytest.fixture(scope="module")
def trained(browser, tmp_path_factory):
    """name -> (run, its page); the browser is asked for first, so that none trains without one."""
    made, digits = {}, load()

    def get(name: str):
        if name not in made:
            data = few_digits(train=1500) if name == "conv" else digits
            epochs = {"fc": 20, "conv": 2}.get(name, 3)
            quick = {"engine": "buffered", "device": "cpu", "progress": False}
            run = fit(name, data, epochs=epochs, **quick)
            path = tmp_path_factory.mktemp("pages") / f"{len(made)}.html"
            write_page(run, digits, path)
            made[name] = run, path
        return made[name]

    return get


@pytest.fixture
def fc(browser, trained):
    with explored(browser, trained("fc")[1]) as watched:
        yield watched.page
        assert not watched.complaints


# --- the page as a whole


@pytest.mark.parametrize("name", ["fc", "conv", *OTHERS])
def test_it_opens_from_a_file_asks_for_nothing_and_does_not_complain(browser, trained, name):
    run, path = trained(name)
    with explored(browser, path, color_scheme="dark" if name == "conv" else "light") as watched:
        page = watched.page
        assert run.model.name in page.locator("#about").inner_text()
        assert page.locator(".cloud").is_visible() == (name != "conv")
        assert page.locator("#turn").is_visible() == (name in ("fc", "fc,latent=8"))
        assert grey(page, "back").max() > 100  # a digit, not an empty square
        for viewport in (DESK, PHONE, {"width": 320, "height": 600}):
            page.set_viewport_size(viewport)
            frame(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert watched.requests == [path.as_uri()]
        assert not watched.complaints


@pytest.mark.parametrize("count", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 30))])
@pytest.mark.parametrize("name", ["fc", "conv", *OTHERS])
def test_few_digits_that_nobody_named_can_be_explored(browser, tmp_path, name, count):
    run = Run(build(name), Settings(name, "", None, "", 1, 64, 1e-3, 0.0, 0))
    path = tmp_path / "page.html"
    write_page(run, Dataset("plain", Images(few_digits().train.pixels[:count])), path)
    with explored(browser, path) as watched:
        page = watched.page
        page.locator("#samples button").first.click()
        page.locator("#others button, #samples button").last.click()
        if name != "conv":
            page.locator(".cloud").click()
        frame(page)
        assert page.locator("#legend button").count() == 0
        assert "A is a digit" in page.locator("#ends").inner_text()
        assert not watched.complaints


def test_the_page_may_not_ask_for_anything_even_if_it_wanted(browser, trained):
    with explored(browser, trained("fc")[1]) as watched:
        tried = "() => fetch('https://example.org').then(() => 'answered', () => 'refused')"
        assert watched.page.evaluate(tried) == "refused"
        assert "Content Security Policy" in " ".join(watched.complaints)


# --- numbers


@pytest.mark.parametrize("name", ["fc", *OTHERS])
def test_fifty_codes_are_decoded_as_python_decodes_them(browser, trained, name):
    run, path = trained(name)
    with explored(browser, path) as watched, evaluating(run.model):
        codes = run.model.encode(load().test.normalised()[:50].flatten(1))
        found = watched.page.evaluate(
            "(all) => all.map((z) => Array.from(decoder.forward(Float32Array.from(z))))",
            codes.tolist(),
        )
        expected = run.model.decode(codes)
    assert expected.std() > 0.3  # digits, not one grey
    assert (torch.tensor(found) - expected).abs().max() <= NEAR


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_fifty_digits_are_given_back_as_python_gives_them_back(browser, trained, name):
    run, path = trained(name)
    x = load().test.normalised()[:50]
    with explored(browser, path) as watched, evaluating(run.model):
        found = watched.page.evaluate(
            "(all) => all.map((x) => Array.from(decoder.forward(encoder.forward(Float32Array.from(x)))))",
            x.flatten(1).tolist(),
        )
        expected = run.model.forward(x.reshape(-1, *run.model.input_shape)).flatten(1)
    off = (torch.tensor(found) - expected).abs()
    assert off.max() <= NEAR and off.mean() < 0.01


class Normalised(Layer):
    """Mean 0 and spread 1 over the channels of each pixel, and then a weight and a bias of its own."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = torch.rand(4), torch.rand(4)

    def forward(self, x):
        pixels = x.movedim(1, -1)
        centred = pixels - pixels.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return self.remember(torch.addcmul(self.bias, self.weight, centred / spread).movedim(-1, 1))


class Softmax(Layer):
    def forward(self, x):
        powers = (x - x.amax(1, keepdim=True)).exp_()
        return self.remember(powers / powers.sum(1, keepdim=True))


class TwiceLinear(Linear):
    def forward(self, x):
        return self.remember(super().forward(x) * 2)


class Attention(Layer):
    """The rows of each picture, mixed by how alike they are: products of matrices and slices."""

    def forward(self, x):
        rows = x.flatten(1, 2)  # (N, 28, 28)
        alike = rows @ rows.mT / 28
        return self.remember(1 - (alike.clamp(-0.5, 0.5) @ rows[:, :, 2:26] - 0.25))


class Activations(Layer):
    def forward(self, x):
        y = torch.where(x > 0.1, x, x.tanh()) ** 2 + 0.5
        y = y.rsqrt().clamp(max=3) + y.sub(x, alpha=0.5).abs()
        return self.remember(torch.maximum(y, x.neg().exp().reciprocal()) * x.sign())


def test_layers_that_the_page_does_not_know_by_name_are_run_as_python_runs_them(browser, tmp_path):
    torch.manual_seed(0)
    encoder = Sequential(
        *(Unflatten(1, (4, 14, 14)), Normalised(), Flatten(), LeakyReLU(0.2), Activations()),
        *(TwiceLinear(784, 20), Softmax(), Sigmoid(), Linear(20, 5)),
    )
    decoder = Sequential(
        *(Linear(5, 784), Unflatten(1, (1, 28, 28)), Attention(), Flatten(), TwiceLinear(672, 30)),
        *(Tanh(), Linear(30, 784)),
    )
    model = Autoencoder(encoder, decoder, (784,))
    model.name = "own"
    run = Run(model, Settings("own", "", None, "", 1, 64, 1e-3, 0.0, 0))
    write_page(run, few_digits(), tmp_path / "page.html")
    x = few_digits().test.normalised()[:5].flatten(1)
    with explored(browser, tmp_path / "page.html") as watched, evaluating(model):
        found = watched.page.evaluate(
            "(all) => all.map((x) => [encoder, decoder].map((net) => {"
            "  x = net.forward(Float32Array.from(x));"
            "  return net.layers.map((layer) => Array.from(layer.y)); }))",
            x.tolist(),
        )
    assert not watched.complaints
    for network, i in ((encoder, 0), (decoder, 1)):
        for j, (_, layer) in enumerate(network.leaves()):
            x = layer.forward(x)
            theirs = torch.tensor([each[i][j] for each in found]).view(x.shape)
            assert (theirs - x).abs().max() <= 0.02 * x.abs().max(), layer


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_a_decode_takes_5_ms_at_the_most(browser, trained, name):
    """The median of 400 decodes, each timed alone: what a busy machine interrupts is in the rest."""
    with explored(browser, trained(name)[1]) as watched:
        times = watched.page.evaluate(
            """() => {
              const code = new Float32Array(size(content.runs[0].codeShape)).fill(0.3);
              return Array.from({ length: 400 }, () => {
                const start = performance.now();
                decoder.forward(code);
                return performance.now() - start;
              });
            }"""
        )
    assert np.median(times) <= 5


@st.composite
def networks(draw) -> tuple[Sequential, tuple[int, ...]]:
    """A few layers in a row that fit each other, and the shape they take."""
    g = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    C, H, W = draw(st.tuples(st.integers(1, 2), st.integers(4, 7), st.integers(4, 7)))
    C *= 2
    shape, layers, here = (C, H, W), [], (C, H, W)
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    for _ in range(draw(st.integers(1, 4))):
        groups, out = draw(st.sampled_from([1, 2])), 2 * draw(st.integers(1, 2))
        kernel, bias = draw(pair), draw(st.booleans())
        kinds = ["conv", "same", "back", "norm", "rows", "bend", "pool", "upsample", "skip"]
        kind = draw(st.sampled_from(kinds))
        if kind == "conv" and min(here[1:]) >= 3:
            near = {"stride": draw(pair), "padding": draw(st.integers(0, 2)), "groups": groups}
            new = [Conv2d(here[0], out, kernel, **near, bias=bias, generator=g)]
        elif kind == "same":
            spread = {"padding": "same", "dilation": draw(pair)}
            new = [Conv2d(here[0], out, kernel, **spread, bias=bias, generator=g)]
        elif kind == "back":
            stride = draw(pair)
            near = {"stride": stride, "padding": draw(st.integers(0, 1)), "groups": groups}
            near |= {"output_padding": tuple(s - 1 for s in stride), "dilation": draw(pair)}
            new = [ConvTranspose2d(here[0], out, (3, 3), **near, bias=bias, generator=g)]
        elif kind == "norm" and draw(st.booleans()):
            new = [GroupNorm(2, here[0])] if here[0] % 2 == 0 else [LayerNorm(here)]
        elif kind == "norm":
            flat = draw(st.booleans())
            norm = (BatchNorm1d if flat else BatchNorm2d)(here[0], affine=draw(st.booleans()))
            norm.running_mean.uniform_(-1, 1, generator=g)
            norm.running_var.uniform_(0.1, 2, generator=g)
            new = [Flatten(2), norm, Unflatten(2, here[1:])] if flat else [norm]
        elif kind == "rows":
            new = [Linear(here[2], draw(st.integers(3, 6)), bias, generator=g)]
        elif kind == "pool":
            windows = {"stride": draw(pair), "padding": draw(st.integers(0, 1))}
            windows["ceil_mode"] = draw(st.booleans())
            inside = draw(st.booleans())
            average = AvgPool2d((2, 3), **windows, count_include_pad=inside)
            largest = MaxPool2d((3, 2), **windows, dilation=1 + inside)
            fits = min(here[1:]) >= 5
            new = [draw(st.sampled_from([average, largest]))] if fits else []
        elif kind == "upsample":
            new = [Upsample(scale_factor=draw(st.sampled_from([2, (1.5, 2)])))]
        elif kind == "skip":
            body = Sequential(SiLU(), Conv2d(here[0], out, 1, generator=g), GELU())
            new = [Residual(body, Conv2d(here[0], out, 1, generator=g))]
            new += [Residual(Softplus())]
        else:
            new = [draw(st.sampled_from([ReLU, Tanh, Sigmoid, lambda: LeakyReLU(0.3)]))()]
        layers += new
        here = tuple(Sequential(*layers).eval().forward(torch.zeros(2, *shape)).shape[1:])
    if draw(st.booleans()):
        layers += [Flatten(), Linear(int(np.prod(here)), 5, generator=g), Unflatten(1, (5, 1))]
    return Sequential(*layers).eval(), shape


@given(
    network=networks(), seed=st.integers(0, 99), dtype=st.sampled_from([torch.int8, torch.int16])
)
@settings(max_examples=40)
def test_any_layers_compute_what_the_library_computes(fc_forever, network, seed, dtype):
    """Against a copy whose weights are the rounded ones, so that nothing but rounding is left."""
    model, shape = network
    rounded = copy.deepcopy(model)
    for _, layer in rounded.modules():
        if isinstance(layer, Linear | Conv2d | ConvTranspose2d):
            q, scale = quantise(layer.weight, dtype)
            layer.weight.copy_(q * scale.view(-1, *[1] * (q.ndim - 1)))
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exported, "SMALL", 0 if dtype == torch.int8 else math.inf)
        layers = describe(model, shape, "")
    found = fc_forever.evaluate(
        """async ([layers, shape, x]) =>
          Array.from(new Network(await unpack(layers), shape).forward(Float32Array.from(x)))""",
        [layers, list(shape), x.flatten().tolist()],
    )
    expected = rounded.forward(x).flatten()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * (1 + expected.abs().max()))


@pytest.fixture(scope="module")
def fc_forever(browser, trained):
    with explored(browser, trained("fc")[1]) as watched:
        yield watched.page


@pytest.mark.parametrize("name", ["fc", *OTHERS])
def test_points_stand_where_their_codes_are_and_lead_back_to_them(browser, trained, name):
    with explored(browser, trained(name)[1]) as watched:
        found = watched.page.evaluate(
            """() => codes.places.slice(0, 40).map((place, i) => {
              cloud.depth = 0;
              const [x, y, near] = cloud.project(place);
              cloud.depth = near;
              return [Array.from(codes.placeOf(cloud.codeAt(x, y))), place];
            })"""
        )
    for back, place in found:
        known = 1 if name == "fc,latent=1" else 3  # there the second number is a digit's row
        np.testing.assert_allclose(back[:known], place[:known], atol=1e-3)


# --- the pointer


def test_moving_the_mouse_decodes_what_lies_under_it(fc):
    x, y = middle(fc, ".cloud")
    seen = []
    for dx in (-60, 0, 60):
        fc.mouse.move(x + dx, y)
        frame(fc)
        expected = fc.evaluate("() => Array.from(decoder.forward(cloud.codeAt(...cloud.cursor)))")
        np.testing.assert_allclose(grey(fc, "decoded"), painted(torch.tensor(expected)), atol=1)
        seen.append(grey(fc, "decoded"))
    assert all(np.abs(a - b).max() > 20 for a, b in pairwise(seen))
    assert "," in fc.locator(".code").inner_text() and "ms" in fc.locator(".time").inner_text()


def test_dragging_turns_the_cloud_and_chooses_nothing(fc):
    ends = fc.evaluate("() => path.next")
    x, y = middle(fc, ".cloud")
    before = fc.evaluate("() => [cloud.turn, cloud.tilt]")
    fc.mouse.move(x, y)
    fc.mouse.down()
    fc.mouse.move(x + 50, y + 20, steps=5)
    fc.mouse.up()
    frame(fc)
    turn, tilt = fc.evaluate("() => [cloud.turn, cloud.tilt]")
    assert turn == pytest.approx(before[0] + 0.5) and tilt == pytest.approx(before[1] + 0.2)
    assert float(fc.locator("#turn").input_value()) == pytest.approx(np.degrees(turn), abs=1)
    assert fc.evaluate("() => path.next") == ends


def test_two_clicks_on_points_make_a_path_between_their_digits(fc):
    fc.locator(".cloud").scroll_into_view_if_needed()
    box = fc.locator(".cloud").bounding_box()
    chosen = fc.evaluate(
        """() => [0, 7].map((digit) => {
          const i = [...codes.labels].indexOf(digit);
          const [x, y] = cloud.project(codes.places[i]);
          return [x, y, cloud.pointAt(x, y)];
        })"""
    )
    for x, y, _ in chosen:
        fc.mouse.click(box["x"] + x, box["y"] + y)
    frame(fc)
    ends = fc.evaluate(
        "() => path.ends.map(({ codes: [code], label }) => [Array.from(code), label])"
    )
    for (code, label), (_, _, i) in zip(ends, chosen, strict=True):
        expected = fc.evaluate("(i) => [Array.from(codes.code(i)), codes.label(i)]", i)
        assert [code, label] == expected
    words = fc.locator("#ends").inner_text()
    assert f"A is a {ends[0][1]}" in words and f"B is a {ends[1][1]}" in words


def test_the_sliders_turn_the_cloud_too(fc):
    fc.locator("#turn").fill("90")
    fc.locator("#depth").fill("1")
    frame(fc)
    assert fc.evaluate("() => [cloud.turn, cloud.depth]") == pytest.approx([np.pi / 2, 1])


def test_the_legend_shows_some_digits_alone(fc):
    button = fc.get_by_role("button", name="Show only 4")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert fc.evaluate("() => [...cloud.shown]") == [4]
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert fc.evaluate("() => [...cloud.shown]") == []


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_a_stroke_on_the_pad_is_encoded_and_given_back(browser, trained, name):
    run, path = trained(name)
    with explored(browser, path) as watched:
        page = watched.page
        draw_a_one(page)
        pixels, back = page.evaluate(
            """() => { const x = pad.digit().map((ink) => 2 * ink - 1);
              return [x, decoder.forward(encoder.forward(x))].map((a) => [...a]); }"""
        )
        np.testing.assert_allclose(grey(page, "seen"), painted(torch.tensor(pixels)), atol=1)
        np.testing.assert_allclose(grey(page, "back"), painted(torch.tensor(back)), atol=1)
        with evaluating(run.model):
            x = torch.tensor(pixels).reshape(1, *run.model.input_shape)
            expected = run.model.forward(x).flatten()
        assert (torch.tensor(back) - expected).abs().max() <= NEAR
        assert (page.evaluate("() => panels[0].marks.input") is not None) and not watched.complaints
        page.locator("#clear").click()
        frame(page)
        assert grey(page, "seen").max() == 0 and page.evaluate("() => pad.digit()") is None


def draw_a_one(page) -> None:
    page.locator("#pad").scroll_into_view_if_needed()
    page.locator("#clear").click()
    box = page.locator("#pad").bounding_box()
    x = box["x"] + 0.3 * box["width"]
    page.mouse.move(x, box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(x + 10, box["y"] + 0.6 * box["height"], steps=8)
    page.mouse.up()
    frame(page)


def test_what_is_drawn_is_brought_to_the_form_of_mnist(fc, tmp_path):
    draw_a_one(fc)
    found = torch.tensor(fc.evaluate("() => [...pad.digit()]")).reshape(28, 28)
    picture = base64.b64decode(fc.evaluate("() => $('pad').toDataURL().split(',')[1]"))
    (tmp_path / "one.png").write_bytes(picture)
    ours = digit_from_picture(tmp_path / "one.png")
    ink = found
    rows = (ink > 0.1).any(dim=1).nonzero()
    assert rows[-1] - rows[0] + 1 in (20, 21)
    assert (ink - ours / 255).abs().mean() < 0.02
    weights = torch.arange(28) + 0.5
    assert (ink.sum(0) * weights).sum() / ink.sum() == pytest.approx(14.5, abs=0.3)


def test_digits_of_the_data_stay_what_they_are_on_the_pad(fc):
    for button in fc.locator("#samples button").all()[:5]:
        button.click()
        frame(fc)
        again = fc.evaluate("() => [...pad.digit()]")
        assert np.abs(255 * np.array(again).reshape(28, 28) - grey(fc, "seen")).mean() < 16


# --- fingers


@pytest.fixture
def phone(browser, trained):
    with explored(browser, trained("fc")[1], PHONE, has_touch=True, is_mobile=True) as watched:
        yield watched.page
        assert not watched.complaints


@pytest.fixture
def fingers(phone):
    """fingers("touchStart", (x, y), ...): touch events as a screen sends them."""
    session = phone.context.new_cdp_session(phone)

    def send(kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    return send


def test_a_finger_decodes_a_tap_chooses_and_the_page_does_not_scroll(phone, fingers):
    x, y = middle(phone, ".cloud")
    before, scrolled = grey(phone, "decoded"), phone.evaluate("scrollY")
    following = phone.evaluate("() => path.next")
    fingers("touchStart", (x, y))
    fingers("touchMove", (x + 40, y - 60))
    frame(phone)
    fingers("touchMove", (x + 80, y - 90))
    frame(phone)
    fingers("touchEnd")
    assert np.abs(grey(phone, "decoded") - before).max() > 20
    assert phone.evaluate("scrollY") == scrolled
    assert phone.evaluate("() => path.next") == following  # a finger that moved has chosen nothing
    phone.touchscreen.tap(x, y)
    frame(phone)
    assert phone.evaluate("() => path.next") == 1 - following


def test_two_fingers_turn_the_cloud(phone, fingers):
    x, y = middle(phone, ".cloud")
    before, following = phone.evaluate("() => [[cloud.turn, cloud.tilt], path.next]")
    fingers("touchStart", (x, y))
    fingers("touchStart", (x, y), (x + 50, y))
    for way in (10, 20, 30):
        fingers("touchMove", (x + way, y), (x + 50 + way, y))
        frame(phone)
    fingers("touchEnd")
    turn, tilt = phone.evaluate("() => [cloud.turn, cloud.tilt]")
    assert turn == pytest.approx(before[0] + 0.3, abs=0.05) and tilt == pytest.approx(before[1])
    assert phone.evaluate("() => path.next") == following


def test_a_finger_draws_and_the_page_does_not_scroll(phone, fingers):
    phone.locator("#clear").tap()
    x, y = middle(phone, "#pad")
    scrolled = phone.evaluate("scrollY")
    fingers("touchStart", (x, y - 60))
    for way in (-30, 0, 30, 60):
        fingers("touchMove", (x, y + way))
        frame(phone)
    fingers("touchEnd")
    frame(phone)
    ink = grey(phone, "seen") > 128
    assert ink.any(axis=1).sum() >= 18 and ink.any(axis=0).sum() <= 8
    assert phone.evaluate("scrollY") == scrolled


# --- keys


def test_all_that_can_be_used_is_reached_by_the_tab_key_and_has_a_name(fc):
    fc.evaluate("document.body.focus()")
    reached = []
    for _ in range(80):
        fc.keyboard.press("Tab")
        name = fc.evaluate(
            """() => { const e = document.activeElement;
              return e === document.body ? null
                : [e.id, e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent,
                   getComputedStyle(e).outlineStyle]; }"""
        )
        if name is None:
            break
        reached.append(name)
    found = {id for id, _, _ in reached} | (
        {"cloud"} if "Cloud of codes" in str(reached) else set()
    )
    assert {"cloud", "turn", "tilt", "depth", "pad", "clear", "way", "play"} <= found
    assert all(text.strip() and outline != "none" for _, text, outline in reached)
    names = [text for _, text, _ in reached]
    assert "Take a 3" in names and "Walk to or from a 3" in names and "Show only 3" in names


def test_the_keyboard_moves_turns_deepens_and_chooses(fc):
    fc.locator(".cloud").focus()
    first, cursor = grey(fc, "decoded"), fc.evaluate("() => cloud.cursor")
    for _ in range(6):
        fc.keyboard.press("ArrowRight")
        fc.keyboard.press("ArrowUp")
    frame(fc)
    moved = fc.evaluate("() => cloud.cursor")
    assert moved == pytest.approx([cursor[0] + 48, cursor[1] - 48])
    expected = fc.evaluate("() => [...decoder.forward(cloud.codeAt(...cloud.cursor))]")
    np.testing.assert_allclose(grey(fc, "decoded"), painted(torch.tensor(expected)), atol=1)
    assert not np.array_equal(grey(fc, "decoded"), first)
    before = fc.evaluate("() => [cloud.turn, cloud.tilt, cloud.depth, path.next]")
    fc.keyboard.press("Shift+ArrowLeft")
    fc.keyboard.press("Shift+ArrowDown")
    fc.keyboard.press("PageDown")
    fc.keyboard.press("Enter")
    after = fc.evaluate("() => [cloud.turn, cloud.tilt, cloud.depth, path.next]")
    change = np.subtract(after, before)
    assert change[:3] == pytest.approx([-0.08, 0.08, 0.1]) and abs(change[3]) == 1
    assert fc.evaluate("() => cloud.cursor") == moved


def test_a_digit_can_be_drawn_with_the_keyboard(fc):
    fc.locator("#pad").focus()
    fc.keyboard.press("Delete")
    frame(fc)
    assert grey(fc, "seen").max() == 0
    for key in ["ArrowUp"] * 8 + [" "] + ["ArrowDown"] * 15 + [" "] + ["ArrowRight"] * 3:
        fc.keyboard.press(key)
    frame(fc)
    ink = grey(fc, "seen") > 128
    assert ink.any(axis=1).sum() >= 18 and ink.any(axis=0).sum() <= 8  # a vertical line
    assert fc.evaluate("() => pad.pen.down") is False


def test_the_way_is_walked_with_keys_and_decoded_at_every_step(fc):
    fc.locator("#way").focus()
    fc.keyboard.press("Home")
    frame(fc)
    start = fc.evaluate("() => [...decoder.forward(path.ends[0].codes[0])]")
    np.testing.assert_allclose(grey(fc, "between"), painted(torch.tensor(start)), atol=1)
    for _ in range(25):
        fc.keyboard.press("ArrowRight")
    quarter = fc.evaluate(
        """() => { const [a, b] = path.ends.map(({ codes }) => codes[0]);
          return [...decoder.forward(a.map((value, d) => 0.75 * value + 0.25 * b[d]))]; }"""
    )
    np.testing.assert_allclose(grey(fc, "between"), painted(torch.tensor(quarter)), atol=1)
    assert "25 %" in fc.locator("#way").get_attribute("aria-valuetext")
    assert fc.locator("#walks .strip .here").count() == 1


def test_play_walks_to_the_end_and_can_be_stopped(fc):
    fc.locator("#play").click()
    assert fc.locator("#play").inner_text() == "Stop"
    fc.locator("#play").click()
    assert fc.locator("#play").inner_text() == "Play"
    assert 50 <= float(fc.locator("#way").input_value()) < 100
    fc.locator("#play").click()
    fc.wait_for_function("() => $('way').value === '100' && $('play').textContent === 'Play'")


def test_two_digits_of_the_data_are_ends_as_well(browser, trained):
    with explored(browser, trained("conv")[1]) as watched:
        page = watched.page
        for article, digit in (("a", 2), ("an", 8)):
            page.get_by_role("button", name=f"Walk to or from {article} {digit}").click()
        ends = page.evaluate("() => path.ends.map(({ label }) => label)")
        assert ends == [2, 8]
        assert "from a 2 to an 8" in page.locator("#walks .strip").get_attribute("aria-label")
        assert not watched.complaints


# --- for every reader


def test_nothing_moves_by_itself_where_motion_is_not_wanted(browser, trained):
    with explored(browser, trained("fc")[1], reduced_motion="reduce") as watched:
        assert not watched.page.locator("#play").is_visible()
        assert watched.page.locator("#way").is_visible()


def test_the_theme_follows_the_system_while_the_page_is_open(fc):
    def look():
        frame(fc)
        return fc.evaluate(
            """() => ({ page: rgb(themeColour('page')), text: rgb(themeColour('text')),
              quiet: rgb(themeColour('quiet')), panel: rgb(themeColour('panel')),
              body: getComputedStyle(document.body).backgroundColor,
              cloud: cloud.canvas.toDataURL().length, drawn: theme.panel })"""
        )

    fc.emulate_media(color_scheme="light")
    light = look()
    fc.emulate_media(color_scheme="dark")
    dark = look()
    assert light["body"] != dark["body"] and light["drawn"] != dark["drawn"]
    assert light["cloud"] != dark["cloud"]
    assert luminance(light["page"]) > 0.7 and luminance(dark["page"]) < 0.05
    for colours in (light, dark):
        for text in ("text", "quiet"):
            for ground in ("page", "panel"):
                assert contrast(colours[text], colours[ground]) >= 4.5


def luminance(rgb: list[int]) -> float:
    """Relative luminance of WCAG 2, 0 to 1."""
    c = np.array(rgb) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a: list[int], b: list[int]) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_pictures_have_words_and_names_are_used_once(browser, trained, name):
    with explored(browser, trained(name)[1]) as watched:
        page = watched.page
        silent = page.evaluate(
            """() => [...document.querySelectorAll('canvas')].filter((c) =>
              !c.getAttribute('aria-label') && !c.closest('button, [role=img]')).length"""
        )
        assert silent == 0
        ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))
        assert page.evaluate("() => document.documentElement.lang") == "en"
        levels = page.evaluate(
            "() => [...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])"
        )
        assert levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels))


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_every_stage_is_shown_with_its_shape_and_its_values(browser, trained, name):
    run, path = trained(name)
    with explored(browser, path) as watched:
        captions = watched.page.locator(".stages >> nth=0 >> figcaption").all_inner_texts()
        weighted = [x for x in build(run.model.name).encoder if isinstance(x, Linear | Conv2d)]
        assert len(captions) == len(weighted) + (name == "conv")
        if name == "conv":
            assert captions[0].startswith("input · 1 map of 28 × 28")
            assert captions[1].startswith("Conv2d → BatchNorm2d → ReLU · 16 maps of 14 × 14")
        else:
            assert captions[-1].startswith("Linear · 3 units · values ")
        shown = json.loads(
            watched.page.evaluate("() => JSON.stringify([...encoder.layers.at(-1).y])")
        )
        assert len(shown) == np.prod(watched.page.evaluate("() => content.runs[0].codeShape"))
