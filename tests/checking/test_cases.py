"""The random cases: reproducible, of the shapes that the functions expect, and there for every layer."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae import layers
from scratchae.checking import EXERCISES
from scratchae.checking.execution import run
from scratchae.checking.exercises import Case
from scratchae.checking.layer_cases import LAYER_CASES, layer_strategy

LAYERS = {
    name
    for name, value in vars(layers).items()
    if isinstance(value, type) and issubclass(value, layers.Layer)
} - {"Layer", "Sequential"}


def tensors(case):
    return {k: v for k, v in case.arguments().items() if isinstance(v, torch.Tensor)}


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_has_cases_for_its_reference(name):
    exercise = EXERCISES[name]
    assert exercise.reference.__name__ == name
    assert len(set(exercise.corners)) == len(exercise.corners) >= 2
    for case in exercise.cases(each=1):
        result = run(exercise.reference, exercise, case)
        assert not result.trouble and list(result.values) == list(exercise.outputs)


@pytest.mark.parametrize("name", [name for name in EXERCISES if not EXERCISES[name].call])
def test_the_same_seed_gives_the_same_case_and_another_seed_another_one(name):
    for corner in EXERCISES[name].corners:
        first, again, other = (tensors(Case(name, corner, seed)) for seed in (5, 5, 6))
        assert list(first) == list(again)
        assert all(torch.equal(first[k], again[k]) for k in first)
        assert any(first[k].shape != v.shape or (first[k] != v).any() for k, v in other.items())


def test_every_layer_has_random_cases():
    assert set(LAYER_CASES) == LAYERS


@pytest.mark.parametrize("name", sorted(LAYERS))
@settings(max_examples=20)
@given(data=st.data())
def test_a_random_layer_takes_its_inputs(name, data):
    case = data.draw(layer_strategy(name))
    assert type(case.layer()).__name__ == name and len(case.training) == len(case.shapes)
    layer = case.random_layer()
    for shape, training in zip(case.shapes, case.training, strict=True):
        y = layer.train(training).forward(case.x(shape))
        assert layer.backward(case.dy(y)).shape == shape
