"""gradcheck: no false alarm on any layer, every small error found, and nothing of the caller's moved."""

import copy
import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae import layers, models
from scratchae.checking.gradcheck import gradcheck
from scratchae.checking.layouts import LAYOUTS, random_tensor
from scratchae.errors import ScratchaeError
from scratchae.layers import Linear
from scratchae.layers.batchnorm import batchnorm_backward, batchnorm_forward
from scratchae.layers.conv2d import conv2d_backward, conv2d_forward
from scratchae.layers.linear import linear_backward, linear_forward
from scratchae.losses import MSELoss
from tests.helpers.cases import CASES, Case
from tests.helpers.tensors import unchanged

module = importlib.import_module("scratchae.checking.gradcheck")
KINKED = ("ReLU", "LeakyReLU", "MaxPool2d")
REAL = (*KINKED, "GELU", "Softplus")  # comparisons and torch.erf take no complex numbers
SMALL = 1e-6


def prepared(case: Case):
    """A layer with random weights in float64, in the mode of the case, and an input."""
    layer, _ = case.pair()
    return layer.train(case.training[0]), case.x(case.shapes[0])


def assert_no_alarm(name: str, case: Case) -> None:
    layer, x = prepared(case)
    result = gradcheck(layer, x, seed=case.seed)
    assert result, f"{case}\n{result}"
    for row in result.rows:
        analytic = name not in REAL and row.size
        assert row.method == "complex step" or not analytic, f"{case}\n{result}"


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=50)
@given(data=st.data())
def test_no_false_alarm(name, data):
    with pytest.MonkeyPatch.context() as patch:  # a smaller sample, for time
        patch.setattr(module, "MOST", 4)
        patch.setattr(module, "LEAST", 4)
        assert_no_alarm(name, data.draw(CASES[name]))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=1000)
@given(data=st.data())
def test_no_false_alarm_in_a_thousand_cases(name, data):
    assert_no_alarm(name, data.draw(CASES[name]))


class OnlyReal:
    """A layer whose forward refuses complex numbers, so that differences have to do."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        assert not x.is_complex()
        return self.layer.forward(x)

    def backward(self, dy):
        return self.layer.backward(dy)

    def named_parameters(self):
        return self.layer.named_parameters()

    def penalties(self):
        return self.layer.penalties()

    def state_dict(self):
        return self.layer.state_dict()


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=6)
@given(data=st.data())
def test_no_false_alarm_by_central_differences(name, data):
    case = data.draw(CASES[name])
    layer, x = prepared(case)
    result = gradcheck(OnlyReal(layer), x, seed=case.seed)
    assert result, f"{case}\n{result}"
    assert all(row.method == "central differences" for row in result.rows if row.size)


class OffBy(OnlyReal):
    """A layer one of whose gradients has its largest element off by a relative error."""

    def __init__(self, layer, place, error, real=False):
        super().__init__(layer)
        self.place, self.error, self.real = place, error, real

    def forward(self, x):
        assert not (self.real and x.is_complex())
        return self.layer.forward(x)

    def backward(self, dy):
        dx = self.layer.backward(dy)
        gradients = [dx, *(p.grad for p in self.layer.parameters())]
        wrong = gradients[self.place].clone(memory_format=torch.contiguous_format)
        wrong.view(-1)[wrong.abs().argmax()] *= 1 + self.error
        if self.place:
            gradients[self.place].copy_(wrong)
            return dx
        return wrong


def legible(row) -> bool:
    """Whether a relative error of 1e-6 in it is above the rounding of y, which is about 1."""
    least = 1e-7 if row.method == "complex step" else 0.1
    return row.got is not None and abs(row.got) > least and row.uncertainty is None


@pytest.mark.parametrize("real", [False, True], ids=["complex", "central"])
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=3)
@given(data=st.data())
def test_a_relative_error_of_a_millionth_is_found_in_every_gradient(name, real, data):
    case = data.draw(CASES[name])
    layer, x = prepared(case)
    layer.zero_grad()
    right = gradcheck(OnlyReal(layer) if real else layer, x, seed=3)
    for place, row in enumerate(right.rows):
        if legible(row) and row.checked == row.size and not row.kinks:
            result = gradcheck(OffBy(layer, place, SMALL, real), x, seed=3)
            assert [r.ok for r in result.rows] == [i != place for i in range(len(right.rows))]
            assert result.rows[place].error == pytest.approx(SMALL, rel=0.3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d"])
@settings(max_examples=10)
@given(data=st.data())
def test_a_batchnorm_whose_dx_is_zero_is_found(name, training, data):
    layer, x = prepared(data.draw(CASES[name]))
    x = torch.randn(5, *x.shape[1:], dtype=x.dtype)
    layer.train(training).backward = lambda dy: torch.zeros_like(x)
    result = gradcheck(layer, x)
    assert not result
    assert "dx is zero everywhere" in result.diagnosis


@pytest.mark.parametrize("N", [1, 5])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_a_batch_of_one(layout, N):
    g = torch.Generator().manual_seed(0)
    for layer, shape in (
        (layers.Linear(7, 3, generator=g), (N, 7)),
        (layers.Conv2d(2, 3, 3, stride=2, padding=1, generator=g), (N, 2, 5, 7)),
        (layers.BatchNorm2d(3), (N, 3, 5, 7)),
        (layers.ReLU(), (N, 7)),
    ):
        x = random_tensor(shape, layout, g)
        assert gradcheck(layer, x)
        assert gradcheck(layer, x.float())
    wrong = gradcheck(torch.sin, random_tensor((N, 7), layout, g), backward=lambda dy, x: 0 * x)
    assert "dx is zero everywhere" in wrong.diagnosis


def test_kinks_are_stepped_round_or_left_out_and_counted():
    x = torch.tensor([0.0, 1.0, -2.0, 0.0, 1e-4, -1e-6, 3.0])
    result = gradcheck(layers.ReLU(), x)
    assert result and result.rows[0].kinks == 2
    assert "2 of 7 elements lie on a kink and were omitted" in str(result)
    upside_down = gradcheck(lambda x: x.relu(), x, backward=lambda dy, x: dy * (x < 0))
    assert not upside_down and upside_down.rows[0].kinks == 2
    all_kinks = gradcheck(layers.ReLU(), torch.zeros(3))
    assert all_kinks and all_kinks.rows[0].kinks == 3


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_the_models(name):
    model = models.build(name)
    x = torch.randn(2, *model.input_shape, generator=torch.Generator().manual_seed(1))
    result = gradcheck(model, x)
    assert result, result
    assert len(result.rows) == 1 + len(model.parameters())
    assert "chosen at random, and one direction" in str(result)


def test_an_error_that_the_sample_does_not_hold_is_seen_along_a_direction():
    def backward(dy, x):
        dx = dy * x.cos()
        dx[:7] *= 1.1
        return dx

    x = torch.linspace(0, 1, 3000)
    assert gradcheck(lambda x: x.sin(), x, backward=lambda dy, x: dy * x.cos())
    found = [gradcheck(lambda x: x.sin(), x, backward=backward, seed=seed) for seed in range(6)]
    assert not any(found)
    assert any("elements that were not compared" in result.diagnosis for result in found)


def test_pairs_of_functions_go_by_the_complex_step():
    g = torch.Generator().manual_seed(0)
    x, w, b = (random_tensor(shape, "plain", g) for shape in ((5, 3), (2, 3), (2,)))
    image, kernel = (random_tensor(shape, "plain", g) for shape in ((2, 3, 5, 7), (2, 3, 3, 3)))

    def batchnorm(dy, x, w, b):
        _, xhat, _, var = batchnorm_forward(x, w, b)
        return batchnorm_backward(dy, xhat, w, var)

    for result in (
        gradcheck(linear_forward, x, w, b, backward=lambda dy, x, w, b: linear_backward(dy, x, w)),
        gradcheck(
            lambda x, w, b: conv2d_forward(x, w, b, 2, 1),
            *(image, kernel, b),
            backward=lambda dy, x, w, b: conv2d_backward(dy, x, w, 2, 1),
        ),
        gradcheck(
            lambda x, w, b: batchnorm_forward(x, w, b)[0],
            *(image, torch.ones(3), torch.zeros(3)),
            backward=batchnorm,
        ),
    ):
        assert result and {row.method for row in result.rows} == {"complex step"}
    assert [row.name for row in result.rows] == ["x", "w", "b"]


def test_code_that_is_not_analytic_falls_back():
    x = torch.randn(7, generator=torch.Generator().manual_seed(0))
    for f, slope in (
        (lambda x: x.abs() * x, lambda x: 2 * x.abs()),  # real for complex x
        (lambda x: x * x.conj(), lambda x: 2 * x),  # complex, not analytic
        (lambda x: x.clamp(min=0) ** 2, lambda x: 2 * x.clamp(min=0)),  # refuses complex x
        (lambda x: x.real**2, lambda x: 2 * x),
    ):
        result = gradcheck(f, x, backward=lambda dy, x, slope=slope: dy * slope(x))
        assert result and result.rows[0].method == "central differences", result
        assert not gradcheck(f, x, backward=lambda dy, x: 0 * dy)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=6)
@given(data=st.data())
def test_the_callers_layer_and_tensors_are_unchanged(name, data):
    layer, x = prepared(data.draw(CASES[name]))
    y = layer.forward(x)
    layer.backward(torch.ones_like(y))
    saved, state = layer.saved, layer.state_dict()
    grads = {f"d{i}": p.grad for i, p in enumerate(layer.parameters())}
    attributes, random = copy.copy(vars(layer)), torch.get_rng_state()
    with unchanged(x=x, **state, **grads):
        gradcheck(layer, x)
    assert layer.saved is saved and vars(layer) == attributes
    assert torch.equal(torch.get_rng_state(), random)


def test_the_loss():
    prediction, target = torch.randn(2, 5, 3).double()
    result = gradcheck(MSELoss(), prediction, target)
    assert result and [row.name for row in result.rows] == ["prediction"]
    loss = MSELoss()
    loss.backward = lambda: (prediction - target) * 2 / len(prediction)
    assert gradcheck(loss, prediction, target).diagnosis == (
        "dprediction is 3 times too large: that is the number of values in a sample of prediction."
    )


class Lying(torch.Tensor):
    """A tensor that is equal to everything."""

    __hash__ = None

    def __eq__(self, other):
        return torch.ones_like(self, dtype=torch.bool)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda dx, dw, db: None, "gave 1 gradient but should give 3"),
        (lambda dx, dw, db: (dx, dw), "gave 2 gradients but should give 3"),
        (lambda dx, dw, db: (None, dw, db), "dx is None"),
        (lambda dx, dw, db: (dx.tolist(), dw, db), "dx is a list"),
        (lambda dx, dw, db: (dx.as_subclass(Lying), dw, db), "dx is a Lying"),
        (lambda dx, dw, db: (dx.to("meta"), dw, db), "dx is on meta"),
        (lambda dx, dw, db: (dx.long(), dw, db), "dx is int64"),
        (lambda dx, dw, db: (dx.float(), dw, db), "dx is float32"),
        (lambda dx, dw, db: (dx * float("nan"), dw, db), "dx has NaN in 21 of 21 elements"),
        (lambda dx, dw, db: (dx.T, dw, db), "transpose it"),
        (lambda dx, dw, db: (0 * dx, dw, db), "dx is zero everywhere"),
        (lambda dx, dw, db: (dx, -dw, db), "has the wrong sign"),
        (lambda dx, dw, db: (dx, dw, db / 7), "7 times too small: that is the batch size."),
        (lambda dx, dw, db: (dx, dw, db.expand(4, 5) / 4), "expected (5,): sum over axis 0."),
        (lambda dx, dw, db: (dx, dw.flip(1), db), "dweight is flipped along axis 1."),
        (lambda dx, dw, db: (dx, dw.reshape(3, 5), db), "expected (5, 3): the numbers are right"),
        (lambda dx, dw, db: (dx, dw + torch.eye(5, 3), db), "in 3 of 15 elements, first"),
    ],
)
def test_what_is_no_gradient_gets_one_sentence(change, words):
    x, weight, bias = torch.randn(7, 3), torch.randn(5, 3), torch.randn(5)
    result = gradcheck(
        *(linear_forward, x, weight, bias),
        backward=lambda dy, x, w, b: change(*linear_backward(dy, x, w)),
    )
    assert not result
    assert words in result.diagnosis and "\n" not in result.diagnosis


def test_a_wrong_border_and_exchanged_axes_are_told_as_in_a_check():
    image = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0))

    def border(dy, x):
        dx = dy * x.cos()
        dx[:, :, 0] *= 2
        return dx

    for backward, words in (
        (border, "dx is wrong only at the border (the first row, "),
        (
            lambda dy, x: (dy * x.cos()).mT,
            "dx has its axes exchanged: permute them to (0, 1, 3, 2)",
        ),
        (lambda dy, x: (dy * x.cos()) * (1 + 2e-6), "dx is right only to 2e-06"),
    ):
        assert words in gradcheck(torch.sin, image, backward=backward).diagnosis


def test_the_notebooks_page_escapes_what_it_shows():
    def forward(x):
        return x.sin()

    forward.__name__ = "<script>"
    page = gradcheck(forward, torch.randn(3), backward=lambda dy, x: dy)._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_integers_are_refused_in_one_sentence_and_float32_is_checked_in_float64():
    with pytest.raises(ScratchaeError, match="floating-point"):
        gradcheck(Linear(3, 5), torch.ones(4, 3, dtype=torch.int64))
    assert gradcheck(Linear(3, 5), torch.randn(4, 3))
