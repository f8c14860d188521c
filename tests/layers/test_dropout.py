"""Dropout with torch's own mask, the share of dropped numbers, and where the mask comes from.

(tests/layers/test_against_torch.py and the other tests of all layers draw its random cases.)
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.checking import gradcheck
from scratchae.errors import ScratchaeError
from scratchae.layers import Dropout, Sequential, dropout_backward, dropout_forward
from scratchae.layers.dropout import keep_factor
from scratchae.noise import noise_keys, split_keys, uniform
from tests.helpers.tensors import assert_close


@given(
    p=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), seed=st.integers(0, 2**32), n=st.integers(1, 9)
)
def test_with_the_mask_of_torch_it_gives_the_numbers_of_torch(p, seed, n):
    torch.manual_seed(seed)
    x, dy = torch.randn(2, n, 7, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    theirs = torch.nn.Dropout(p)(leaf)
    theirs.backward(dy)
    mask = theirs.detach() != 0
    assert_close("y", dropout_forward(x, mask, p), theirs, 1e-15)
    assert_close("dx", dropout_backward(dy, mask, p), leaf.grad, 1e-15)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_the_share_of_dropped_numbers_is_p_and_the_mean_stays(p, keyed):
    layer, x = Dropout(p), torch.ones(1000, 100)
    if keyed:
        layer.set_keys(noise_keys(0, 1, 1000))
    y = layer(x)
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    assert y.mean().item() == (pytest.approx(1.0, abs=0.05) if p < 1 else 0.0)
    assert len({tuple(row) for row in (y[:50] == 0).tolist()}) == (50 if 0 < p < 1 else 1)


def test_a_sample_gets_the_same_mask_in_any_batch():
    layer, keys, x = Dropout(), noise_keys(3, 1, 6), torch.ones(6, 50)
    layer.set_keys(keys)
    whole = layer(x)
    assert torch.equal(layer(x), whole)
    layer.set_keys(keys[2:4])
    assert torch.equal(layer(x[2:4]), whole[2:4])


def test_two_of_them_in_a_row_have_different_masks():
    model = Sequential(Dropout(), Dropout())
    assert model.set_keys(noise_keys(0, 1, 100)) == 2
    x = torch.ones(100, 10)
    assert not torch.equal(model[0](x), model[1](x))


def test_without_keys_torchs_generator_draws_the_mask():
    layer, x = Dropout(0.3), torch.ones(4, 6)
    torch.manual_seed(5)
    y = layer(x)
    torch.manual_seed(5)
    assert torch.equal(y != 0, torch.rand(4, 6) >= 0.3)


@pytest.mark.parametrize("keyed", [False, True])
def test_evaluation_drops_nothing_and_draws_nothing(keyed):
    layer, x = Dropout(0.9).eval(), torch.randn(4, 6)
    if keyed:
        layer.set_keys(noise_keys(0, 1, 4))
    before = torch.get_rng_state()
    assert torch.equal(layer(x), x) and torch.equal(layer.backward(x), x)
    assert torch.equal(torch.get_rng_state(), before)


def test_its_gradient_is_checked_with_the_noise_held_fixed():
    layer = Dropout(0.3)
    layer.set_keys(noise_keys(0, 1, 5))
    assert gradcheck(layer, torch.randn(5, 7, dtype=torch.float64))


def test_keys_for_another_batch_are_refused_in_one_sentence():
    layer = Dropout()
    layer.set_keys(noise_keys(0, 0, 4))
    with pytest.raises(ScratchaeError, match="keys for 4 samples but got 3"):
        layer(torch.ones(3, 2))


def test_a_nan_is_not_hidden_as_in_torch():
    x = torch.full((2, 3), torch.nan)
    assert Dropout(0.5)(x).isnan().all() and torch.nn.Dropout(0.5)(x).isnan().all()


def test_a_number_is_kept_if_what_was_drawn_is_at_least_p():
    keys = noise_keys(0, 1, 4)
    p = uniform(split_keys(keys, 0), (6,))[2, 3].item()
    layer = Dropout(p)
    layer.set_keys(keys)
    assert layer(torch.ones(4, 6))[2, 3] > 0
    torch.manual_seed(5)
    p = torch.rand(4, 6)[2, 3].item()
    torch.manual_seed(5)
    assert Dropout(p)(torch.ones(4, 6))[2, 3] > 0


def test_a_probability_is_from_0_to_1():
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ScratchaeError, match="a probability p from 0 to 1, got"):
            Dropout(p)
    assert keep_factor(0) == 1 and keep_factor(1) == 0
