"""Binary images: pixels are drawn with their grey values as probabilities, the same by seed."""

import pytest
import torch

from scratchae import ScratchaeError
from scratchae.data.binarise import (
    binarise,
    binarise_once,
    binary_checksum,
    check_binarisation,
)
from scratchae.models import build
from scratchae.noise import noise_keys
from scratchae.training import fit
from scratchae.training.epoch_images import EpochImages
from scratchae.training.preparation import evaluation_pixels_for, pixels_for
from tests.helpers.runs import few_digits, same_bits, weights

DATA = few_digits(60, 30)
CPU = torch.device("cpu")
GREY = pixels_for(build("vae"), DATA.train, CPU)


def test_a_pixel_is_1_with_the_probability_of_its_grey_value():
    grey = torch.linspace(0, 1, 11).expand(20_000, 11)
    drawn = binarise(grey, noise_keys(0, 0, len(grey)))
    assert set(drawn.unique().tolist()) == {0.0, 1.0} and drawn.dtype == grey.dtype
    torch.testing.assert_close(drawn.mean(dim=0), grey[0], rtol=0, atol=0.015)
    assert (drawn[:, 0] == 0).all() and (drawn[:, -1] == 1).all()


def test_an_image_gets_the_same_pixels_in_any_batch():
    keys = noise_keys(3, 1, len(GREY))
    whole = binarise(GREY, keys)
    assert torch.equal(binarise(GREY[7:9], keys[7:9]), whole[7:9])
    assert not torch.equal(binarise(GREY, noise_keys(3, 2, len(GREY))), whole)


def test_pixels_outside_of_0_to_1_are_refused():
    for pixels in (-GREY, 2 * GREY, torch.full((1, 4), float("nan"))):
        with pytest.raises(ScratchaeError, match="pixels from 0 to 1"):
            binarise(pixels, noise_keys(0, 0, len(pixels)))


def test_dynamic_images_change_with_the_epoch_and_static_ones_do_not():
    model = build("vae")
    dynamic = EpochImages(model, GREY, 5, binarisation="dynamic")
    static = EpochImages(model, GREY, 5, binarisation="static")
    other = EpochImages(model, GREY, 6, binarisation="static")
    first, second = dynamic.epoch(1)[0].clone(), dynamic.epoch(2)[0].clone()
    assert not torch.equal(first, second) and torch.equal(dynamic.epoch(1)[0], first)
    assert ((first == 0) | (first == 1)).all()
    assert dynamic.epoch(1)[1] is None  # the target is the binary image itself
    assert torch.equal(static.epoch(1)[0], static.epoch(2)[0])
    assert torch.equal(static.epoch(1)[0], other.epoch(1)[0])  # the same for all runs


def test_noise_goes_on_the_binary_input_and_the_target_stays_binary():
    from scratchae.data import Corruption

    model = build("vae")
    images = EpochImages(model, GREY, 5, Corruption(noise=0.3), binarisation="dynamic")
    noisy, target, _ = images.epoch(1)
    plain = EpochImages(model, GREY, 5, binarisation="dynamic").epoch(1)[0]
    assert torch.equal(target, plain) and not torch.equal(noisy, target)


def test_augmented_images_are_binarised_after_they_are_moved():
    from scratchae.data import Augmentation

    model = build("vae")
    moved = EpochImages(model, GREY, 5, None, Augmentation(rotate=10), "dynamic").epoch(1)[0]
    assert ((moved == 0) | (moved == 1)).all()


def test_test_images_are_the_same_for_all_runs_and_models():
    flat = evaluation_pixels_for(build("vae"), DATA.test, CPU, "dynamic")
    square = evaluation_pixels_for(build("conv-vae"), DATA.test, CPU, "static")
    assert torch.equal(flat, square.flatten(1))
    assert binary_checksum(flat) == binary_checksum(square)
    changed = flat.clone()
    changed[3, 5] = 1 - changed[3, 5]
    assert binary_checksum(flat) != binary_checksum(changed)
    train = binarise_once(GREY, "train")
    assert not torch.equal(train, binarise_once(GREY, "test"))


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_fit_trains_on_binary_images_and_resumes_bit_for_bit(mode, tmp_path):
    settings = {"seed": 3, "batch_size": 20, "device": "cpu", "progress": False, "binarise": mode}
    whole = fit("vae,latent=2", DATA, epochs=3, **settings)
    grey = fit("vae,latent=2", DATA, epochs=3, **{**settings, "binarise": "none"})
    assert whole.rows[0]["train_loss"] != grey.rows[0]["train_loss"]
    assert not same_bits(weights(whole.model), weights(grey.model))
    assert set(whole.outputs[0][1].unique().tolist()) == {0.0, 1.0}
    fit("vae,latent=2", DATA, epochs=1, out=tmp_path / "run", **settings)
    resumed = fit("vae,latent=2", DATA, epochs=3, out=tmp_path / "run", resume=True, **settings)
    assert same_bits(weights(whole.model), weights(resumed.model))
    with pytest.raises(ScratchaeError, match=f"binarise = {mode}, not none"):
        fit(
            "vae,latent=2",
            DATA,
            epochs=4,
            out=tmp_path / "run",
            resume=True,
            **{**settings, "binarise": "none"},
        )


def test_what_does_not_fit_is_refused():
    with pytest.raises(ScratchaeError, match="none, dynamic, static"):
        check_binarisation("sometimes", (0.0, 1.0))
    with pytest.raises(ScratchaeError, match=r"pixels in \[0, 1\]"):
        fit("fc", DATA, epochs=1, device="cpu", progress=False, binarise="static")
    with pytest.raises(ScratchaeError, match="binarise=dynamic, which draws after"):
        fit("vae", DATA, epochs=1, device="cpu", binarise="static", augment="shift=2")
