"""Keys: a model gives each of its random layers another split of them, and takes them away again."""

import pytest
import torch

from scratchae.errors import ScratchaeError
from scratchae.layers import Dropout, GaussianSampling, Layer, Linear, Sequential
from scratchae.noise import noise_keys, split_keys

KEYS = noise_keys(0, 1, 4)


def network():
    return Sequential(Dropout(), Linear(4, 4), Sequential(Dropout(), GaussianSampling()), Dropout())


def random_layers(model):
    return [layer for _, layer in model.modules() if layer.random]


@pytest.mark.parametrize("first", [0, 3])
def test_each_random_layer_gets_its_own_split_and_no_other_layer_gets_keys(first):
    model = network()
    used = model.set_keys(KEYS, first) if first else model.set_keys(KEYS)
    assert used == first + 4
    for number, layer in enumerate(random_layers(model), first):
        assert torch.equal(layer.keys, split_keys(KEYS, number))
    assert model.keys is None and model[1].keys is None


def test_without_keys_a_batch_of_any_size_is_drawn_by_torchs_generator():
    model = network()
    assert Layer().keys is None and [layer.keys for layer in random_layers(model)] == [None] * 4
    Dropout().check_keys(3)
    torch.manual_seed(2)
    y = model(torch.ones(3, 4))
    torch.manual_seed(2)
    assert torch.equal(model(torch.ones(3, 4)), y) and not torch.equal(model(torch.ones(3, 4)), y)


def test_keys_can_be_taken_away():
    model = network()
    model.set_keys(KEYS)
    assert model.set_keys(None) == 4
    assert [layer.keys for layer in random_layers(model)] == [None] * 4
    model.set_keys(KEYS)
    model.forget()
    assert [layer.keys for layer in random_layers(model)] == [None] * 4


def test_a_batch_of_another_size_than_the_keys_is_refused_in_one_sentence():
    layer = Dropout()
    layer.set_keys(KEYS)
    layer.check_keys(4)
    with pytest.raises(ScratchaeError, match=r"^Dropout.* has keys for 4 samples but got 3: call"):
        layer.check_keys(3)
