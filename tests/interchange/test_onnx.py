"""The ONNX files compute what the models and layers compute, for any number of images."""

import inspect
import json
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import scratchae
from scratchae import layers, losses
from scratchae.checking.layer_cases import LAYER_CASES, LayerCase, layer_strategy
from scratchae.errors import ScratchaeError
from scratchae.interchange import Graph, Value, export_onnx, form
from scratchae.interchange.export import signature
from scratchae.interchange.graph import FORMS, form_of
from scratchae.layers import Layer
from scratchae.losses import Loss
from scratchae.models import Autoencoder, build, names
from scratchae.models.vae import VAE
from scratchae.training.evaluation import evaluating

TOLERANCE = 1e-5
WITH_FORM = [name for name in LAYER_CASES if FORMS.keys() & {*getattr(layers, name).__mro__}]
ABOUT = {"model": "one layer", "scratchae": "0"}


onnxruntime.set_default_logger_severity(4)  # only fatal errors; a failure raises


def run_file(file: Path | bytes, x: torch.Tensor) -> list[torch.Tensor]:
    """Run an ONNX file on x in onnxruntime; return its outputs."""
    content = file if isinstance(file, bytes) else file.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # tiny tensors: more threads would only wait for each other
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (only,) = session.get_inputs()
    return [torch.from_numpy(y) for y in session.run(None, {only.name: x.numpy()})]


def run_layer(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """Run the ONNX form of a layer on x."""
    graph, image = Graph(), Value("x", tuple(x.shape[1:]))
    y = graph.add(layer, image, "layer")
    (output,) = run_file(graph.model([image], {"y": y}, ABOUT).SerializeToString(), x)
    return output


def assert_near(got: torch.Tensor, expected: torch.Tensor) -> None:
    assert got.shape == expected.shape
    scale = max(1.0, expected.abs().max().item()) if expected.numel() else 1.0
    assert (got - expected).abs().max() <= TOLERANCE * scale


def randomised(model: Autoencoder) -> Autoencoder:
    """Give the model running statistics that differ from the initial ones."""
    generator = torch.Generator().manual_seed(1)
    for _, tensor in model.named_buffers():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return model


@pytest.mark.parametrize("name", names())
def test_encoder_and_decoder_of_every_model_equal_their_files(name, tmp_path):
    model = randomised(build(name))
    low, high = json.loads(metadata(export_onnx(model, tmp_path)[0])["pixel_range"])
    assert (low, high) == model.pixel_range
    for count in (1, 7):
        x = torch.rand(count, *model.input_shape) * (high - low) + low
        with evaluating(model):
            code = model.encode(x)
            image = model.expected(model.decode(code))
            outputs = model.posterior(x) if isinstance(model, VAE) else (code,)
        for got, expected in zip(run_file(tmp_path / "encoder.onnx", x), outputs, strict=True):
            assert_near(got, expected)
        assert_near(run_file(tmp_path / "decoder.onnx", code)[0], image)
    assert model.training


@pytest.mark.parametrize("name", WITH_FORM)
@settings(max_examples=12)
@given(data=st.data())
def test_every_layer_equals_its_onnx_form(name, data):
    check_form(data.draw(layer_strategy(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_FORM)
@given(data=st.data())
def test_every_layer_equals_its_onnx_form_in_many_cases(name, data):
    check_form(data.draw(layer_strategy(name)))


def check_form(case: LayerCase) -> None:
    layer, shape = case.random_layer().eval(), case.shapes[0]
    layer.forget()  # a layer with keys would draw noise
    assume(len(shape) > 1 and not (len(shape) == 3 and isinstance(layer, IMAGE_LAYERS)))
    x = case.x(shape)
    y = layer.forward(x)
    assume(keeps_samples_apart(layer, x))
    if getattr(layer, "running_mean", 0) is None:
        with pytest.raises(ScratchaeError, match="track_running_stats"):
            run_layer(layer, x.float())
        return
    assert_near(run_layer(layer, x.float()), y)


def test_every_layer_of_the_library_has_a_form():
    kinds = [kind for kind in vars(layers).values() if inspect.isclass(kind) and kind is not Layer]
    assert kinds
    for kind in kinds:
        form_of(kind.__new__(kind))


def keeps_samples_apart(layer: Layer, x: torch.Tensor) -> bool:
    """Whether the first axis is a batch for this layer."""
    try:
        return len(layer.forward(x[:1])) == 1 and len(layer.forward(torch.cat([x, x]))) == 2 * len(
            x
        )
    except ScratchaeError:
        return False


IMAGE_LAYERS = (layers.Conv2d, layers.ConvTranspose2d, layers.MaxPool2d, layers.AvgPool2d)


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def test_the_files_say_what_goes_in_and_what_comes_out(tmp_path):
    paths = export_onnx(build("conv"), tmp_path / "new" / "folder")
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "new/folder/encoder.onnx",
        "new/folder/decoder.onnx",
    ]
    assert [signature(path) for path in paths] == [
        ("image (N, 1, 28, 28)", "code (N, 64, 5, 5)"),
        ("code (N, 64, 5, 5)", "image (N, 1, 28, 28)"),
    ]
    assert metadata(paths[0]) == metadata(paths[1])
    assert metadata(paths[0]) == {
        "model": "conv",
        "scratchae": scratchae.__version__,
        "pixel_range": "[-1.0, 1.0]",
        "image_shape": "[1, 28, 28]",
        "code_shape": "[64, 5, 5]",
    }


def test_the_encoder_of_a_vae_gives_mean_and_log_variance(tmp_path):
    encoder, decoder = export_onnx(build("vae", latent=5), tmp_path)
    assert signature(encoder) == ("image (N, 784)", "mu (N, 5), logvar (N, 5)")
    assert signature(decoder) == ("code (N, 5)", "image (N, 784)")
    assert metadata(encoder)["code_shape"] == "[5]"


def test_the_nodes_are_the_layers_and_the_weights_have_the_keys_of_the_model(tmp_path):
    model = build("conv")
    graph = onnx.load(export_onnx(model, tmp_path)[0]).graph
    kinds = ["Conv", "BatchNormalization", "Relu", "Conv", "BatchNormalization", "Relu"]
    assert [node.op_type for node in graph.node] == [*kinds, *kinds[:2], "Identity"]
    keys = {key for key in model.state_dict() if key.startswith("encoder.")}
    assert {c.name for c in graph.initializer} == {k for k in keys if "num_batches" not in k}


def test_the_same_model_gives_the_same_bytes_and_is_not_changed(tmp_path):
    model = build("conv")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    first, again = export_onnx(model, tmp_path / "a"), export_onnx(model, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert model.training
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


class Double(Layer):
    def forward(self, x):
        return 2 * x


class Halve(Double):
    def forward(self, x):
        return x / 2


class Renamed(layers.ReLU):
    """A subclass that computes what its base computes."""


def own_model(*inside: Layer) -> Autoencoder:
    parts = layers.Sequential(*inside), layers.Sequential(layers.Tanh())
    return Autoencoder(*parts, input_shape=(9,))


def test_a_layer_of_your_own_is_named_until_you_give_its_form(tmp_path):
    model = own_model(layers.Sequential(Double()))
    with pytest.raises(ScratchaeError, match=r"no ONNX form of Double\(\).*interchange\.form"):
        export_onnx(model, tmp_path)
    assert not list(tmp_path.iterdir())
    form(Double)(lambda graph, layer, x: graph.node("Add", x.name, x.name))
    x = torch.rand(3, 9)
    assert_near(run_file(export_onnx(model, tmp_path)[0], x)[0], 2 * x)
    with pytest.raises(ScratchaeError, match=r"no ONNX form of Halve\(\)"):
        export_onnx(own_model(Halve()), tmp_path)


@pytest.mark.parametrize(
    "kind", [losses.BCEWithLogitsLoss, losses.ContinuousBernoulliLoss, losses.CrossEntropyLoss]
)
def test_the_decoder_of_a_model_of_logits_gives_pixels(kind, tmp_path):
    model = Autoencoder(layers.Sequential(), layers.Sequential(), (9,), kind())
    x = torch.cat([torch.randn(30, 9) * scale for scale in (1e-3, 0.3, 1.0, 30.0, 1000.0)])
    x[0] = torch.tensor([0.0, 0.5, -0.5, 0.4999999, -0.4999999, 0.51, 1e-30, 80.0, -90.0])
    (pixels,) = run_file(export_onnx(model, tmp_path)[1], x)
    assert_near(pixels, model.expected(x))


def test_every_loss_of_the_library_has_a_form_or_its_output_is_the_pixels():
    kinds = [
        value
        for value in vars(losses).values()
        if inspect.isclass(value) and issubclass(value, Loss)
    ]
    assert len(kinds) > 4
    for kind in kinds:
        assert kind.expected is Loss.expected or form_of(kind.__new__(kind), "expected")


def test_a_loss_that_says_what_its_pixels_are_needs_a_form(tmp_path):
    class Squared(Loss):
        def expected(self, prediction):
            return prediction**2

    model = own_model()
    model.loss = Squared()
    with pytest.raises(ScratchaeError, match=r"no ONNX form of Squared\(\)"):
        export_onnx(model, tmp_path)
    form(Squared)(lambda graph, loss, y: graph.node("Mul", y.name, y.name))
    x = torch.randn(3, 9)
    assert_near(run_file(export_onnx(model, tmp_path)[1], x)[0], x.tanh() ** 2)


def test_a_subclass_without_its_own_forward_has_the_form_of_its_base(tmp_path):
    x = torch.randn(3, 9)
    assert_near(run_file(export_onnx(own_model(Renamed()), tmp_path)[0], x)[0], x.relu())


def test_an_empty_part_hands_on_its_input(tmp_path):
    x = torch.randn(3, 9)
    assert_near(run_file(export_onnx(own_model(), tmp_path)[0], x)[0], x)


def test_a_layer_that_joins_samples_is_refused(tmp_path):
    with pytest.raises(ScratchaeError, match=r"Flatten.*the first axis .* is the batch"):
        export_onnx(own_model(layers.Flatten(0)), tmp_path)


def test_without_the_package_one_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)  # makes `import onnx` fail
    with pytest.raises(ScratchaeError, match="pip install onnx"):
        export_onnx(build("fc"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ScratchaeError, match="a part of that path is a file"):
        export_onnx(build("fc"), tmp_path / "file")
