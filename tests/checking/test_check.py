"""check: what it says of every kind of function, and how it shows it."""

import pytest
import torch

from scratchae.checking import Report, Row, check, mistakes
from scratchae.errors import ScratchaeError
from scratchae.layers import linear_backward, linear_forward, relu_backward


class Lying(torch.Tensor):
    """A tensor that is equal to everything."""

    __hash__ = None

    def __eq__(self, other):
        return torch.ones_like(self, dtype=torch.bool)


def sentence(function, name="linear_backward"):
    """The one sentence of the first row that is wrong."""
    report = check(name, function)
    assert not report
    said = next(row.sentence for row in report.rows if not row.passed)
    assert "\n" not in said
    return said


def with_dx(change):
    def function(dy, x, weight):
        dx, dweight, dbias = linear_backward(dy, x, weight)
        return change(dx), dweight, dbias

    return function


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda dy, x, weight: None, "returned None"),
        (lambda dy, x, weight: linear_backward(dy, x, weight)[:2], "2 values, expected 3"),
        (lambda dy, x, weight: dy @ weight, "1 value, expected 3"),
        (lambda dy, x: 1, "TypeError"),
        (lambda dy, x, weight: 1 / 0, "ZeroDivisionError in line"),
        (with_dx(lambda dx: None), "dx is None"),
        (with_dx(lambda dx: dx.tolist()), "dx is a list"),
        (with_dx(lambda dx: dx.numpy()), "dx is a ndarray"),
        (with_dx(lambda dx: dx.float()), "dx is float32, expected float64"),
        (with_dx(lambda dx: dx.long()), "dx is int64, expected float64"),
        (with_dx(lambda dx: dx.to("meta")), "dx is on meta"),
        (with_dx(lambda dx: dx.as_subclass(Lying)), "dx is a Lying"),
        (with_dx(lambda dx: dx / 0), "dx has"),
        (with_dx(lambda dx: dx * float("nan")), "dx has NaN"),
        (with_dx(lambda dx: dx * 0), "dx is zero everywhere"),
        (with_dx(lambda dx: -dx), "dx has the wrong sign"),
        (with_dx(lambda dx: 3 * dx), "dx is 3 times too large"),
        (with_dx(lambda dx: dx.mT), "transpose"),
        (with_dx(lambda dx: dx + 1e-3), "dx is wrong in"),
        (with_dx(lambda dx: dx * (1 + 1e-6)), "dx is"),
    ],
)
def test_one_sentence_each(function, words):
    assert words in sentence(function)


def test_a_function_that_is_not_written_yet_says_so():
    def linear_backward(dy, x, weight):
        raise NotImplementedError("your turn: linear_backward")

    assert sentence(linear_backward) == "not written yet: your turn: linear_backward"


def test_each_output_is_judged_by_itself_and_each_corner_scored_by_itself():
    def wrong_in_a_corner(dy, x, weight):
        dx, dweight, dbias = linear_backward(dy, x, weight)
        return dx, dweight, dbias if len(dy) > 1 else 0 * dbias

    report = check("linear_backward", wrong_in_a_corner)
    assert [row.test for row in report.rows if not row.passed] == ["one sample"]
    assert report.score == 1 - 1 / len(report.rows)


def test_two_mistakes_at_once_are_named_each_where_it_shows():
    named = {m.name: m for m in mistakes("linear_backward")}
    one, two = named["dbias_over_outputs"], named["dweight_of_first_sample"]

    def both(dy, x, weight):
        dx = linear_backward(dy, x, weight)[0]
        return dx, two.function(dy, x, weight)[1], one.function(dy, x, weight)[2]

    assert check("linear_backward", both).sentences[0] == two.sentence

    def mended_once(dy, x, weight):
        return (*linear_backward(dy, x, weight)[:2], both(dy, x, weight)[2])

    assert check("linear_backward", mended_once).sentences == [one.sentence]


def test_manners_are_rows_of_their_own():
    def edits(dy, y):
        dy[y <= 0] = 0
        return dy.clone()

    def hands_back_the_same(dy, y):
        return dy.mul_(y.sign())

    kept = {}

    def adds_up(dy, y):
        kept["sum"] = kept.get("sum", 0) + 1
        return relu_backward(dy, y) * min(kept["sum"], 10)

    for function, test in [
        (edits, "inputs stay as they are"),
        (hands_back_the_same, "results have memory of their own"),
        (adds_up, "a second call gives the same"),
    ]:
        wrong = [row.test for row in check("relu_backward", function).rows if not row.passed]
        assert test in wrong


def test_the_name_of_the_function_tells_the_exercise():
    def my_linear_forward(x, weight, bias):
        return linear_forward(x, weight, bias)

    def my_linear_backward(dy, x, weight):
        return linear_backward(dy, x, weight)

    report = check(my_linear_forward, my_linear_backward)
    assert report
    assert list(report.exercises()) == ["linear_forward", "linear_backward"]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (("linaer_backward", abs), "did you mean 'linear_backward'?"),
        ((lambda x: x,), "there is no exercise '<lambda>'"),
        ((3,), "needs functions"),
        (("linear_backward",), "needs functions"),
        ((), "at least one function"),
    ],
)
def test_what_cannot_be_checked_is_answered_by_a_sentence(what, words):
    with pytest.raises(ScratchaeError) as error:
        check(*what)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_the_learners_names_of_arguments_are_free():
    assert check("tanh_backward", lambda upstream, out: upstream * (1 - out**2))


def test_the_report_is_a_table_in_the_terminal_and_html_in_a_notebook():
    report = Report([Row("linear_backward", "<one>", "a < b & c"), Row("linear_backward", "two")])
    assert "1 of 2" in str(report) and "wrong  <one>" in str(report)
    page = report._repr_html_()
    assert "&lt;one&gt;" in page and "a &lt; b &amp; c" in page and "<one>" not in page
    assert all(
        len(line) <= 96 for line in str(check("linear_backward", lambda *a: None)).split("\n")
    )


def test_a_wrong_number_is_told_from_a_mistake_that_gives_no_tensor():
    """Among the mistakes of mse_forward is one that gives a float."""
    assert sentence(lambda p, t: (p - t).square().mean() + 1, "mse_forward")


def test_noise_of_its_own_is_named_and_torchs_generator_stays_where_it_was():
    def sampling_backward(dz, logvar, eps):
        noise = torch.randn(eps.shape, dtype=eps.dtype)
        return dz.clone(), dz * torch.exp(logvar / 2) * noise / 2

    before = torch.random.get_rng_state()
    report = check(sampling_backward)
    assert any("The noise is drawn anew" in sentence for sentence in report.sentences)
    assert torch.equal(torch.random.get_rng_state(), before)
