"""GaussianSampling: where its noise comes from, what it adds to the loss, and what it refuses."""

import math

import pytest
import torch

from scratchae.checking.gradcheck import gradcheck
from scratchae.errors import ScratchaeError
from scratchae.layers import GaussianSampling, sampling_backward, sampling_forward
from scratchae.noise import noise_keys, normal, split_keys


def test_in_evaluation_the_code_is_the_mean_unless_there_are_keys():
    layer, x = GaussianSampling().eval(), torch.randn(4, 6)
    assert torch.equal(layer(x), x[:, :3])
    layer.set_keys(noise_keys(0, 0, 4))
    assert not torch.equal(layer(x), x[:, :3])
    layer.forget()
    assert torch.equal(layer(x), x[:, :3])


def test_without_keys_training_draws_from_torchs_generator():
    layer, x = GaussianSampling(), torch.randn(4, 6)
    torch.manual_seed(5)
    z = layer(x)
    torch.manual_seed(5)
    assert torch.equal(z, sampling_forward(x[:, :3], x[:, 3:], torch.randn(4, 3)))


def test_samples_have_the_mean_and_the_variance_of_the_input():
    x = torch.tensor([[1.0, -2.0, math.log(4.0), math.log(0.25)]]).expand(20000, 4)
    layer = GaussianSampling()
    layer.set_keys(noise_keys(0, 0, 20000))
    z = layer(x)
    assert z.mean(0).tolist() == pytest.approx([1.0, -2.0], abs=0.05)
    assert z.std(0).tolist() == pytest.approx([2.0, 0.5], rel=0.05)


def test_the_backward_of_a_sample_does_not_change_what_it_is_given():
    dz, logvar, eps = (torch.randn(2, 3) for _ in range(3))
    kept = dz.clone()
    dmu, _ = sampling_backward(dz, logvar, eps)
    dmu += 1
    assert torch.equal(dz, kept)


def test_the_noise_has_the_precision_of_the_input_also_in_a_complex_step():
    layer, keys = GaussianSampling(), noise_keys(0, 0, 4)
    layer.set_keys(keys)
    for dtype in (torch.float32, torch.float64):
        x = torch.zeros(4, 6, dtype=dtype)
        assert torch.equal(layer(x), normal(split_keys(keys, 0), (3,), dtype))
    in_complex_numbers = layer.noise(torch.zeros(4, 3, dtype=torch.complex128))
    assert torch.equal(in_complex_numbers.real, normal(split_keys(keys, 0), (3,), torch.float64))
    result = gradcheck(layer, torch.randn(4, 6, dtype=torch.float64))
    assert result and {row.method for row in result.rows} == {"complex step"}


def test_beta_weighs_the_divergence_and_is_1_if_it_is_omitted():
    x = torch.tensor([[3.0, 0.0], [0.0, 0.0]])  # KL = 9 / 2 and 0
    for layer, penalty in (
        (GaussianSampling(), 2.25),
        (GaussianSampling(2), 4.5),
        (GaussianSampling(0), 0),
    ):
        layer.eval()(x)
        assert [p.item() for p in layer.penalties()] == [penalty]


@pytest.mark.parametrize(
    ("layer_and_input", "said"),
    [
        (lambda: GaussianSampling(-1.0), "beta >= 0, got -1.0"),
        (lambda: GaussianSampling(math.nan), "beta >= 0, got nan"),
        (lambda: GaussianSampling()(torch.ones(2, 3)), "means beside the log-variances"),
        (lambda: GaussianSampling()(torch.ones(2)), r"\(N, 2 L\).* but got \(2,\)"),
        (lambda: GaussianSampling()(torch.ones(2, 2, 2)), r"\(N, 2 L\).* but got \(2, 2, 2\)"),
        (lambda: GaussianSampling()(torch.ones(2, 4).long()), "floating-point numbers but got"),
        (lambda: GaussianSampling()([1.0]), r"expects a torch.Tensor"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(layer_and_input, said):
    with pytest.raises(ScratchaeError, match=said) as caught:
        layer_and_input()
    assert "\n" not in str(caught.value)


def test_keys_for_another_batch_are_refused_in_one_sentence():
    layer = GaussianSampling()
    layer.set_keys(noise_keys(0, 0, 4))
    with pytest.raises(ScratchaeError, match="keys for 4 samples but got 3"):
        layer(torch.ones(3, 2))
