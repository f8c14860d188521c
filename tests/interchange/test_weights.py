"""Weights go to torch.nn and come back, as safetensors files with torch.nn's keys."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from reference.twins import build as build_twin
from reference.twins import twin
from scratchae.errors import ScratchaeError
from scratchae.interchange import load_weights, save_weights
from scratchae.layers import Linear
from scratchae.models import build, names
from scratchae.training import fit
from scratchae.training.evaluation import evaluating
from tests.helpers.runs import few_digits, same_bits, weights


@pytest.mark.parametrize("name", names())
def test_a_torch_nn_twin_loads_the_weights_of_every_model(name, tmp_path):
    model = build(name, seed=3)
    save_weights(model, tmp_path / "weights.safetensors")
    module = build_twin(build(name, seed=4).eval())
    module.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    x = torch.rand(5, *model.input_shape)
    with evaluating(model):
        torch.testing.assert_close(model.forward(x), module(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", names())
def test_every_model_loads_the_weights_of_its_twin(name, tmp_path):
    module = twin(build(name, seed=3))
    save_file(module.state_dict(), tmp_path / "torch.safetensors")
    model = build(name, seed=4)
    load_weights(model, tmp_path / "torch.safetensors")
    assert same_bits(weights(model), weights(build(name, seed=3)))


def test_the_weights_of_a_run_folder_are_such_a_file(tmp_path):
    run = fit("fc", few_digits(), epochs=1, out=tmp_path / "run", device="cpu", progress=False)
    model = build("fc", seed=7)
    load_weights(model, tmp_path / "run" / "weights.safetensors")
    assert same_bits(weights(model), weights(run.model))


def test_the_model_keeps_its_dtype(tmp_path):
    save_weights(Linear(3, 2), tmp_path / "w.safetensors")
    layer = Linear(3, 2, dtype=torch.float64)
    load_weights(layer, tmp_path / "w.safetensors")
    assert layer.weight.dtype == torch.float64


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickle_is_refused_with_the_way_to_convert_it(new_format, tmp_path):
    path = tmp_path / "model.pt"
    state = nn.Linear(3, 2).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=new_format)
    layer = Linear(3, 2)
    before = weights(layer)
    with pytest.raises(
        ScratchaeError, match=r"model\.pt is a pickle.*save_file\(torch\.load"
    ) as error:
        load_weights(layer, path)
    assert same_bits(weights(layer), before)
    cure = str(error.value).partition("convert it with ")[2]
    cure = cure.replace("'weights.safetensors'", repr(str(tmp_path / "w.safetensors")))
    import safetensors.torch

    eval(cure, {"safetensors": safetensors, "torch": torch})
    load_weights(layer, tmp_path / "w.safetensors")
    assert same_bits(weights(layer), state)


def test_a_header_that_begins_like_a_pickle_is_read(tmp_path):
    """The first byte of a safetensors file is the size of its header, and may be 0x80 by chance."""
    path = tmp_path / "w.safetensors"
    for length in range(200):
        save_file({"x" * (length + 1): torch.ones(1)}, path)
        if path.read_bytes()[0] == 0x80:
            break
    else:
        pytest.fail("no name gave such a header")
    with pytest.raises(ScratchaeError, match="unknown xxx"):
        load_weights(Linear(3, 2), path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_file_cut_short_is_refused(share, tmp_path):
    path = tmp_path / "w.safetensors"
    save_weights(Linear(3, 2), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ScratchaeError, match="not a whole safetensors file"):
        load_weights(Linear(3, 2), path)


def test_a_file_that_is_not_there_and_one_of_another_model_are_refused(tmp_path):
    with pytest.raises(ScratchaeError, match="cannot read the weights"):
        load_weights(Linear(3, 2), tmp_path / "w.safetensors")
    save_weights(Linear(3, 3), tmp_path / "w.safetensors")
    with pytest.raises(ScratchaeError, match=r"weight is \(2, 3\) here but \(3, 3\) there"):
        load_weights(Linear(3, 2), tmp_path / "w.safetensors")
