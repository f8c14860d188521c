"""The explorer's page: whole, small, the same each time, and true to the run; the browser's part aside."""

import base64
import itertools
import json
import math
import re
import zlib
from collections import Counter
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.cli import main
from scratchae.data import Dataset, Images
from scratchae.data.letters import LETTERS
from scratchae.errors import ScratchaeError
from scratchae.explorer import LARGEST, page, write_page
from scratchae.explorer.cloud import FEWEST, balanced_sample, cloud
from scratchae.explorer.network import by_name, describe
from scratchae.explorer.page import SCRIPTS, STYLES
from scratchae.explorer.quantise import pack, quantise, quantise_for
from scratchae.layers import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    GaussianSampling,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    Unflatten,
)
from scratchae.models import Autoencoder, build
from scratchae.plots.style import DIGIT_COLOURS
from scratchae.training import Run, Settings, fit
from tests.helpers.runs import few_digits

PACKAGE = files("scratchae.explorer")


def untrained(model: Autoencoder | str) -> Run:
    model = build(model, 1) if isinstance(model, str) else model
    return Run(model, Settings(model.name, "", None, "", 1, 64, 1e-3, 0.0, 0))


def own(encoder: Sequential, decoder: Sequential, shape: tuple[int, ...] = (784,)) -> Run:
    model = Autoencoder(encoder, decoder, shape)
    model.name = "own"
    return untrained(model)


def content(text: str) -> dict:
    """What the page's script finds."""
    return json.loads(re.search(r'id="content">(.*?)</script>', text, re.S)[1])


def unpacked(packed: dict) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed["packed"])), packed["dtype"])


@given(
    rows=st.integers(1, 6),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    exponent=st.integers(-30, 30),
    seed=st.integers(0, 999),
    dtype=st.sampled_from([torch.int8, torch.int16]),
)
def test_quantised_weights_are_off_by_half_a_step_of_their_row_at_the_most(
    rows, shape, exponent, seed, dtype
):
    generator = torch.Generator().manual_seed(seed)
    each = 10.0 ** torch.randint(-4, 4, (rows,), generator=generator)
    weight = torch.randn(rows, *shape, generator=generator) * 2.0**exponent
    weight = weight * each.view(-1, *[1] * len(shape))
    q, scale = quantise(weight, dtype)
    most = torch.iinfo(dtype).max
    assert q.dtype == dtype and q.shape == weight.shape and scale.shape == (rows,)
    assert (q.flatten(1).abs().amax(dim=1) == most).all()  # every row uses the whole range
    back = q.double() * scale.double().view(-1, *[1] * len(shape))
    half = weight.flatten(1).abs().amax(dim=1).double() / most / 2
    worst = (back - weight.double()).flatten(1).abs().amax(dim=1)
    assert (worst <= half * (1 + 1e-4)).all()  # the scale itself is rounded to float32


@given(st.integers(2, 30), st.integers(1, 5), st.sampled_from([1, 3, 7]), st.integers(0, 99))
def test_weights_rounded_for_their_inputs_are_integers_in_the_range(inputs, outputs, most, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    x = torch.randn(20, inputs, generator=generator).relu()
    q, scale = quantise_for(weight, x, most)
    assert (
        q.dtype == torch.int8
        and q.abs().max() <= most
        and torch.equal(scale, quantise(weight, most=most)[1])
    )
    again, _ = quantise_for(q * scale[:, None], x, most)  # nothing is left to round
    if (q.abs().amax(1) == most).all():
        assert torch.equal(again, q)


def test_rounding_for_the_inputs_changes_the_outputs_several_times_less():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 8, generator=generator) @ torch.randn(8, 100, generator=generator)
    weight = torch.randn(30, 100, generator=generator)
    off = [
        (x @ (q * scale[:, None] - weight).T).square().mean()
        for q, scale in (quantise(weight, most=7), quantise_for(weight, x, 7))
    ]
    assert off[1] < off[0] / 9


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    with pytest.raises(ScratchaeError, match="not finite"):
        quantise(torch.tensor([[1.0, bad]]))


@given(st.lists(st.integers(-128, 127)), st.lists(st.floats(width=32, allow_nan=False)))
def test_packed_numbers_are_the_same_when_unpacked(small, real):
    whole = torch.tensor(small, dtype=torch.int8)
    assert unpacked(pack(whole)).tolist() == small
    assert unpacked(pack(torch.tensor(real, dtype=torch.float32))).tolist() == real


@given(
    st.lists(st.integers(0, 60), min_size=10, max_size=10).filter(any),
    st.integers(10, 400),
    st.integers(0, 9),
)
def test_the_sample_has_as_many_of_each_digit(sizes, most, seed):
    labels = torch.cat([torch.full((n,), digit) for digit, n in enumerate(sizes)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    chosen = balanced_sample(labels, most, seed)
    assert len(chosen.unique()) == len(chosen) <= most
    counts = Counter(labels[chosen].tolist())
    here = [n for n in sizes if n]
    each = min(most // len(here), max(min(here), FEWEST))
    assert counts == {digit: min(n, each) for digit, n in enumerate(sizes) if n}


@given(st.integers(1, 12), st.integers(3, 40), st.integers(0, 99))
def test_a_code_is_its_centre_and_its_places_along_the_axes(width, count, seed):
    codes = torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * 5 + 1
    found = cloud(codes, torch.arange(count) % 10)
    q = unpacked(found["codes"]).reshape(count, width)
    back = q * unpacked(found["scale"])
    np.testing.assert_allclose(
        back, codes, atol=codes.abs().max().item() / (127 if width > 3 else 32767)
    )
    axes, centre = np.array(found["axes"]), np.array(found["centre"])
    assert axes.shape == (min(width, 3), width)
    np.testing.assert_allclose(axes @ axes.T * (1 - np.eye(len(axes))), 0, atol=1e-3)
    squares = (axes**2).sum(axis=1)
    places = np.divide(
        (codes.numpy() - centre) @ axes.T,
        squares,
        out=np.zeros((count, len(axes))),
        where=squares > 0,
    )
    if width <= 3:  # nothing is lost, and each axis has a spread of 1
        np.testing.assert_allclose(centre + places @ axes, codes, atol=1e-3)
        assert found["share"] == 1
    rest = ((codes.numpy() - centre - places @ axes) ** 2).sum()
    whole = ((codes.numpy() - centre) ** 2).sum()
    assert found["share"] == pytest.approx(1 - rest / whole, abs=1e-3)
    spread = places.std(axis=0)[squares > 0]
    np.testing.assert_allclose(spread, 1, rtol=1e-2)
    assert len(spread) == (
        width if width <= 3 else min(3, count - 1)
    )  # an axis without spread is left out


def test_codes_that_are_all_the_same_can_be_drawn():
    for width in (1, 3, 8):
        found = cloud(torch.ones(5, width), None)
        assert np.abs(found["axes"]).max() < 1e-6 and found["labels"] is None


@pytest.mark.parametrize("name", ["fc", "conv", "fc,latent=1", "fc,latent=64", "conv-vae"])
def test_a_page_is_one_small_file_that_asks_for_nothing(name):
    text = page(untrained(name), few_digits())
    (run,) = content(text)["runs"]
    assert len(json.dumps(run, separators=(",", ":"))) <= LARGEST == 500_000
    assert len(text.encode()) <= LARGEST + 100_000
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|<img|<iframe|fetch\(|import\(", text)
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,"]
    assert "default-src 'none'" in text
    assert "{{" not in text.replace(content_text(text), "")


def content_text(text: str) -> str:
    return re.search(r'id="content">(.*?)</script>', text, re.S)[1]


def test_the_same_run_gives_the_same_bytes():
    data = few_digits()
    runs = [fit("fc", data, epochs=1, device="cpu", progress=False) for _ in range(2)]
    assert page(runs[0], data) == page(runs[0], data) == page(runs[1], data)
    assert page(runs[0], data) != page(untrained("fc"), data)


def test_making_a_page_leaves_no_trace_in_the_run():
    run = untrained("conv")
    before = {key: tensor.clone() for key, tensor in run.model.state_dict().items()}
    page(run, few_digits())
    assert run.model.training and all(layer.saved is None for _, layer in run.model.leaves())
    assert all(torch.equal(before[key], now) for key, now in run.model.state_dict().items())


def test_names_cannot_break_out_of_the_page():
    few, name = few_digits(), "</script><b>&{{script}}\\u003c"
    found = page(untrained("fc"), Dataset(name, few.train, few.test))
    assert "</script><b>" not in found and found.count("</script>") == 2
    assert content(found)["runs"][0]["data"] == name


def test_the_page_knows_codes_of_the_test_images_and_their_digits():
    data = few_digits()
    run = untrained("fc")
    found = content(page(run, data))
    (inside,) = found["runs"]
    assert inside["codeShape"] == [3] and inside["model"] == "fc" and inside["epochs"] == 0
    labels = unpacked(inside["cloud"]["labels"])
    chosen = balanced_sample(data.test.labels, 2000)
    assert labels.tolist() == data.test.labels[chosen].tolist()
    codes = unpacked(inside["cloud"]["codes"]).reshape(-1, 3) * unpacked(inside["cloud"]["scale"])
    expected = run.model.encode(data.test.select(chosen).normalised().flatten(1))
    np.testing.assert_allclose(codes, expected, atol=1e-4 * expected.abs().max().item())
    assert found["digits"]["labels"] == [*range(10), *range(10)]
    pixels = unpacked(found["digits"]["pixels"]).reshape(20, 28, 28)
    mine = data.test.pixels.numpy()
    for label, picture in zip(found["digits"]["labels"], pixels, strict=True):
        (where,) = np.flatnonzero((mine == picture).all(axis=(1, 2)))
        assert data.test.labels[where] == label


def test_unlabelled_digits_and_a_missing_test_set_are_fine():
    blank = Images(few_digits().train.pixels)
    found = content(page(untrained("fc"), Dataset("plain", blank)))
    (inside,) = found["runs"]
    assert inside["cloud"]["labels"] is None and found["digits"]["labels"] is None
    assert inside["error"] is None and found["digits"]["count"] == 20


def test_codes_that_are_pictures_have_no_cloud():
    assert content(page(untrained("conv"), few_digits()))["runs"][0]["cloud"] is None


def test_the_page_has_a_form_for_every_layer_that_is_known_by_name():
    script = (PACKAGE / "network.js").read_text()
    layers = [
        Linear(3, 2),
        Conv2d(1, 2, 3),
        ConvTranspose2d(1, 2, 3),
        BatchNorm1d(3),
        BatchNorm2d(3),
        MaxPool2d(2),
        AvgPool2d(2),
        GaussianSampling(),
    ]
    for layer in layers:
        assert by_name(layer, torch.zeros(2, 1, 4, 4)) and re.search(
            rf"^  {type(layer).__name__}: ", script, re.M
        )
    assert by_name(ReLU()) is None


class Sorted(Layer):
    def forward(self, x):
        return self.remember(x.sort(dim=1).values)


class Overwriting(Layer):
    def forward(self, x):
        frame = x.new_zeros(len(x), 800)
        frame[:, :784] = x  # a part of a tensor that is seen through another one
        return self.remember(frame[:, 8:792])


class CentredOnTheBatch(Layer):
    def forward(self, x):
        return self.remember(x - x.mean(0))


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (
            lambda: own(Sequential(Sorted()), Sequential()),
            r"cannot run encoder.0, Sorted\(\).* not the operator sort",
        ),
        (
            lambda: own(Sequential(), Sequential(Overwriting())),
            r"cannot run decoder.0, Overwriting\(\).* not the operator copy_",
        ),
        (
            lambda: own(Sequential(CentredOnTheBatch()), Sequential()),
            r"encoder.0, CentredOnTheBatch\(\), mixes the images",
        ),
        (lambda: own(Sequential(Linear(9, 3)), Sequential(Linear(3, 9)), (9,)), "28 x 28 pixels"),
        (lambda: own(Sequential(Linear(784, 3)), Sequential(Linear(3, 9))), "does not end in 784"),
        (lambda: own(Sequential(Linear(784, 3)), Sequential()), "does not end in 784"),
        (
            lambda: own(Sequential(BatchNorm1d(784, track_running_stats=False)), Sequential()),
            "running statistics",
        ),
        (lambda: own(Sequential(Flatten(0)), Sequential()), "mixes the images"),
        (
            lambda: own(Sequential(Linear(784, 1500)), Sequential(Linear(1500, 784))),
            "more than 500: explore a model with fewer",
        ),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_sentence(run, words):
    with pytest.raises(ScratchaeError, match=words) as caught:
        page(run(), few_digits())
    assert "\n" not in str(caught.value)


def test_running_statistics_that_are_not_finite_are_refused():
    layer = BatchNorm2d(1)
    layer.running_var.fill_(math.nan)
    with pytest.raises(ScratchaeError, match="not finite"):
        describe(Sequential(Unflatten(1, (1, 28, 28)), layer), (784,), "encoder.")


def test_layers_are_described_with_the_shapes_of_one_sample():
    layers = Sequential(Conv2d(1, 4, (3, 5), stride=(2, 1), padding="valid", groups=1), Flatten())
    conv, flat = describe(layers, (1, 28, 28), "x.")
    assert conv["shape"] == [4, 13, 24] and flat["shape"] == [4 * 13 * 24]
    assert (conv["kernel"], conv["stride"], conv["padding"]) == ([3, 5], [2, 1], [0, 0])


@pytest.mark.parametrize("name", [f"{name}.js" for name in SCRIPTS] + [f"{n}.css" for n in STYLES])
def test_the_plain_files_are_short_and_none_is_forgotten(name):
    assert (PACKAGE / name).read_text().count("\n") <= 200
    there = {path.name for path in PACKAGE.iterdir() if path.name.endswith((".js", ".css"))}
    assert there == {f"{s}.js" for s in SCRIPTS} | {f"{s}.css" for s in STYLES}


def test_colours_of_digits_are_told_apart_with_any_colour_vision():
    colours = re.findall(r"--digit-\d: (#\w{6});", (PACKAGE / "theme.css").read_text())
    assert colours[:10] == list(DIGIT_COLOURS)
    for palette in (colours[:10], colours[10:]):
        for vision, matrix in VISIONS.items():
            labs = [lab(np.array(matrix) @ linear_rgb(colour)) for colour in palette]
            pairs = itertools.combinations(labs, 2)
            assert min(np.linalg.norm(a - b) for a, b in pairs) > 13, vision


VISIONS = {  # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    "usual": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear_rgb(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b*, in which a distance of 2 can just be seen side by side."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ rgb.clip(0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder on the bundled sample, trained on few digits."""
    folder = tmp_path_factory.mktemp("run") / "fc"
    fit("fc", few_digits(), epochs=1, device="cpu", progress=False, out=folder)
    return folder


def call(capsys, *words) -> tuple[int, str, str]:
    code = 0
    try:
        main(["explore", *map(str, words)])
    except SystemExit as end:
        code = end.code or 0
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_command_writes_the_page_and_says_where(capsys, folder, tmp_path):
    code, out, _ = call(capsys, folder, "--out", tmp_path / "new" / "page.html")
    written = tmp_path / "new" / "page.html"
    assert code == 0 and "page.html" in out.replace("\n", "") and "KB" in out
    assert [run["model"] for run in content(written.read_text(encoding="utf-8"))["runs"]] == ["fc"]
    assert [path.name for path in written.parent.iterdir()] == ["page.html"]
    assert call(capsys, folder)[0] == 0
    assert (folder / "explorer.html").read_bytes() == written.read_bytes()


def test_the_commands_mistakes_are_one_sentence_and_leave_nothing(capsys, folder, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "kept.html").mkdir()
    for words, sentence in [
        ((tmp_path / "none",), "no run folder"),
        ((tmp_path,), "not a run folder"),
        ((folder, "--out", tmp_path / "page.png"), "must end in .html"),
        ((folder, "--out", tmp_path / "file" / "page.html"), "a part of that path is a file"),
        ((folder, "--out", tmp_path / "kept.html"), "there is a folder with that name"),
    ]:
        code, _, err = call(capsys, *words)
        assert code == 2 and sentence in err and err.startswith("error: ") and err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"file", "kept.html"}


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(ScratchaeError):
        write_page(own(Sequential(Sorted()), Sequential()), few_digits(), path)
    assert path.read_text() == "old" and len(list(Path(tmp_path).iterdir())) == 1


def test_two_runs_stand_beside_each_other_with_the_codes_of_the_same_images(capsys, tmp_path):
    data = few_digits()
    for name in ("vae,latent=2", "fc"):
        fit(name, data, epochs=1, device="cpu", progress=False, out=tmp_path / name)
    assert call(capsys, tmp_path / "fc", tmp_path / "vae,latent=2")[0] == 0
    found = content((tmp_path / "fc" / "explorer.html").read_text(encoding="utf-8"))
    plain, variational = found["runs"]
    assert (plain["model"], variational["model"]) == ("fc", "vae,latent=2")
    assert (plain["pixelRange"], variational["pixelRange"]) == ([-1, 1], [0, 1])
    assert plain["cloud"]["labels"] == variational["cloud"]["labels"]
    assert [run["decoder"][-1]["kind"] for run in found["runs"]] == ["Tanh", "expected pixels"]
    twice = content(page([untrained("fc"), untrained("fc")], data))["runs"]
    assert [run["model"] for run in twice] == ["fc (1)", "fc (2)"]
    with pytest.raises(ScratchaeError, match="one run or two, but got 3"):
        page([untrained("fc")] * 3, data)


def test_images_of_a_kind_that_was_not_trained_on_are_letters_or_digits():
    data = few_digits()
    found = content(page(untrained("fc"), data))["unseen"]
    assert found["what"] == "letters" and "".join(found["names"]) == LETTERS
    assert found["labels"] == [*range(10)]
    letters = Dataset("letters", data.train, data.test, classes=tuple(LETTERS))
    shown = content(page(untrained("fc"), letters))
    assert shown["unseen"]["what"] == "digits" and sorted(shown["unseen"]["labels"]) == [*range(10)]
    assert "".join(shown["names"]) == LETTERS
