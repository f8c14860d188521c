"""Every picture shows the numbers that it was given, and leaves the model as it was."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from scratchae import plots
from scratchae.errors import ScratchaeError
from scratchae.layers import Conv2d, Linear, ReLU, Sequential
from scratchae.models import build

SHAPES = [(784,), (28, 28), (1, 28, 28)]


def digits(n, shape=(784,), dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, *shape, generator=generator) * 2 - 1).to(dtype)


@pytest.fixture(params=["fc", "conv"])
def name(request):
    return request.param


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def model(name, request):
    """In training mode, with running statistics that are not the first ones, and on its way."""
    model = build(name).to(dtype=request.param)
    x = digits(4, model.input_shape, request.param)
    model.backward(torch.ones_like(model.forward(x)))
    return model


def of(model, n, seed=0):
    return digits(n, model.input_shape, model.parameters()[0].dtype, seed)


def drawn(ax):
    """The little pictures on `ax`, (K, H, W)."""
    return np.stack([np.asarray(image.get_array()) for image in ax.images])


def words(figure):
    """All that is written, once drawn."""
    figure.draw_without_rendering()
    texts = [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text"))]
    return "\n".join(text for text in texts if text)


def pictures(x):
    return x.double().reshape(-1, 28, 28).numpy()


# ------------------------------------------------------------------------------- training
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_outputs_are_the_digits_themselves(shape, dtype):
    outputs = [(e, digits(3, shape, dtype), digits(3, shape, dtype, seed=e)) for e in (1, 2)]
    figure = plots.visualize_outputs(outputs)
    assert isinstance(figure, Figure) and len(figure.axes) == 2
    for ax, (epoch, above, below) in zip(figure.axes, outputs, strict=True):
        np.testing.assert_array_equal(drawn(ax), pictures(torch.cat([above, below])))
        error = (above.double() - below.double()).square().mean()
        assert ax.texts[0].get_text() == f"epoch {epoch}\nMSE {error:.4f}"
        assert {image.get_clim() for image in ax.images} == {(-1, 1)}
        assert not ax.axison


@pytest.mark.parametrize(
    ("kept", "step", "epochs"),
    [
        (1, 1, [1]),
        (5, 2, [1, 3, 5]),
        (6, 2, [1, 3, 5, 6]),
        (3, 9, [1, 3]),
        (21, 1, list(range(1, 22))),
    ],
)
def test_every_step_th_epoch_and_the_last(kept, step, epochs):
    outputs = [(e, digits(1), digits(1, seed=e)) for e in range(1, kept + 1)]
    figure = plots.visualize_outputs(outputs, step=step)
    shown = [int(ax.texts[0].get_text().split()[1]) for ax in figure.axes]
    assert sorted(shown) == epochs


def test_at_most_ten_digits_and_their_error():
    above, below = digits(64), digits(64, seed=1)
    (ax,) = plots.visualize_outputs([(1, above, below)]).axes
    assert len(ax.images) == 20
    assert f"{(above - below)[:10].square().mean():.4f}" in ax.texts[0].get_text()


def test_nothing_written_overlaps_or_leaves_the_figure():
    outputs = [(e, digits(10), digits(10, seed=e)) for e in range(1, 13)]
    figures = [
        plots.visualize_outputs(outputs),
        plots.visualize_outputs([(1, digits(1), digits(1))]),
        plots.interpolation(build("fc"), digits(1), digits(1, seed=1), steps=2),
        plots.feature_maps(build("conv"), digits(1)),
    ]
    for figure in figures:
        figure.draw_without_rendering()
        boxes = [t.get_window_extent() for ax in figure.axes for t in (*ax.texts, ax.title)]
        boxes = [b for b in [*boxes, figure._suptitle.get_window_extent()] if b.width > 1]
        for i, box in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(other) for other in boxes[:i])


def history(train, test=None):
    columns = {"epoch": range(1, len(train) + 1), "train_loss": train}
    return pd.DataFrame(columns if test is None else {**columns, "test_loss": test})


def test_curves_are_the_history():
    train, test = [0.5, 0.3, 0.2341], [0.4, 0.31, 0.2777]
    figure = plots.loss_curves(history(train, test))
    (ax,) = figure.axes
    for line, losses in zip(ax.lines, (train, test), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), losses)
    assert [t.get_text() for t in ax.texts] == ["train 0.2341", "test 0.2777"]
    assert ax.get_yscale() == "linear" and "epoch" in ax.get_xlabel() and ax.get_ylabel()
    figure.draw_without_rendering()
    train_box, test_box = (t.get_window_extent() for t in ax.texts)
    assert not train_box.overlaps(test_box)


def test_last_values_that_are_equal_do_not_overlap():
    figure = plots.loss_curves(history([0.3, 0.2], [0.3, 0.2]))
    figure.draw_without_rendering()
    one, other = (t.get_window_extent() for t in figure.axes[0].texts)
    assert not one.overlaps(other) and max(one.x1, other.x1) <= figure.bbox.x1


def test_more_than_a_decade_is_logarithmic():
    (ax,) = plots.loss_curves(history([0.5, 0.04])).axes
    assert ax.get_yscale() == "log"
    (ax,) = plots.loss_curves(history([0.5, 0.0])).axes
    assert ax.get_yscale() == "linear"


@pytest.mark.parametrize("test", [None, [float("nan")] * 2, [float("inf")] * 2])
def test_no_test_loss_no_line(test):
    (ax,) = plots.loss_curves(history([0.5, 0.4], test)).axes
    assert len(ax.lines) == len(ax.texts) == 1


def test_a_gap_is_left_out_and_the_last_number_named():
    (ax,) = plots.loss_curves(history([0.5, 0.4, float("nan")], [0.6, float("nan"), 0.3])).axes
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [1, 3])
    assert [t.get_text() for t in ax.texts] == ["train 0.4", "test 0.3"]


def test_one_epoch_has_one_tick():
    figure = plots.loss_curves(history([0.5]))
    figure.draw_without_rendering()
    left, right = figure.axes[0].get_xlim()
    assert [t for t in figure.axes[0].get_xticks() if left <= t <= right] == [1]


# ----------------------------------------------------------------------------- latent space
def points(ax):
    """What was scattered, (N, 2) or (N, 3)."""
    three = hasattr(ax, "get_zlim")
    parts = [
        np.stack(c._offsets3d, axis=1) if three else np.asarray(c.get_offsets())
        for c in ax.collections
    ]
    return np.concatenate(parts)


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


def test_codes_of_the_models(model):
    labels = torch.arange(8)
    figure = plots.latent_cloud(model.eval().encode(of(model, 8)), labels)
    assert isinstance(figure, Figure) and len(points(figure.axes[0])) == 8


def test_codes_that_are_all_the_same_have_no_variance():
    assert "0% of the variance" in words(plots.latent_cloud(torch.ones(4, 5)))


# ------------------------------------------------------------------------ inside the model
def test_filters_are_the_first_weights(model, name):
    figure = plots.filters(model)
    weight = model.parameters()[0]
    expected = weight.double().reshape((128, 28, 28) if name == "fc" else (16, 3, 3)).numpy()
    ax = figure.axes[0]
    np.testing.assert_array_equal(drawn(ax), expected)
    limit = float(weight.abs().max())
    assert {image.get_clim() for image in ax.images} == {(-limit, limit)}
    assert "encoder.0" in words(figure) and f"{limit:.2g}" in words(figure)


def test_every_kernel_of_many_channels():
    layer = Conv2d(3, 4, 5)
    ax = plots.filters(Sequential(layer)).axes[0]
    np.testing.assert_array_equal(drawn(ax), layer.weight.reshape(12, 5, 5).double())


def test_feature_maps_are_the_activations(model, name):
    x = of(model, 1)
    figure = plots.feature_maps(model, x)
    titled = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.get_title(loc="left")}
    model.eval()
    if name == "conv":
        shown = ["(1, 28, 28)", "(16, 14, 14)", "(32, 7, 7)", "(64, 5, 5)"]
        layers = ["encoder.0 Conv2d → BatchNorm2d → ReLU", "encoder.6 Conv2d → BatchNorm2d"]
        first, code = model.encoder[:3].forward(x), model.encode(x)
        np.testing.assert_allclose(drawn(list(titled.values())[1]), first[0], atol=1e-6)
        np.testing.assert_allclose(drawn(list(titled.values())[3]), code[0], atol=1e-6)
    else:
        shown = ["(1, 28, 28)", *(f"({n},)" for n in (128, 64, 32, 16, 12, 3))]
        layers = ["encoder.0 Linear → ReLU", "encoder.10 Linear,"]
        bars = [[bar.get_height() for bar in ax.patches] for ax in list(titled.values())[1:]]
        np.testing.assert_allclose(bars[0], model.encoder[:2].forward(x)[0], atol=1e-6)
        np.testing.assert_allclose(bars[-1], model.encode(x)[0], atol=1e-6)
    np.testing.assert_array_equal(drawn(next(iter(titled.values()))), pictures(x))
    assert len(titled) == len(shown)
    for title, shape in zip(titled, shown, strict=True):
        assert shape in title
    assert all(any(layer in title for title in titled) for layer in layers)


def test_interpolation_is_decoded_between_the_true_digits(model):
    start, end = of(model, 1), of(model, 1, seed=1)
    figure = plots.interpolation(model, start, end, steps=5)
    (ax,) = figure.axes
    shown = drawn(ax)
    model.eval()
    middle = model.decode((model.encode(start) + model.encode(end)) / 2)
    assert len(shown) == 7
    np.testing.assert_array_equal(shown[[0, -1]], pictures(torch.cat([start, end])))
    for place, decoded in [(1, model.forward(start)), (3, middle), (5, model.forward(end))]:
        np.testing.assert_allclose(shown[place], pictures(decoded)[0], atol=1e-5)
    labels = ["start", "end", "0%", "25%", "50%", "75%", "100%"]
    assert [t.get_text() for t in ax.texts] == labels


@pytest.mark.parametrize("shape", [*SHAPES, (1, 784), (1, 1, 28, 28)], ids=str)
def test_one_digit_comes_in_any_shape(name, shape):
    model, x = build(name), digits(1).reshape(shape)
    np.testing.assert_array_equal(drawn(plots.feature_maps(model, x).axes[0]), pictures(x))
    assert len(plots.interpolation(model, x, x, steps=2).axes[0].images) == 4


def test_the_model_is_left_as_it_was(model):
    model.encoder[0].training = False  # a mixture, which train() or eval() would not bring back
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    grads = [p.grad.clone() for p in model.parameters()]
    saved = [layer.saved for _, layer in model.leaves()]
    modes = [layer.training for _, layer in model.leaves()]
    plots.filters(model)
    plots.feature_maps(model, of(model, 1))
    plots.interpolation(model, of(model, 1), of(model, 1, seed=1))
    assert modes == [layer.training for _, layer in model.leaves()]
    assert all(a is b.saved for a, (_, b) in zip(saved, model.leaves(), strict=True))
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[key]), key
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        assert torch.equal(parameter.grad, grad)
    model.backward(torch.ones(4, *model.input_shape, dtype=grads[0].dtype))  # still possible


def test_a_model_made_and_run_in_inference_mode(name):
    with torch.inference_mode():
        model = build(name)
        x = digits(2, model.input_shape)
        outputs, codes = [(1, x, model.forward(x))], model.encode(x).flatten(1)
    plots.visualize_outputs(outputs)
    plots.latent_cloud(codes[:, :2])
    plots.filters(model)
    plots.feature_maps(model, x[:1])
    plots.interpolation(model, x[:1], x[1:])


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_digits_and_model_on_cuda(name):
    model = build(name).to("cuda")
    x = digits(2, model.input_shape).cuda()
    shown = drawn(plots.visualize_outputs([(1, x, x)]).axes[0])
    np.testing.assert_array_equal(shown[:2], pictures(x.cpu()))
    plots.latent_cloud(torch.randn(4, 3, device="cuda"), torch.arange(4, device="cuda"))
    plots.filters(model)
    plots.feature_maps(model, x[:1])
    plots.interpolation(model, x[:1], x[1:])


# ---------------------------------------------------------------------------------- refusals
REFUSED = {
    "no epochs": (lambda: plots.visualize_outputs([]), "at least one kept epoch"),
    "step 0": (lambda: plots.visualize_outputs([(1, digits(1), digits(1))], 0), "step of 0"),
    "783": (lambda: plots.visualize_outputs([(1, digits(2, (783,)), digits(2))]), "(2, 783)"),
    "bytes": (
        lambda: plots.visualize_outputs([(1, digits(2).to(torch.uint8), digits(2))]),
        "uint8",
    ),
    "array": (lambda: plots.visualize_outputs([(1, np.zeros((2, 784)), digits(2))]), "ndarray"),
    "no digit": (lambda: plots.visualize_outputs([(1, digits(0), digits(0))]), "(0, 784)"),
    "uneven": (lambda: plots.visualize_outputs([(7, digits(2), digits(3))]), "epoch 7"),
    "columns": (lambda: plots.loss_curves(pd.DataFrame({"epoch": [1]})), "train_loss"),
    "no epoch": (lambda: plots.loss_curves(pd.DataFrame({"train_loss": [1.0]})), "epoch"),
    "empty": (lambda: plots.loss_curves(history([])), "finite"),
    "all NaN": (lambda: plots.loss_curves(history([float("nan")])), "finite"),
    "rows": (lambda: plots.loss_curves([{"epoch": 1, "train_loss": 1.0}]), "got a list"),
    "one number": (lambda: plots.latent_cloud(torch.randn(5, 1)), "5 of 1 numbers"),
    "flat": (lambda: plots.latent_cloud(torch.randn(5)), "(N, 2)"),
    "no codes": (lambda: plots.latent_cloud(torch.randn(0, 3)), "(N, 2)"),
    "too few": (lambda: plots.latent_cloud(torch.randn(2, 12)), "2 of 12"),
    "NaN": (lambda: plots.latent_cloud(torch.full((5, 3), float("nan"))), "15 not finite"),
    "labels": (lambda: plots.latent_cloud(torch.randn(5, 3), torch.zeros(4)), "5 codes"),
    "label 10": (lambda: plots.latent_cloud(torch.randn(2, 3), torch.tensor([1, 10])), "10"),
    "no filters": (lambda: plots.filters(Sequential(ReLU())), "Conv2d"),
    "not pixels": (lambda: plots.filters(Sequential(Linear(12, 3))), "Linear(12, 3)"),
    "two digits": (lambda: plots.feature_maps(build("fc"), digits(2)), "one digit"),
    "no model": (lambda: plots.feature_maps(Sequential(ReLU()), digits(1)), "Autoencoder"),
    "no end": (lambda: plots.interpolation(build("fc"), digits(1), digits(1, (3,))), "(1, 3)"),
    "one step": (lambda: plots.interpolation(build("fc"), digits(1), digits(1), 1), "2 steps"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_sentence(what):
    ask, words = REFUSED[what]
    with pytest.raises(ScratchaeError) as refusal:
        ask()
    sentence = str(refusal.value)
    assert words in sentence and "\n" not in sentence and ". " not in sentence


# ---------------------------------------------------------------------------------- the file
@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_save_writes_what_the_name_says(tmp_path, ending, start):
    path = tmp_path / f"curves.{ending}"
    plots.save(plots.loss_curves(history([0.5])), path)
    assert path.read_bytes().startswith(start) and list(tmp_path.iterdir()) == [path]


def test_dpi_is_the_size(tmp_path):
    import PIL.Image

    plots.save(plots.loss_curves(history([0.5])), tmp_path / "a.png", dpi=50)
    assert PIL.Image.open(tmp_path / "a.png").size == (350, 200)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, error):
    path, figure = tmp_path / "a.png", plots.loss_curves(history([0.5]))
    path.write_bytes(b"old")

    def half(where, **_):
        where.write_bytes(b"half")
        raise error

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(ScratchaeError if isinstance(error, OSError) else KeyboardInterrupt):
        plots.save(figure, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a", "a.picture"])
def test_an_unknown_ending_is_refused(tmp_path, name):
    with pytest.raises(ScratchaeError, match=r"end in one of .*\.png"):
        plots.save(plots.loss_curves(history([0.5])), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_no_display_and_no_pyplot(tmp_path):
    program = (
        "import sys, torch; from scratchae import plots\n"
        "x = torch.zeros(1, 784)\n"
        f"plots.save(plots.visualize_outputs([(1, x, x)]), {str(tmp_path / 'a.png')!r})\n"
        "plots.latent_cloud(torch.randn(5, 3)).draw_without_rendering()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    environment = {k: v for k, v in os.environ.items() if "DISPLAY" not in k and k != "MPLBACKEND"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert (tmp_path / "a.png").exists()


def test_the_readers_own_style_is_left_alone():
    import matplotlib

    with matplotlib.rc_context({"font.size": 31, "axes.grid": False}):
        figure = plots.loss_curves(history([0.5]))
        assert matplotlib.rcParams["font.size"] == 31
    assert figure.axes[0].texts[0].get_size() == 9
