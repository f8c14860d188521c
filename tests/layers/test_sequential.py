"""Sequential: a row of layers that can be nested, cut, walked through, moved and described."""

import pytest
import torch

from reference.twins import twin
from scratchae.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    Unflatten,
)
from scratchae.layers.observe import observed
from scratchae.models import Autoencoder, build
from tests.helpers.tensors import assert_close


def nested() -> Sequential:
    """One of every layer, three deep."""
    images = Sequential(Conv2d(1, 2, 3, stride=2), BatchNorm2d(2), LeakyReLU(0.2))  # (N, 2, 2, 3)
    numbers = Sequential({"flat": Flatten(), "linear": Linear(12, 5), "norm": BatchNorm1d(5)})
    back = Sequential(
        *(Tanh(), Linear(5, 12), ReLU(), Unflatten(1, (2, 2, 3))),
        *(ConvTranspose2d(2, 1, 3, stride=2), Sigmoid()),
    )
    torch.manual_seed(0)
    return Sequential({"encoder": Sequential(images, numbers), "decoder": back})


def test_a_nested_model_with_every_layer_equals_its_twin():
    model = nested().to(dtype=torch.float64)
    module = twin(model)
    assert list(model.state_dict()) == list(module.state_dict())
    x = torch.randn(3, 1, 5, 7, dtype=torch.float64)
    x_torch = x.clone().requires_grad_()
    y, y_torch = model(x), module(x_torch)
    assert_close("y", y, y_torch)
    dy = torch.randn_like(y)
    y_torch.backward(dy)
    assert_close("dx", model.backward(dy), x_torch.grad)
    for (name, ours), (key, theirs) in zip(
        model.named_parameters(), module.named_parameters(), strict=True
    ):
        assert name == key
        assert_close(name, ours.grad, theirs.grad, scale=1e-3)


def test_it_is_indexed_and_walked_like_a_list():
    layers = [Linear(3, 5), ReLU(), Linear(5, 2)]
    model = Sequential(*layers)
    assert len(model) == 3 and list(model) == layers
    for i in range(-3, 3):
        assert model[i] is layers[i]
    for i in (3, -4):
        with pytest.raises(IndexError, match="Sequential of 3"):
            model[i]


@pytest.mark.parametrize(
    "cut", [slice(1, None), slice(None, -1), slice(None), slice(5, None), slice(0, None, 2)]
)
def test_a_slice_is_a_sequential_of_the_same_layers_with_the_same_keys(cut):
    layers = [Linear(3, 5), ReLU(), Linear(5, 2)]
    part = Sequential(*layers)[cut]
    assert isinstance(part, Sequential)
    assert list(part) == layers[cut]
    module = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    assert list(part.state_dict()) == list(module[cut].state_dict())


def test_a_slice_trains_the_layers_of_the_whole():
    model = Sequential(Linear(3, 5), ReLU(), Linear(5, 2))
    head = model[:2]
    head.backward(torch.ones_like(head(torch.randn(4, 3))))
    assert model[0].weight.grad.any() and not model[2].weight.grad.any()


@pytest.mark.parametrize("empty", [Sequential(), Sequential({})])
def test_an_empty_sequential_passes_everything_through(empty):
    x = torch.randn(2, 3)
    assert empty(x) is x and empty.backward(x) is x
    assert len(empty) == 0 and repr(empty) == "Sequential()" and not empty.parameters()


def test_train_and_eval_reach_every_layer():
    model = nested()
    for mode in (False, True):
        assert (model.train() if mode else model.eval()) is model
        assert all(layer.training is mode for _, layer in model.leaves())
        assert all(child.training is mode for _, child in model.children())


def test_to_converts_parameters_gradients_and_statistics_but_no_counts():
    model = nested()
    model.backward(torch.randn_like(model(torch.randn(3, 1, 5, 7))))
    before = {name: p.grad.clone() for name, p in model.named_parameters()}
    assert model.to(dtype=torch.float64) is model
    for name, tensor in model.state_dict().items():
        counts = name.endswith("num_batches_tracked")
        assert tensor.dtype == (torch.int64 if counts else torch.float64)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, before[name].double())
    assert model(torch.randn(3, 1, 5, 7, dtype=torch.float64)).dtype == torch.float64
    assert all(p.dtype == torch.float32 for p in model.to(torch.float32).parameters())


def test_the_text_of_a_model_is_laid_out_as_in_torch():
    """Same lines, same names, same indentation; only what stands in a layer's brackets differs."""
    model = nested()
    ours, theirs = repr(model).splitlines(), str(twin(model)).splitlines()
    assert [line.split("(")[:2] for line in ours if "):" in line] == [
        line.split("(")[:2] for line in theirs if "):" in line
    ]
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_the_summary_gives_the_shapes_and_counts_that_torch_finds(name):
    model = build(name)
    module = twin(model).eval()
    rows = model.summary(model.input_shape).splitlines()
    assert len({len(row) for row in rows}) == 1  # the columns stand in line
    assert rows[0].split() == ["name", "layer", "output", "shape", "parameters"]
    assert rows[2].split()[0] == "input" and set(rows[1] + rows[-2]) == {"-"}
    assert len(rows) == 5 + len(list(model.leaves()))
    x = torch.zeros(1, *model.input_shape)
    lines = iter(rows[3:])
    for group, part in module.named_children():
        for index, layer in part.named_children():
            x, line = layer(x), next(lines)
            count = sum(p.numel() for p in layer.parameters())
            assert line.startswith(f"{group}.{index} ") and f" {type(layer).__name__}(" in line
            assert "(" + ", ".join(["N", *map(str, x.shape[1:])]) + ")" in line
            assert line.endswith(f" {count:,}" if count else " ")
    total = sum(p.numel() for p in module.parameters())
    assert rows[-1].split() == ["total", f"{total:,}"]


def test_the_summary_leaves_no_trace():
    model = nested()
    y = model(torch.randn(3, 1, 5, 7))
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    dy = torch.randn_like(y)
    expected = model.backward(dy)
    model.summary((1, 5, 7))
    assert torch.equal(model.backward(dy), expected)
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    assert all(layer.training for _, layer in model.leaves())


def test_an_autoencoder_is_its_encoder_and_then_its_decoder():
    model = build("fc")
    x = torch.randn(3, 784)
    assert isinstance(model, Autoencoder) and model.encode(x).shape == (3, 3)
    assert torch.equal(model.decode(model.encode(x)), model(x))
    assert model.encoder is model[0] and model.decoder is model[-1]


def test_it_keeps_its_layers_when_the_dict_that_they_came_in_changes():
    layers = {"first": ReLU()}
    model = Sequential(layers)
    layers.clear()
    assert len(model) == 1


def test_a_model_without_parameters_has_a_summary_too():
    assert Sequential(ReLU()).summary((3,)).splitlines()[-1].split() == ["total", "0"]


def test_the_summary_fits_the_dtype_and_the_device_of_the_model():
    with torch.device("meta"):
        models = [Sequential(Linear(3, 2)), Sequential(Linear(3, 2).to(torch.float64))]
    for model in models:
        assert model.summary((3,)).splitlines()[-1].split() == ["total", "8"]


def test_observing_ends_with_the_block_also_for_layers_that_come_one_by_one():
    model, seen = Sequential(ReLU(), ReLU()), []

    def around(name, which, call, *arguments):
        seen.append((name, which))
        return call(*arguments)

    with observed((pair for pair in model.leaves()), around):
        model(torch.ones(1))
    model(torch.ones(1))
    assert seen == [("0", "forward"), ("1", "forward")]
