"""diagnose says the most useful true thing: each kind is found, and what is said is so."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.checking import diagnose

G = torch.Generator().manual_seed(0)
X = torch.randn(5, 3, generator=G, dtype=torch.float64)
IMAGE = torch.randn(2, 3, 5, 7, generator=G, dtype=torch.float64)


def noise(*shape):
    return torch.randn(shape, generator=G, dtype=torch.float64)


BORDER = IMAGE.clone()
BORDER[:, :, -1] += 1
NAN = X.clone()
NAN[1, 2] = float("nan")
INF = X.clone()
INF[0, 0] = float("inf")
KEPT = noise(4, 5, 3)
ONE = torch.zeros_like(X)
ONE[3, 1] = 1


@pytest.mark.parametrize(
    ("got", "expected", "sentence"),
    [
        (None, X, "d is None: compute it and return it"),
        (2.0, X, "d is a float, expected a torch.Tensor"),
        (X.float(), X, "d is float32, expected float64: keep the dtype of the inputs"),
        (X.to("meta"), X, "d is on meta, expected cpu: create it on the device of the inputs"),
        (X.T, X, "d has shape (3, 5), expected (5, 3): transpose it"),
        (noise(3, 5), X, "d has shape (3, 5), expected (5, 3): its axes are exchanged, and its"),
        (KEPT, KEPT.sum(0), "d has shape (4, 5, 3), expected (5, 3): sum over axis 0"),
        (KEPT, KEPT.mean((0, 1)), "d has shape (4, 5, 3), expected (3,): average over axis 0, 1"),
        (KEPT.movedim(0, 2), KEPT, "d has shape (5, 3, 4), expected (4, 5, 3): permute its axes"),
        (X.flatten(), X, "d has shape (15,), expected (5, 3): the numbers are right, reshape it"),
        (noise(2), X, "d has shape (2,), expected (5, 3)"),
        (NAN, X, "d has NaN in 1 of 15 elements, first at [1, 2]"),
        (INF, X, "d has infinity in 1 of 15 elements, first at [0, 0]"),
        (0 * X, X, "d is zero everywhere"),
        (-X, X, "d has the wrong sign"),
        (2 * X, X, "d is 2 times too large"),
        (X / 5, X, "d is 5 times too small"),
        (-3 * X, X, "d is 3 times too large, and has the wrong sign"),
        (1.5 * X, X, "d is 1.5 times too large"),
        (IMAGE.flip(3), IMAGE, "d is flipped along axis 3"),
        (IMAGE.flip(2, 3), IMAGE, "d is flipped along axis 2, 3"),
        (
            IMAGE[:, :, :, :5].mT,
            IMAGE[:, :, :, :5],
            "d has its axes exchanged: permute them to (0, 1, 3, 2)",
        ),
        (BORDER, IMAGE, "d is wrong only at the border (the last row, the first column, the last"),
        (X.float().double(), X, "d is right only to"),
        (X + 2 * ONE, X, "d is wrong in 1 of 15 elements, at [3, 1]: got "),
        (
            X + 2 * ONE + torch.eye(5, 3),
            X,
            "d is wrong in 4 of 15 elements, first at [0, 0], most at",
        ),
        (X * (1 - ONE), X, "d is 0 in 1 of 15 elements, where it should not be, first at [3, 1]"),
        (X[:3].T, X[:3], "d has its axes exchanged: transpose it"),
        (X + torch.eye(5, 3), X, "d is wrong in 3 of 15 elements, first and most at ["),
    ],
)
def test_each_kind_has_its_sentence(got, expected, sentence):
    said = diagnose(got, expected, "d")
    assert said.startswith(sentence), said
    assert "\n" not in said


def test_a_factor_is_explained_by_the_sizes_that_it_is_equal_to():
    said = diagnose(5 * X[:1], X[:1], "dx", {"dy": noise(5, 4)})
    assert said == "dx is 5 times too large: that is the batch size"
    either = diagnose(4 * X[:1], X[:1], "dx", {"dy": noise(4, 4)})
    assert either == (
        "dx is 4 times too large: that is the batch size or the number of values in a sample of dy"
    )


def test_a_vector_has_no_batch_size():
    said = diagnose(7 * X, X, "value", {"value": noise(7)})
    assert said == "value is 7 times too large: that is the number of elements of value"


def test_an_own_size_explains_a_factor_if_no_argument_does():
    said = diagnose(15 * X, X, "dweight", {"dy": noise(7, 2)})
    assert said == "dweight is 15 times too large: that is the number of its elements"


def test_a_named_mistake_comes_before_a_factor_and_after_zeros_and_shapes():
    assert diagnose(2 * X, X, "d", named="N.") == "N."
    assert "zero" in diagnose(0 * X, X, "d", named="N.")
    assert "shape" in diagnose(X.T, X, "d", named="N.")


@given(seed=st.integers(0, 2**32), scale=st.sampled_from([1e-12, 1.0, 1e9]))
def test_nothing_is_said_of_what_is_right_to_rounding(seed, scale):
    x = scale * torch.randn(7, 3, generator=torch.Generator().manual_seed(seed)).double()
    assert diagnose(x * (1 + 1e-13), x) == ""
    assert diagnose(x.float(), x.float() * (1 + 1e-7)) == ""


@given(seed=st.integers(0, 2**32), factor=st.floats(-50, 50).filter(lambda f: abs(f) > 1e-3))
def test_a_factor_that_is_named_is_the_factor(seed, factor):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)).double()
    said = diagnose(factor * x, x, "d")
    if abs(factor - 1) < 1e-9:
        assert said == ""
    elif abs(factor + 1) < 1e-6:
        assert "wrong sign" in said
    elif "times too" in said:
        number = float(said.split(" times")[0].split()[-1])
        ratio = abs(factor) if "large" in said else 1 / abs(factor)
        assert number == pytest.approx(ratio, rel=1e-3)
        assert ("sign" in said) == (factor < 0)
