"""The X-ray says of every layer what direct computation says, and leaves the model as it was."""

import copy
import doctest
import math

import pytest
import torch
from torch import nn

from reference.twins import twin
from scratchae import plots
from scratchae.checking.trace import trace
from scratchae.errors import ScratchaeError
from scratchae.layers import BatchNorm1d, Flatten, Layer, LeakyReLU, Linear, ReLU, Sequential, Tanh
from scratchae.models import build
from scratchae.optim import Adam


def small() -> Sequential:
    torch.manual_seed(0)
    encoder = Sequential(Linear(7, 5), BatchNorm1d(5), ReLU())
    model = Sequential({"encoder": encoder, "decoder": Sequential(Linear(5, 7), Tanh())})
    return model.to(torch.float64)


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def digits_for(model) -> torch.Tensor:
    return batch(16, *model.input_shape).float().tanh()


def test_every_number_equals_that_of_autograd():
    model, x = small(), batch(11, 7)
    table = trace(model, x).table
    module, outputs = twin(model), [x.clone().requires_grad_()]
    for part in [*module.encoder, *module.decoder]:
        outputs.append(part(outputs[-1]))
        outputs[-1].retain_grad()
    nn.functional.mse_loss(outputs[-1], x).backward()
    assert table["name"].tolist() == [
        *("encoder.0", "encoder.1", "encoder.2"),
        *("decoder.0", "decoder.1"),
    ]
    assert table["kind"].tolist() == ["Linear", "BatchNorm1d", "ReLU", "Linear", "Tanh"]
    assert table["shape"].tolist() == [tuple(y.shape) for y in outputs[1:]]
    expected = {
        "mean": [y.mean().item() for y in outputs[1:]],
        "spread": [y.std(correction=0).item() for y in outputs[1:]],
        "dy_spread": [y.grad.std(correction=0).item() for y in outputs[1:]],
        "dx_spread": [y.grad.std(correction=0).item() for y in outputs[:-1]],
    }
    for column, values in expected.items():
        assert table[column].tolist() == pytest.approx(values, rel=1e-9), column
    parameters = dict(module.named_parameters())
    for row in table.to_dict("records"):
        for key in ("weight", "bias"):
            p = parameters.get(f"{row['name']}.{key}")
            if p is None or not p.any():
                assert math.isnan(row[f"d{key}/{key}"])
            else:
                ratio = (p.grad.norm() / p.norm()).item()  # a bias before BatchNorm has gradient 0
                assert row[f"d{key}/{key}"] == pytest.approx(ratio, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_the_twin_in_torch_nn_agrees_in_every_layer(name):
    torch.manual_seed(0)
    model = build(name)
    x, module = digits_for(model), twin(model)
    before = copy.deepcopy(module.state_dict())
    seen = trace(model, x, module)
    assert seen.parted is None and "the two agree in every layer" in str(seen)
    assert (seen.table["difference"] < 1e-5).all()
    assert all(torch.equal(before[key], tensor) for key, tensor in module.state_dict().items())
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.parametrize(("name", "where"), [("fc", "decoder.4"), ("conv", "encoder.3")])
def test_one_changed_weight_is_found(name, where):
    torch.manual_seed(0)
    model = build(name)
    other, x = copy.deepcopy(model), digits_for(model)
    dict(other.leaves())[where].weight.view(-1)[3] += 0.3
    for wrong in (other, twin(other)):
        seen = trace(model, x, wrong)
        assert seen.parted == where and f"the two differ first at {where}, " in str(seen)
        index = seen.table["name"].tolist().index(where)
        y, z = x, x
        for (_, ours), (_, theirs) in list(zip(model.leaves(), other.leaves(), strict=True))[
            : index + 1
        ]:
            y, z = ours.forward(y), theirs.forward(z)
        expected = ((y - z).norm() / z.norm()).item()
        assert seen.table["difference"][index] == pytest.approx(expected, rel=1e-3)


def test_activations_collected_by_the_caller():
    model, x = small(), batch(11, 7)
    outputs = [("input", x)]
    for name, layer in copy.deepcopy(model).leaves():
        outputs.append((name, layer.forward(outputs[-1][1])))
    assert trace(model, x, outputs[1:]).parted is None
    outputs[3] = ("ReLU", outputs[3][1] + 1e-9)
    assert trace(model, x, outputs[1:]).parted == "encoder.2"
    outputs[2] = ("BatchNorm1d", outputs[2][1].T)
    assert trace(model, x, outputs[1:]).parted == "encoder.1"


def test_the_model_is_left_as_it_was_bit_for_bit():
    model, x = small(), batch(11, 7)
    optimizer = Adam(model.parameters())
    model.backward(model.forward(x))
    optimizer.step()
    model.forward(x)
    tensors = model.state_dict() | {f"d{n}": p.grad for n, p in model.named_parameters()}
    before = {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in tensors.items()}
    saved, given = [layer.saved for _, layer in model.leaves()], x.clone()
    trace(model, x, model)
    for name, tensor in tensors.items():
        assert torch.equal(tensor, before[name][0]) and tensor.data_ptr() == before[name][1], name
    assert all(p.grad is tensors[f"d{n}"] for n, p in model.named_parameters())
    assert all(layer.saved is kept for (_, layer), kept in zip(model.leaves(), saved, strict=True))
    assert torch.equal(x, given) and model.training


def test_the_mode_of_the_model_decides():
    model, x = small(), batch(11, 7)
    assert trace(model, x).table["spread"][1] == pytest.approx(1, rel=1e-3)
    model.eval()
    assert trace(model, x).table["spread"][1] == pytest.approx(
        trace(model, x).table["spread"][0], rel=1e-3
    )


def test_dead_units_are_counted_and_reported():
    model, x = small(), batch(11, 7)
    model[0][1].bias[:4] = -100
    seen = trace(model, x)
    assert seen.table["dead"].tolist() == pytest.approx(
        [math.nan] * 2 + [0.8] + [math.nan] * 2, nan_ok=True
    )
    assert "encoder.2: 4 of 5 units are dead" in str(seen)
    assert "dx is 0" not in str(seen)
    model[0][1].bias[:] = -100
    seen = trace(model, x)
    assert "encoder.2: 5 of 5 units are dead" in str(seen)
    assert "encoder.2: its dx is 0 everywhere" in str(seen)


def test_a_channel_is_a_unit_and_a_leaky_relu_never_dies():
    model = build("conv")
    dict(model.leaves())["encoder.1"].bias[:8] = -100
    seen = trace(model, digits_for(model)).table.set_index("name")["dead"]
    assert seen["encoder.2"] == 0.5 and math.isnan(seen["decoder.7"])
    leaky = Sequential(Flatten(), Linear(7, 5), LeakyReLU(), Linear(5, 7))
    assert trace(leaky, batch(4, 7).float()).table["dead"].isna().all()


def test_a_number_that_is_not_finite_is_the_first_thing_said():
    model = small()
    model[1][0].weight[2, 3] = math.nan
    seen = trace(model, batch(11, 7))
    assert seen.warnings == ("decoder.0: its output contains NaN or infinity: look here first",)
    assert trace(model, batch(11, 7), model).parted is None  # NaN in the same places


def test_a_bad_initialisation_is_named():
    torch.manual_seed(0)
    layers = [layer for _ in range(6) for layer in (Linear(7, 7, bias=False), Tanh())]
    model = Sequential(*layers)
    for parameter in model.parameters():
        parameter.mul_(0.05)
    said = " ".join(trace(model, batch(64, 7).float()).warnings)
    assert "of the activations is" in said and "of the gradients is" in said
    assert not trace(small(), batch(64, 7)).warnings


def test_without_a_target_the_seed_decides():
    model, x = Sequential(Linear(7, 3)), batch(5, 7).float()
    first, same, other = trace(model, x), trace(model, x), trace(model, x, seed=1)
    assert "against a random target" in first.headline
    assert first.table.equals(same.table) and not first.table.equals(other.table)


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_it_prints_in_110_columns_and_as_escaped_html(name):
    model = build(name)
    model.layers["encoder"].layers["<b>a long name</b>"] = ReLU()
    seen = trace(model, digits_for(model), model)
    lines = str(seen).splitlines()
    assert max(map(len, lines)) <= 110
    rows = lines[2 : 2 + len(seen.table)]
    assert all(" 16x" in row for row in rows) and lines[2 + len(rows)].startswith("std: ")
    assert "<b>" not in seen._repr_html_() and "&lt;/b&gt;" in seen._repr_html_()


class Skip(Layer):
    """y = inner(x) + x."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.remember(self.inner.forward(x) + x)

    def backward(self, dy):
        self.recall(dy)
        return self.inner.backward(dy) + dy


def test_a_model_need_not_be_a_row_of_layers():
    model, x = Skip(Sequential(Linear(7, 7), ReLU())).to(torch.float64), batch(5, 7)
    seen = trace(model, x)
    assert seen.table["name"].tolist() == ["inner.0", "inner.1"]
    mended = copy.deepcopy(model)
    mended.inner[0].bias += 1
    assert trace(model, x, mended).parted == "inner.0"
    assert trace(Linear(7, 7).to(torch.float64), x).table["name"].tolist() == ["Linear"]


REFUSED = {
    "no model": (lambda x: trace(torch.nn.Linear(7, 7), x), "got a Linear"),
    "no layers": (lambda x: trace(Sequential(), x), "at least one layer"),
    "no samples": (lambda x: trace(Sequential(ReLU()), x[:0]), "one or more"),
    "other": (lambda x: trace(Sequential(ReLU()), x, 3), "got a int"),
    "more layers": (lambda x: trace(Sequential(ReLU()), x, Sequential(ReLU(), ReLU())), "1 and 2"),
    "picture": (lambda x: plots.trace_picture(x), "got a Tensor"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_sentence(what):
    ask, words = REFUSED[what]
    with pytest.raises(ScratchaeError) as refusal:
        ask(batch(5, 7))
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_picture_draws_what_the_table_says():
    model = small()
    model[0][1].bias[:4] = -100
    changed = copy.deepcopy(model)
    changed[1][0].bias[0] += 1
    seen = trace(model, batch(11, 7), changed)
    figure = plots.trace_picture(seen)
    figure.draw_without_rendering()
    activations, gradients, dead = figure.axes
    assert activations.lines[0].get_xdata().tolist() == seen.table["spread"].tolist()
    assert gradients.lines[0].get_xdata().tolist() == seen.table["dy_spread"].tolist()
    assert [bar.get_width() for bar in dead.patches] == pytest.approx([0, 0, 0.8, 0, 0])
    assert activations.lines[1].get_ydata()[0] == 3  # the red line, at decoder.0
    assert "decoder.0" in figure.get_supxlabel()


def test_the_picture_of_a_broken_model():
    model = small()
    model[0][1].bias[:] = -100
    figure = plots.trace_picture(trace(model, batch(11, 7)))
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == ["0"]
    model[0][0].weight[:] = math.nan
    figure = plots.trace_picture(trace(model, batch(11, 7)))
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == ["nan"] * 5


@pytest.mark.parametrize(
    "module",
    ["scratchae.checking.trace", "scratchae.checking.trace_table", "scratchae.plots.trace"],
)
def test_the_examples_run(module):
    import sys

    outcome = doctest.testmod(sys.modules[module])
    assert outcome.attempted and not outcome.failed
