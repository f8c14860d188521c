"""The gate: our own checks, run against every mistake of the catalogue and against right versions."""

from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given, settings

from scratchae.checking import EXERCISES, Mistake, catalogue, check, mistakes
from scratchae.checking.execution import agree, run, tolerance_of
from scratchae.checking.exercises import case_strategy
from scratchae.checking.mistake import add_table, find_mistake, forget
from scratchae.errors import ScratchaeError
from tests.helpers.solutions import SOLUTIONS

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
        assert 0 <= mistake.chapter <= 17
    twice = [s for s, n in Counter((m.exercise, m.sentence) for m in CATALOGUE).items() if n > 1]
    assert not twice


@pytest.mark.parametrize("name", EXERCISES)
def test_the_right_version_passes(name):
    assert check(name, EXERCISES[name].reference)


SLOW_TO_RUN = ("kaiming_uniform",)


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [name for name in EXERCISES if name not in SLOW_TO_RUN])
def test_the_right_version_passes_on_many_drawn_cases(name, number):
    """A fifth of them, if there is no other right version to compare it with."""
    exercise = EXERCISES[name]
    other = next(iter(SOLUTIONS.get(name, {}).values()), exercise.reference)

    @settings(max_examples=number if name in SOLUTIONS else number // 5)
    @given(case=case_strategy(name))
    def passes(case):
        got = run(exercise.reference, exercise, case)
        assert not got.trouble and not got.changed and not got.shared and got.repeatable
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


@pytest.mark.parametrize(
    ("name", "style"), [(name, style) for name, styles in SOLUTIONS.items() for style in styles]
)
def test_right_versions_written_differently_pass(name, style):
    report = check(name, SOLUTIONS[name][style])
    assert report, report
