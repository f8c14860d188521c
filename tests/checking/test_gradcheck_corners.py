"""gradcheck in the corners: a forward pass that is random, and dy that lies in memory in other ways."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.checking import gradcheck
from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, Linear


class Dropout(Layer):
    """Every number is dropped with probability `p`; draw(shape) gives numbers from 0 to 1."""

    def __init__(self, p, draw):
        super().__init__()
        self.p, self.draw = p, draw

    def forward(self, x):
        kept = (self.draw(x.shape) >= self.p) / (1 - self.p)
        return self.remember(x * kept, kept)

    def backward(self, dy):
        (kept,) = self.recall(dy)
        return dy * kept


class Redrawn(Dropout):
    """Wrong: backward drops other numbers than forward did."""

    def backward(self, dy):
        self.recall(dy)
        return dy * (self.draw(dy.shape) >= self.p) / (1 - self.p)


class Held:
    """Numbers from a generator that is copied with the layer."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(1)

    def __call__(self, shape):
        return torch.rand(shape, generator=self.generator)


def sources() -> dict:
    """Where a forward pass may take random numbers from."""
    shared = torch.Generator().manual_seed(2)
    return {
        "held": Held(),
        "closed over": lambda shape: torch.empty(shape).uniform_(generator=shared),
        "of torch": lambda shape: torch.rand(shape),
    }


@pytest.mark.parametrize("source", sources())
@settings(max_examples=30)
@given(p=st.sampled_from([0.01, 0.1, 0.5]), n=st.sampled_from([1, 3, 7]), seed=st.integers(0, 99))
def test_a_random_forward_is_checked_with_the_same_numbers_each_time(source, p, n, seed):
    """Also where its first passes drop the same numbers by chance."""
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    result = gradcheck(Dropout(p, sources()[source]), x, seed=seed)
    assert result, result


@pytest.mark.parametrize("source", sources())
def test_a_backward_that_draws_anew_is_found(source):
    assert not gradcheck(Redrawn(0.5, sources()[source]), torch.randn(7, 5))


def test_the_generators_of_the_caller_are_where_they_were():
    held, shared = Held(), torch.Generator().manual_seed(2)
    generators = held.generator, shared, torch.default_generator
    before = [generator.get_state() for generator in generators]

    def twice(shape):
        return torch.rand(shape, generator=shared) * torch.rand(shape, generator=shared)

    for draw in (held, twice, torch.rand):
        assert gradcheck(Dropout(0.5, draw), torch.ones(7, 5))
    for generator, state in zip(generators, before, strict=True):
        assert torch.equal(generator.get_state(), state)


def test_random_numbers_that_are_not_of_torch_get_one_sentence():
    numbers = random.Random(0)
    result = gradcheck(
        lambda x: x * numbers.random(), torch.ones(3), backward=lambda dy, x: dy * numbers.random()
    )
    assert not result and not result.rows
    assert "another result if it is called again" in result.diagnosis


def misread(dy):
    """The numbers of dy's memory from its first one on, as if dy were contiguous."""
    contiguous = torch.empty(dy.shape).stride()
    return dy.as_strided(dy.shape, contiguous, dy.storage_offset()).clone()


@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 5), (2, 3, 5), (2, 3, 5, 7)])
def test_a_backward_that_takes_dy_for_contiguous_is_found(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = gradcheck(torch.sin, x, backward=lambda dy, x: misread(dy) * x.cos())
    assert not result
    assert "dx is wrong for a dy " in result.diagnosis
    assert "how dy is stored in memory" in result.diagnosis
    assert [row.ok for row in result.rows] == [False]
    assert gradcheck(torch.sin, x, backward=lambda dy, x: misread(dy.contiguous()) * x.cos())


def test_of_many_gradients_the_one_that_is_wrong_is_named():
    def backward(dy, x, weight):
        return dy @ weight, misread(dy).T @ x

    x, weight = torch.randn(5, 3), torch.randn(2, 3)
    result = gradcheck(lambda x, weight: x @ weight.T, x, weight, backward=backward)
    assert [(row.name, row.ok) for row in result.rows] == [("x", True), ("weight", False)]
    assert result.diagnosis.startswith(
        "dweight is wrong for a dy whose axes are stored in another order"
    )


def test_a_backward_that_fails_for_a_view_is_answered_with_the_cure():
    def backward(dy, x):
        return dy.view(-1).reshape(x.shape) * x.cos()

    result = gradcheck(torch.sin, torch.randn(3, 5), backward=backward)
    assert not result
    assert "use reshape instead of view, or dy.contiguous()" in result.diagnosis
    assert "\n" not in result.diagnosis and "RuntimeError" in result.diagnosis


def test_a_backward_that_goes_wrong_for_an_expanded_dy_alone_is_found():
    def backward(dy, x):
        return dy * x.cos() * (2 if 0 in dy.stride() else 1)

    result = gradcheck(torch.sin, torch.randn(3, 5), backward=backward)
    assert "dx is wrong for a dy that is expanded along an axis" in result.diagnosis


def test_a_float32_output_is_given_dy_of_its_dtype_in_every_layout():
    def forward(x):
        return x.float().sin()

    def backward(dy, x):
        assert dy.dtype == torch.float32
        return dy * x.float().cos()

    result = gradcheck(forward, torch.randn(3, 5), backward=backward)
    assert "memory" not in result.diagnosis and "fails" not in result.diagnosis


def test_without_an_input_it_says_what_to_write():
    with pytest.raises(ScratchaeError, match="gradcheck needs an input"):
        gradcheck(Linear(2, 2))
