"""Noise: the numbers of a sample depend on its key alone, and they are as random as they claim to be."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.noise import MASK, mix, noise_keys, normal, random_bits, split_keys, uniform

shapes = st.lists(st.integers(1, 5), min_size=0, max_size=3).map(tuple)
numbers = st.integers(0, 2**31)


@given(seed=numbers, epoch=numbers, n=st.integers(1, 20), more=st.integers(1, 20))
def test_a_key_does_not_depend_on_the_number_of_samples(seed, epoch, n, more):
    keys = noise_keys(seed, epoch, n)
    assert keys.shape == (n,) and keys.dtype == torch.int64 and (keys >= 0).all()
    assert torch.equal(keys, noise_keys(seed, epoch, n + more)[:n])


@pytest.mark.parametrize("draw", [uniform, normal])
@given(seed=numbers, shape=shapes, index=st.permutations(range(7)))
def test_a_sample_gets_the_same_numbers_in_any_batch(draw, seed, shape, index):
    keys = noise_keys(seed, 1, 7)
    whole = draw(keys, shape)
    assert whole.shape == (7, *shape)
    assert torch.equal(draw(keys[index], shape), whole[index])
    assert torch.equal(draw(keys[3:4], shape), whole[3:4])


@pytest.mark.parametrize("draw", [uniform, normal])
@given(seed=numbers, shape=shapes)
def test_every_dtype_gets_the_same_numbers_up_to_rounding(draw, seed, shape):
    keys = noise_keys(seed, 1, 5)
    exact = draw(keys, shape, torch.float64)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.05)):
        other = draw(keys, shape, dtype)
        assert other.dtype == dtype
        assert torch.allclose(other.double(), exact, rtol=tolerance, atol=tolerance)


@given(st.integers(0, 2**32 - 5000))
def test_mix_is_one_to_one_and_stays_within_32_bits(first):
    mixed = mix(torch.arange(first, first + 5000))
    assert len(mixed.unique()) == 5000
    assert mixed.min() >= 0 and mixed.max() <= MASK


def test_one_changed_bit_of_the_key_or_the_position_changes_half_of_the_bits():
    keys = noise_keys(3, 1, 2000)
    for bit in range(63):
        other = random_bits(keys ^ (1 << bit), 0, 1)
        changed = random_bits(keys, 0, 1) ^ other
        share = sum(((changed >> k) & 1).double().mean().item() for k in range(32)) / 32
        assert abs(share - 0.5) < 0.02, bit


def test_uniform_numbers_are_uniform_and_normal_ones_are_normal():
    keys = noise_keys(0, 1, 4000)
    u = uniform(keys, (50,), torch.float64).flatten()
    counts = torch.histc(u, 100, 0, 1)
    chi = ((counts - 2000).square() / 2000).sum().item()
    assert u.min() > 0 and u.max() < 1 and chi < 99 + 5 * math.sqrt(2 * 99)
    z = normal(keys, (50,), torch.float64).flatten()
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = abs((z**power).mean().item() - moment)
        assert error < 4 * math.sqrt(spread / len(z)), power
    expected = torch.special.ndtr(z.sort().values)  # Kolmogorov and Smirnov
    steps = torch.arange(1, len(z) + 1) / len(z)
    assert (expected - steps).abs().max() < 1.95 / math.sqrt(len(z))


@pytest.mark.parametrize(
    "other",
    [
        lambda: noise_keys(0, 2, 2000),
        lambda: noise_keys(1, 1, 2000),
        lambda: split_keys(noise_keys(0, 1, 2000), 0),
        lambda: noise_keys(0, 1, 2001)[1:],
    ],
    ids=["the next epoch", "another seed", "a split", "the next sample"],
)
def test_other_keys_give_uncorrelated_numbers(other):
    one, two = normal(noise_keys(0, 1, 2000), (49,)), normal(other(), (49,))
    for power in (1, 2):
        pair = torch.stack([one.flatten() ** power, two.flatten() ** power])
        assert abs(torch.corrcoef(pair)[0, 1]) < 4 / math.sqrt(one.numel())


def test_splits_differ_from_one_another_and_from_the_original():
    keys = noise_keys(0, 1, 1000)
    every = torch.cat([keys, *(split_keys(keys, number) for number in range(5))])
    assert len(every.unique()) == 6000 and (every >= 0).all()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_draws_the_numbers_of_the_cpu():
    here, there = noise_keys(0, 1, 100), noise_keys(0, 1, 100, "cuda")
    assert torch.equal(here, there.cpu())
    assert torch.equal(uniform(here, (30,)), uniform(there, (30,)).cpu())
    assert torch.allclose(normal(here, (30,)), normal(there, (30,)).cpu(), atol=1e-5)
