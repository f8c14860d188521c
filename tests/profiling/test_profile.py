"""The profile counts what a step does exactly, covers every layer, and leaves the model as it was."""

import copy
import html
import sys
from itertools import accumulate

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import _get_current_dispatch_mode

from scratchae import plots
from scratchae.cli import main
from scratchae.cli.app import console
from scratchae.errors import ScratchaeError
from scratchae.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Layer,
    Linear,
    ReLU,
    Sequential,
    Tanh,
    Unflatten,
)
from scratchae.layers.base import parameter
from scratchae.models import build
from scratchae.optim import Adam
from scratchae.profiling import Counter, Rates, profile
from scratchae.profiling.counting import size
from scratchae.profiling.pieces import WARM_UP, count_step, measured_step
from scratchae.profiling.result import digits
from tests.helpers.figures import words

SLOW = Rates(1e6, ((1000, 1e6),))  # a machine on which every part is at its floor
FAST = Rates(1e15, ((10**9, 1e15),))
USUAL = Rates(1e11, ((10**6, 1e11), (10**9, 1e10)))
sizes, counts = st.integers(1, 7), st.integers(1, 3)


def found(model, batch_size=4, input_shape=None):
    """The table of a profile, by part and pass."""
    result = profile(model, batch_size, input_shape=input_shape, steps=1, rates=FAST)
    return result.table.set_index(["part", "pass"])


def counted(layer, x):
    """(forward, backward) of one layer."""
    counter = Counter()
    y = counter.measure("forward", layer.forward, x)
    counter.measure("backward", layer.backward, torch.ones_like(y))
    return counter.counts["forward"], counter.counts["backward"]


@given(N=sizes, I=sizes, O=sizes, bias=st.booleans())
def test_multiply_adds_of_linear(N, I, O, bias):
    forward, backward = counted(Linear(I, O, bias=bias), torch.randn(N, I))
    assert (forward.multiply_adds, backward.multiply_adds) == (N * I * O, 2 * N * I * O)


@settings(max_examples=60)
@given(N=counts, C=counts, O=counts, groups=counts, k=counts, H=st.integers(4, 9), s=counts)
def test_multiply_adds_of_convolution(N, C, O, groups, k, H, s):
    layer = Conv2d(C * groups, O * groups, k, stride=s, padding=1, groups=groups)
    x = torch.randn(N, C * groups, H, H + 1)
    P, Q = ((n + 2 - k) // s + 1 for n in (H, H + 1))
    forward, backward = counted(layer, x)
    expected = N * P * Q * (O * groups) * C * k * k  # every output is a sum over its window
    assert (forward.multiply_adds, backward.multiply_adds) == (expected, 2 * expected)


@settings(max_examples=60)
@given(N=counts, C=counts, O=counts, groups=counts, k=counts, P=st.integers(2, 6), s=counts)
def test_multiply_adds_of_transposed_convolution(N, C, O, groups, k, P, s):
    layer = ConvTranspose2d(O * groups, C * groups, k, stride=s, groups=groups)
    forward, backward = counted(layer, torch.randn(N, O * groups, P, P + 1))
    expected = N * P * (P + 1) * (O * groups) * C * k * k  # every input stamps the kernel
    assert (forward.multiply_adds, backward.multiply_adds) == (expected, 2 * expected)


@pytest.mark.parametrize(("name", "a_sample"), [("fc", 222_664), ("conv", 1_430_000)])
@pytest.mark.parametrize("batch_size", [3, 64])
def test_totals_of_the_models_of_record(name, a_sample, batch_size):
    table = found(build(name), batch_size)
    forward = table.xs("forward", level="pass")["multiply_adds"].sum()
    assert forward == pytest.approx(batch_size * a_sample, rel=0 if name == "fc" else 0.005)
    assert table.xs("backward", level="pass")["multiply_adds"].sum() == 2 * forward


@pytest.mark.parametrize("inference", [False, True])
def test_products_of_vectors_and_stacks_count_too(inference):
    with torch.inference_mode(inference):
        a, v, stack = torch.ones(5, 7), torch.ones(7), torch.ones(2, 3, 5)
        for call, expected in [
            (lambda: a @ v, 35),
            (lambda: v @ v, 7),
            (lambda: torch.addmv(torch.ones(5), a, v), 35),
            (lambda: stack @ a, 2 * 3 * 5 * 7),
            (lambda: torch.einsum("bij,jk->bik", stack, a), 2 * 3 * 5 * 7),
            (lambda: torch.mm(a, a.T, out=torch.empty(5, 5)), 175),
            (lambda: a * a, 0),
        ]:
            counter = Counter()
            counter.measure("it", call)
            assert counter.counts["it"].multiply_adds == expected


@given(N=sizes, C=sizes)
def test_bytes_of_a_relu(N, C):
    forward, backward = counted(ReLU(), torch.randn(N, C))
    x = 4 * N * C  # float32
    assert (forward.traffic, forward.new, forward.peak) == (2 * x, x, x)  # reads x, writes y
    assert (backward.traffic, backward.new, backward.peak) == (3 * x, 2 * x, 2 * x)  # y.sign() too


@given(N=sizes, I=sizes, O=sizes)
def test_bytes_of_a_linear(N, I, O):
    layer = Linear(I, O).to(torch.float64)
    forward, backward = counted(layer, torch.randn(N, I, dtype=torch.float64))
    x, y, parameters = 8 * N * I, 8 * N * O, 8 * (I * O + O)
    weight = parameters - 8 * O
    assert (forward.traffic, forward.new) == (x + parameters + y, y)
    # reads dy, x, the weight and the gradients so far; writes dx and the gradients
    assert backward.traffic == y + x + weight + x + 2 * parameters
    assert (backward.new, backward.peak) == (x + parameters, x + parameters)


def test_views_move_nothing():
    forward, backward = counted(Flatten(), torch.randn(3, 5, 2))
    assert forward == backward
    assert vars(forward) == dict.fromkeys(vars(forward), 0)


def test_a_temporary_counts_while_it_is_there():
    def three_in_a_row(x):
        for _ in range(3):
            x = x + 1
        return x

    counter = Counter()
    y = counter.measure("it", three_in_a_row, torch.ones(100))
    count = counter.counts["it"]
    assert (count.operators, count.traffic, count.new, count.peak) == (3, 800, 1200, 800)
    assert counter.alive() == {"it": y.nbytes} and counter.peak == 800
    del y
    assert counter.alive() == {} and counter.now == 0


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_the_peak_is_that_of_torch_s_own_allocator(name):
    model = build(name)
    parts, x = list(model.leaves()), torch.rand(9, *model.input_shape)
    optimizer = Adam(model.parameters(), weight_decay=1e-5)
    counter, _ = count_step(model, parts, optimizer, x, x)
    model.forget()
    calling = measured_step(model, parts, optimizer, lambda key, call, *args: call(*args))
    with torch.profiler.profile(profile_memory=True) as profiler, calling as step:
        step(x, x)
    events = profiler.profiler.kineto_results.events()
    sizes = [event.nbytes() for event in events if event.name() == "[memory]"]
    peak = max(accumulate(sizes))
    assert peak == pytest.approx(counter.peak, abs=100)  # numbers that operators make of Python's


def test_overwriting_reads_nothing_and_adding_in_place_reads():
    x = torch.ones(10, 10)
    for call, expected in [
        (lambda: x.zero_(), 400),
        (lambda: x.fill_(2), 400),
        (lambda: x.add_(1), 800),
        (lambda: torch.neg(x[:5], out=x[5:]), 400),
        (lambda: x[:5].copy_(x[5:]), 400),
        (lambda: torch.zeros_like(x), 400),
        (lambda: x.new_zeros(1), 4),
    ]:
        counter, kept = Counter(), []
        counter.measure("it", lambda call=call, kept=kept: kept.append(call()))
        assert counter.counts["it"].traffic == expected


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=6))
def test_memory_that_is_touched_twice_counts_once(pieces):
    spans = [(first, first + length) for first, length in pieces]
    assert size(spans) == len({byte for first, behind in spans for byte in range(first, behind)})


def test_every_leaf_appears_once_and_in_order():
    inner = Sequential({"a": Linear(6, 5), "b": Sequential(BatchNorm1d(5), ReLU())})
    model = Sequential({"in": inner, "out": Sequential(Linear(5, 6), Tanh())})
    result = profile(model, 3, input_shape=(6,), steps=1, rates=FAST)
    names = [name for name, _ in model.leaves()]
    assert names == ["in.a", "in.b.0", "in.b.1", "out.0", "out.1"]
    assert result.parts["part"].tolist() == [*names, "loss", "optimiser"]
    passes = [("forward", "backward")] * (len(names) + 1) + [("update",)]
    assert result.table["pass"].tolist() == [one for pair in passes for one in pair]
    assert result.parts["layer"].tolist() == [
        *("Linear(6, 5)", "BatchNorm1d(5)", "ReLU()", "Linear(5, 6)", "Tanh()", "MSELoss()", "Adam")
    ]


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_times_are_positive_and_the_total_is_their_sum(name):
    result = profile(build(name), 5, steps=2, rates=FAST)
    assert (result.table["ms"] > 0).all() and set(result.step_ms) == {"eager"}
    assert result.step_ms["eager"] > 0
    for column in ("ms", "floor_ms", "multiply_adds", "traffic", "operators", "kept"):
        assert result.total[column] == pytest.approx(result.table[column].sum())
        assert result.parts[column].sum() == pytest.approx(result.table[column].sum())
    assert result.total["forward"] + result.total["backward"] < result.total["ms"]
    assert (result.table["peak"] <= result.table["new"]).all()
    assert result.table["kept"].sum() <= result.peak <= result.table["new"].sum()


def test_a_floor_is_the_slower_of_multiplying_and_moving():
    rates = Rates(100.0, ((1000, 80.0), (4000, 20.0)))
    assert rates.floor(500, 80) == 5
    assert rates.floor(50, 800) == 10
    assert rates.floor(0, 4000) == rates.floor(0, 2000) * 2 == 200
    assert rates.floor(0, 40_000) == 2000  # as fast as the largest copy
    table = profile(Sequential(Linear(8, 8)), 2, input_shape=(8,), steps=1, rates=rates).table
    for row in table.to_dict("records"):
        assert row["floor_ms"] == 1e3 * rates.floor(row["multiply_adds"], row["traffic"])
        assert row["ratio"] == row["ms"] / row["floor_ms"]


def test_what_backward_needs_is_kept_by_the_layer_that_made_it():
    model = Sequential(Conv2d(1, 2, 3), BatchNorm2d(2), ReLU(), Flatten(), Linear(18, 3))
    table = found(model, 4, (1, 5, 5))
    kept = {part: table.loc[part, "forward"]["kept"] for part in "01234"}
    image = 4 * 4 * 2 * 3 * 3
    assert kept["0"] == 0  # BatchNorm keeps x̂ instead of what it was given
    assert kept["1"] == image + 4 * 2  # x̂ and the variance
    assert kept["2"] == image  # its own output
    assert kept["3"] == image  # channels lie last, so Flatten has to copy, for Linear
    assert kept["4"] == 4 * 4 * 3  # the output, for the loss
    assert (table.xs("backward", level="pass")["kept"] == 0).all()


class Scale(Layer):
    """y = x · s: a layer of one's own, which says nothing about what it costs."""

    parameter_names = ("scale",)

    def __init__(self, width):
        super().__init__()
        self.scale = parameter(torch.ones(width))

    def forward(self, x):
        return self.remember(x @ torch.diag(self.scale), x)

    def backward(self, dy):
        (x,) = self.recall(dy)
        self.scale.grad += (dy * x).sum(0)
        return dy * self.scale


class Skip(Sequential):
    """y = x + f(x)."""

    def forward(self, x):
        return x + super().forward(x)

    def backward(self, dy):
        return dy + super().backward(dy)


def test_layers_of_ones_own_are_covered():
    model = Sequential(Scale(5), Skip(Linear(5, 5), Tanh()))
    table = found(model, 3, (5,))
    assert table.loc["0", "forward"]["multiply_adds"] == 3 * 5 * 5
    assert table.loc["1", "forward"]["multiply_adds"] == 3 * 5 * 5
    assert table.loc["1", "backward"]["multiply_adds"] == 2 * 3 * 5 * 5
    assert table.loc["0", "backward"]["operators"] == 4  # product, sum, into the gradient, product
    assert table["layer"].tolist()[:3:2] == ["Scale(...)", "Skip(...)"]


class Spy(Tanh):
    """Writes down what goes on around it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __deepcopy__(self, memo):
        return self

    def forward(self, x):
        flushed = (torch.tensor([1e-38]) / 10 == 0).item()
        watched = _get_current_dispatch_mode() is not None
        self.seen.append((watched, flushed, self.training, torch.get_num_threads()))
        return super().forward(x)


def test_what_is_timed_runs_unwatched_with_denormals_flushed_and_that_many_threads():
    spy, before = Spy(), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        profile(Sequential(spy), 3, input_shape=(4,), steps=2, threads=1, rates=FAST)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    timed = 2 * (WARM_UP + 2)  # each step once by its parts and once as a whole
    assert [watched for watched, *_ in spy.seen] == [False, True, *[False] * timed]
    assert {tuple(rest) for _, *rest in spy.seen} == {(True, True, 1)}


@pytest.mark.parametrize("name", ["fc", "conv"])
@pytest.mark.parametrize("inference", [False, True])
def test_the_model_is_left_as_it_was(name, inference):
    model = build(name).eval()
    with torch.inference_mode(inference):  # what forward keeps may be tensors of that mode
        model.backward(model.forward(torch.rand(2, *model.input_shape)))
    state = copy.deepcopy(model.state_dict())
    gradients = [p.grad.clone() for p in model.parameters()]
    places = [(p.data_ptr(), p.grad.data_ptr()) for p in model.parameters()]
    threads, denormals = torch.get_num_threads(), torch.tensor([1e-39]) / 2
    random = torch.random.get_rng_state()
    profile(model, 3, steps=2, rates=FAST)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert all(torch.equal(a, p.grad) for a, p in zip(gradients, model.parameters(), strict=True))
    assert places == [(p.data_ptr(), p.grad.data_ptr()) for p in model.parameters()]
    assert not any(layer.training for _, layer in model.leaves())
    assert torch.get_num_threads() == threads and torch.equal(denormals, torch.tensor([1e-39]) / 2)
    assert torch.equal(random, torch.random.get_rng_state())
    model.backward(torch.rand(2, *model.input_shape))  # what forward kept is there still


def test_a_model_without_parameters_and_one_of_another_output_shape():
    result = profile(Sequential(Unflatten(1, (2, 3))), 4, input_shape=(6,), steps=1, rates=FAST)
    assert result.parts["part"].tolist() == ["0", "loss"]
    moved = found(Sequential(Linear(6, 2).to(torch.float64)), 4, (6,)).loc["0", "forward"]
    assert moved["traffic"] == 8 * (4 * 6 + 6 * 2 + 2 + 4 * 2)


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        (Linear(3, 3), {"input_shape": (3,)}, "expects a Sequential or an Autoencoder"),
        (Sequential(), {"input_shape": (3,)}, "an empty Sequential"),
        (Skip(Linear(3, 3)), {"input_shape": (3,)}, "got a Skip"),
        (Sequential(Tanh()), {}, "give input_shape"),
        (Sequential({"loss": Tanh()}), {"input_shape": (3,)}, "rename these layers of the model"),
        (Sequential(Tanh()), {"input_shape": (3,), "batch_size": 0}, "batch_size to be an integer"),
        (Sequential(Tanh()), {"input_shape": (3,), "steps": 1.5}, "steps to be an integer"),
        (Sequential(Tanh()), {"input_shape": (3,), "threads": 10**6}, "threads to be an integer"),
        (Sequential(Linear(4, 4)), {"input_shape": (3,)}, r"expects \(..., 4\) but got \(64, 3\)"),
        (
            Sequential(Tanh()),
            {"input_shape": (2**30,), "batch_size": 2**29},
            "does not fit into the memory: use a smaller one",
        ),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(model, options, sentence):
    with pytest.raises(ScratchaeError, match=sentence):
        profile(model, rates=FAST, **options)


def test_the_table_and_the_notebook_say_the_same():
    model = Sequential(Linear(40, 40), Skip(Tanh()))
    result = profile(model, 50, input_shape=(40,), steps=1, rates=FAST)
    text, page = str(result), result._repr_html_()
    assert repr(result) == text and max(map(len, text.splitlines())) <= 110
    for part in ("Linear(40, 40)", "Skip(...)", "loss", "optimiser", "Adam", "total"):
        assert part in text and part in page
    total = result.cells()[-1]
    assert "0.240" in total  # 3 · 50 · 40 · 40 multiply-adds, in millions
    assert all(cell in text and html.escape(cell) in page for cell in total)
    assert all(sentence in page for sentence in result.sentences())
    assert f"{result.furthest.split(',')[0]}, " in text and "is furthest above its floor" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.012345, "0.0123"), (1.5, "1.5"), (99.96, "100"), (1234.5, "1,234"), (0, "0")],
)
def test_numbers_have_three_digits_or_all_before_the_point(value, expected):
    assert digits(value) == expected


def test_the_part_furthest_above_its_floor_is_named():
    result = profile(build("fc"), 2, steps=1, rates=FAST)
    above = result.parts.set_index("part").eval("ms - floor_ms")
    assert result.furthest.startswith(f"{above.idxmax()}, ")
    assert profile(build("fc"), 2, steps=1, rates=SLOW).furthest == "no part is above its floor"


@pytest.mark.parametrize("rates", [FAST, SLOW])
def test_the_picture_has_a_bar_for_every_pass_and_a_mark_for_every_floor(rates):
    result = profile(build("fc"), 2, steps=1, rates=rates)
    figure = plots.profile_picture(result)
    (ax,) = figure.axes
    table, parts = result.table, result.parts
    assert len(ax.patches) == len(table)
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(table["ms"].sum())
    ends = [bar.get_x() + bar.get_width() for bar in ax.patches]
    assert max(ends) == pytest.approx(parts["ms"].max())
    assert [s[0][0] for s in ax.collections[0].get_segments()] == parts["floor_ms"].tolist()
    written = words(figure)
    for word in ("forward", "backward", "update", "floor", "encoder.0  Linear", "milliseconds"):
        assert word in written
    assert result.headline in written
    boxes = [text.get_window_extent() for text in ax.texts]
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)


def test_the_picture_wants_a_profile():
    with pytest.raises(ScratchaeError, match="profile_picture expects the result of profile"):
        plots.profile_picture([1, 2])


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """call("profile", ...) -> (exit code, stdout, stderr), in an empty folder, quickly."""
    monkeypatch.chdir(tmp_path)
    module = sys.modules["scratchae.profiling.profile"]  # the name is the function's, too
    monkeypatch.setattr(module, "measure_rates", lambda *a: USUAL)

    def run(*given, columns=110):
        monkeypatch.setattr(console, "_width", columns)  # it looked at COLUMNS when it was made
        monkeypatch.setattr(sys, "argv", ["scratchae", "profile", *map(str, given)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(("model", "columns"), [("fc", 80), ("conv", 80), ("conv", 110)])
def test_the_command_prints_the_table_and_draws_the_picture(call, tmp_path, model, columns):
    code, out, _ = call(
        *(model, "--batch-size", 3, "--threads", 1, "--out", "p.png"), columns=columns
    )
    assert code == 0
    assert f"{model}, a batch of 3, float32, CPU, 1 thread" in out and "Picture: p.png" in out
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    lines = out.splitlines()
    assert max(map(len, lines)) <= columns
    total = next(line for line in lines if line.split()[:1] == ["total"])
    assert "…" not in total and len(total.split()) == (7 if columns == 80 else 10)
    assert ("kept:" in out) == (columns == 110)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["convv"], "did you mean 'conv'?"),
        (["fc", "--batch-size", 0], "batch_size to be an integer"),
        (["fc", "--threads", 0], "threads to be an integer"),
        (["fc", "--device", "nowhere"], "there is no device 'nowhere'"),
        (["fc", "--batch-size", 2, "--out", "p.txt"], "cannot write a picture to p.txt"),
    ],
)
def test_mistakes_on_the_command_line_are_a_sentence_and_exit_code_2(call, given, sentence):
    code, _, err = call(*given)
    assert code == 2
    assert sentence in err and "Traceback" not in err and len(err.splitlines()) == 1


def test_the_help_text_has_an_example(call):
    code, out, _ = call("--help")
    assert code == 0 and "Example: scratchae profile" in out


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu_the_counts_are_the_same():
    counts = ["multiply_adds", "traffic"]
    on_gpu = profile(build("fc").to("cuda"), 64, steps=2)
    assert (on_gpu.table["ms"] > 0).all() and torch.cuda.get_device_name() in on_gpu.headline
    assert on_gpu.table[counts].equals(profile(build("fc"), 64, steps=2, rates=FAST).table[counts])
