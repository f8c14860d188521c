"""The gate: our own checks, run against every mistake of the catalogue and against right versions."""

from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from scratchae.checking import EXERCISES, Mistake, catalogue, check, mistakes
from scratchae.checking.execution import agree, run, tolerance_of
from scratchae.checking.exercises import case_strategy
from scratchae.checking.mistake import add_table, find_mistake, forget
from scratchae.errors import ScratchaeError

CATALOGUE = mistakes()


def called(mistake):
    return f"{mistake.exercise}-{mistake.name}"


@pytest.mark.parametrize("mistake", CATALOGUE, ids=called)
def test_every_mistake_is_caught_and_gets_its_own_sentence_and_no_other(mistake):
    report = check(mistake.exercise, mistake.function)
    assert not report
    assert report.sentences == [mistake.sentence]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_other_seeds_too_no_mistake_gets_the_sentence_of_another(seed):
    for mistake in CATALOGUE:
        report = check(mistake.exercise, mistake.function, seed=seed)
        assert not report, called(mistake)
        others = {m.sentence for m in mistakes(mistake.exercise)} - {mistake.sentence}
        assert not others & set(report.sentences), called(mistake)


STOPS = {  # those that stop with an error in some case; all others give a result in every case
    ("conv2d_forward", "dilation_one_too_large"),
    ("conv2d_forward", "padding_ignored"),
    ("conv_transpose2d_forward", "convolution_instead"),
    ("linear_forward", "none_not_expected"),
}


@pytest.mark.parametrize("mistake", CATALOGUE, ids=called)
def test_a_mistake_runs_as_it_is_written(mistake):
    """A row whose old text is gone, or that uses a name that is gone, is told here."""
    exercise = EXERCISES[mistake.exercise]
    assert mistake.function.__name__ == mistake.name
    stopped = {run(mistake.function, exercise, case).trouble for case in exercise.cases(0, 1)}
    if (mistake.exercise, mistake.name) in STOPS:
        assert all("NameError" not in trouble for trouble in stopped)
    else:
        assert stopped == {""}


def test_every_file_of_the_catalogue_is_in_the_catalogue():
    for path in Path(catalogue.__file__).parent.glob("[!_]*.py"):
        names = vars(import_module(f"{catalogue.__name__}.{path.stem}"))
        for exercise, rows in names["MISTAKES"].items():
            for name, (_, sentence) in rows.items():
                known = find_mistake(exercise, name)
                assert (known.sentence, known.chapter) == (sentence, names["CHAPTER"])
            if exercise in names:  # the function in its plainest form, which the rows change
                assert check(exercise, names[exercise])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("y = nothing → y = x", "has 0 times, not once: y = nothing"),
        ("t → y", "times, not once: t"),
        ("y = (", "never closed"),
    ],
)
def test_a_row_that_cannot_be_made_is_named(wrong, words):
    row = Mistake("tanh_forward", "late", "y is late.", 3, wrong)
    with pytest.raises(ScratchaeError, match="the mistake late of tanh_forward") as error:
        _ = row.function
    assert words in str(error.value)


def test_a_mistake_with_the_name_of_another_or_a_long_sentence_is_refused():
    for name, sentence, words in [
        ("doubled", "y is late.", "already"),
        ("long", "word " * 41, "more than 40"),
    ]:
        add_table({"tanh_forward": {"doubled": ("y = x", "y is x.")}}, 3, {})
        with pytest.raises(ScratchaeError, match=words):
            add_table({"tanh_forward": {name: ("y = x", sentence)}}, 3, {})
        forget("tanh_forward", "doubled")


def test_every_exercise_has_at_least_six_mistakes():
    count = Counter(mistake.exercise for mistake in CATALOGUE)
    assert set(count) == set(EXERCISES) and min(count.values()) >= 6
    assert len(CATALOGUE) >= 350


def test_no_sentence_is_used_twice_or_longer_than_40_words():
    for mistake in CATALOGUE:
        assert 4 <= len(mistake.sentence.split()) <= 40, called(mistake)
        assert mistake.sentence.rstrip().endswith((".", ")")) or ":" in mistake.sentence
        assert 0 <= mistake.chapter <= 15
    twice = [s for s, n in Counter((m.exercise, m.sentence) for m in CATALOGUE).items() if n > 1]
    assert not twice


@pytest.mark.parametrize("name", EXERCISES)
def test_the_right_version_passes(name):
    assert check(name, EXERCISES[name].reference)


SLOW_TO_RUN = ("kaiming_uniform",)


@pytest.mark.parametrize("name", [name for name in EXERCISES if name not in SLOW_TO_RUN])
def test_the_right_version_passes_on_1000_drawn_cases(name):
    exercise = EXERCISES[name]

    @settings(max_examples=1000)
    @given(case=case_strategy(name))
    def passes(case):
        got = run(exercise.reference, exercise, case)
        assert not got.trouble and not got.changed and not got.shared and got.repeatable
        other = RIGHT.get(name, [exercise.reference])[0]
        same = run(other, exercise, case)
        assert not same.trouble
        for output, value in got.values.items():
            assert value is None or agree(same.values[output], value, tolerance_of(exercise, case))

    passes()


@pytest.mark.slow
def test_the_right_initialisation_passes_on_1000_seeds():
    exercise = EXERCISES["kaiming_uniform"]
    cases = [case for seed in range(167) for case in exercise.cases(seed)]
    expected = dict.fromkeys(exercise.corners)
    for case in cases[:1000]:
        outcome = run(exercise.reference, exercise, case)
        first = expected[case.corner] = expected[case.corner] or outcome
        for output in ("range", "spread", "same seed, same numbers"):
            assert agree(outcome.values[output], first.values[output], exercise.tolerance)


def linear_by_loops(dy, x, weight):
    rows, dys = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx, dweight = torch.zeros_like(rows), torch.zeros_like(weight)
    dbias = torch.zeros_like(weight[:, 0])
    for n in range(len(rows)):
        for o in range(len(weight)):
            dx[n] += dys[n, o] * weight[o]
            dweight[o] += dys[n, o] * rows[n]
            dbias[o] += dys[n, o]
    return dx.reshape(x.shape), dweight, dbias


def linear_by_einsum(dy, x, weight):
    dx = torch.einsum("...o,oi->...i", dy, weight)
    dweight = torch.einsum("no,ni->oi", dy.flatten(0, -2), x.flatten(0, -2))
    return dx, dweight, torch.einsum("no->o", dy.flatten(0, -2))


def linear_by_numpy(dy, x, weight):
    a, b, w = dy.flatten(0, -2).numpy(), x.flatten(0, -2).numpy(), weight.numpy()
    dx = torch.from_numpy(np.ascontiguousarray(a @ w)).reshape(x.shape)
    return dx, torch.from_numpy(np.ascontiguousarray(a.T @ b)), torch.from_numpy(a.sum(0))


def relu_by_where(dy, y):
    return torch.where(y > 0, dy, torch.zeros_like(dy))


def relu_by_mask(dy, y):
    dx = dy.clone()
    dx[y <= 0] = 0
    return dx


def batchnorm_in_many_steps(dy, xhat, weight, var, eps):
    axes = [axis for axis in range(dy.ndim) if axis != 1]
    shape = [1, -1] + [1] * (dy.ndim - 2)
    dxhat = dy * weight.view(shape)
    m = dy.numel() / dy.shape[1]
    s = (var + eps).sqrt().view(shape)
    dx = m * dxhat - dxhat.sum(axes, keepdim=True) - xhat * (dxhat * xhat).sum(axes, keepdim=True)
    return dx / (m * s), (dy * xhat).sum(axes), dy.sum(axes)


def adam_in_many_steps(value, grad, m, v, t, lr, betas, eps, weight_decay, largest):
    g = grad + weight_decay * value
    m.copy_(betas[0] * m + (1 - betas[0]) * g)
    v.copy_(betas[1] * v + (1 - betas[1]) * g**2)
    root = v
    if largest is not None:
        largest.copy_(torch.where(largest > v, largest, v))
        root = largest
    m_hat, v_hat = m / (1 - betas[0] ** t), root / (1 - betas[1] ** t)
    value -= lr * m_hat / (v_hat**0.5 + eps)


def conv2d_by_taps(x, weight, bias, stride, padding, dilation, groups):
    (sH, sW), (pH, pW), (dH, dW) = (
        v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation)
    )
    N, C, H, W = x.shape
    O, per, kH, kW = weight.shape
    framed = torch.zeros(N, C, H + 2 * pH, W + 2 * pW, dtype=x.dtype)
    framed[:, :, pH : pH + H, pW : pW + W] = x
    P = (H + 2 * pH - dH * (kH - 1) - 1) // sH + 1
    Q = (W + 2 * pW - dW * (kW - 1) - 1) // sW + 1
    y = torch.zeros(N, O, P, Q, dtype=x.dtype) + bias[:, None, None]
    for o in range(O):
        first = o // (O // groups) * per
        for c in range(per):
            for i in range(kH):
                for j in range(kW):
                    rows = slice(i * dH, i * dH + sH * (P - 1) + 1, sH)
                    columns = slice(j * dW, j * dW + sW * (Q - 1) + 1, sW)
                    y[:, o] += weight[o, c, i, j] * framed[:, first + c, rows, columns]
    return y


RIGHT = {
    "linear_backward": [linear_by_einsum, linear_by_loops, linear_by_numpy],
    "relu_backward": [relu_by_where, relu_by_mask],
    "batchnorm_backward": [batchnorm_in_many_steps],
    "adam_update": [adam_in_many_steps],
    "conv2d_forward": [conv2d_by_taps],
}


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, function) for name, functions in RIGHT.items() for function in functions],
)
def test_right_versions_written_differently_pass(name, function):
    report = check(name, function)
    assert report, report
