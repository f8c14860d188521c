"""The pictures of a model show its own numbers, and leave it as it was."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from scratchae import plots
from scratchae.layers import Conv2d, Sequential
from scratchae.models import build
from tests.helpers.figures import SHAPES, digits, drawn, pictures, points, words


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


def test_codes_of_the_models(model):
    labels = torch.arange(8)
    figure = plots.latent_cloud(model.eval().encode(of(model, 8)), labels)
    assert isinstance(figure, Figure) and len(points(figure.axes[0])) == 8


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
