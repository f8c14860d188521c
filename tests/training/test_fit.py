"""Training does what it says, keeps what it promises, and stops where it has to."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from reference.twins import twin
from scratchae.data import Batches, Dataset, Images
from scratchae.engines import Engine
from scratchae.errors import ScratchaeError
from scratchae.layers import Linear, Sequential, Tanh
from scratchae.losses import mse_backward, mse_forward
from scratchae.models import Autoencoder, build, register
from scratchae.optim import Adam
from scratchae.training import evaluate, fit, open_run, train_step
from scratchae.training.floating_point import flushing_denormals
from scratchae.training.preparation import keepsakes, pixels_for
from tests.helpers.runs import few_digits, same_bits, weights

DATA = few_digits()


def quick(model="fc", **settings):
    return fit(model, DATA, **{"epochs": 2, "device": "cpu", "progress": False, **settings})


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_the_loss_goes_down(name):
    history = quick(name, epochs=4).history
    assert history["train_loss"].is_monotonic_decreasing
    assert history["test_loss"].iloc[-1] < history["test_loss"].iloc[0]


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_losses_are_means_over_images_and_equal_torchs(name):
    """The last batch is shorter, so a mean over batches would not do."""
    rows = quick(name, epochs=1, batch_size=64, lr=1e-3, weight_decay=1e-5, seed=5).rows
    model = twin(build(name, 5)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)
    x, total = pixels_for(build(name), DATA.train, torch.device("cpu")), 0.0
    for index in Batches(len(x), 64, 5).epoch(1):
        loss = torch.nn.functional.mse_loss(model(x[index]), x[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(index)
    test = pixels_for(build(name), DATA.test, torch.device("cpu"))
    with torch.no_grad():
        test_loss = torch.nn.functional.mse_loss(model.eval()(test), test).item()
    assert rows[0]["train_loss"] == pytest.approx(total / len(x), rel=1e-5)
    assert rows[0]["test_loss"] == pytest.approx(test_loss, rel=1e-4)


def test_history_is_a_dataframe_with_a_row_an_epoch():
    history = quick(epochs=3).history
    assert isinstance(history, pd.DataFrame)
    assert list(history.columns) == ["epoch", "train_loss", "test_loss", "seconds"]
    assert list(history["epoch"]) == [1, 2, 3]


def test_the_same_digits_one_of_each_class_are_kept_every_epoch():
    outputs = quick(epochs=3).outputs
    assert [epoch for epoch, _, _ in outputs] == [1, 2, 3]
    x = pixels_for(build("fc"), DATA.test, "cpu")
    for _, originals, reconstructions in outputs:
        assert originals.shape == reconstructions.shape == (10, 784)
        assert torch.equal(originals, outputs[0][1])
        for digit in range(10):
            first = (DATA.test.labels == digit).nonzero()[0, 0]
            assert torch.equal(originals[digit], x[first])
    assert not torch.equal(outputs[0][2], outputs[1][2])


def test_the_first_digits_are_kept_where_there_are_no_labels():
    images = Images(DATA.test.pixels, None)
    assert torch.equal(keepsakes(build("conv"), images), images.normalised()[:10])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (weights(quick(seed=seed).model) for seed in (3, 3, 4))
    assert same_bits(first, again)
    assert not same_bits(first, other)


def test_without_a_test_part_the_test_loss_is_not_a_number():
    data = Dataset("no test", DATA.train)
    history = fit("fc", data, epochs=1, device="cpu", progress=False).history
    assert history["test_loss"].isna().all()


def test_training_ends_in_training_mode_with_nothing_kept_for_backward():
    model = quick("conv").model
    assert model.training
    assert all(layer.saved is None for _, layer in model.leaves())


def test_a_model_of_ones_own_trains_and_is_resumed_by_its_registered_name(tmp_path):
    def tiny(generator=None):
        """784-2-784."""
        return Autoencoder(
            Sequential(Linear(784, 2, generator=generator)),
            Sequential(Linear(2, 784, generator=generator), Tanh()),
            input_shape=(784,),
        )

    register("tiny", tiny)
    quick("tiny", out=tmp_path / "run", epochs=1)
    assert quick("tiny", out=tmp_path / "run", epochs=2, resume=True).epoch == 2
    assert open_run(tmp_path / "run").epoch == 2


def test_a_model_without_a_name_gets_no_run_folder(tmp_path):
    model = Autoencoder(Sequential(Linear(784, 2)), Sequential(Linear(2, 784)), (784,))
    with pytest.raises(ScratchaeError, match="register"):
        quick(model, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert quick(model, epochs=1).epoch == 1


def test_a_step_moves_the_model_as_its_parts_do():
    whole, parts = build("fc", 1), build("fc", 1)
    one, two = Adam(whole.parameters()), Adam(parts.parameters())
    x = DATA.train.normalised().reshape(-1, 784)[:8]
    loss = train_step(whole, one, x)
    y = parts.forward(x)
    assert loss == mse_forward(y, x)
    parts.backward(mse_backward(y, x))
    two.step()
    assert same_bits(weights(whole), weights(parts))


def test_evaluation_is_one_mean_over_all_images_and_leaves_no_trace():
    model = build("conv")
    x = pixels_for(model, DATA.test, "cpu")
    model.forward(x)
    before = weights(model)
    got = evaluate(model, x, batch_size=7)
    y = model.eval().forward(x)
    assert got == pytest.approx((y - x).square().mean().item(), rel=1e-6)
    assert same_bits(before, weights(model))


def test_denormals_are_flushed_inside_and_only_there():
    tiny = torch.tensor([torch.finfo(torch.float32).tiny])
    with flushing_denormals():
        with flushing_denormals():
            assert (tiny / 2).item() == 0
        assert (tiny / 2).item() == 0
    assert (tiny / 2).item() > 0


class TestNonFiniteLoss:
    """Training stops with a sentence that names the step and the first tensor that went bad."""

    def stop(self, model, data=DATA, **settings):
        with pytest.raises(ScratchaeError) as error:
            fit(model, data, device="cpu", progress=False, **settings)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_a_weight_that_is_not_a_number_is_named(self):
        model = build("fc")
        model.decoder[4].weight[3, 1] = float("nan")
        sentence = self.stop(model)
        assert "step 1 of epoch 1" in sentence
        assert "decoder.4.weight of Linear(16, 32)" in sentence
        assert "learning rate" in sentence

    def test_an_output_that_overflows_is_named(self):
        model = build("fc")
        model.encoder[0].weight.fill_(-1e38)  # the background is -1
        assert "the output of encoder.0, Linear(784, 128)" in self.stop(model)

    def test_a_huge_learning_rate_is_stopped_at_some_step_with_the_last_checkpoint_intact(
        self, tmp_path
    ):
        sentence = self.stop("fc", lr=1e30, out=tmp_path / "run")
        assert "lr is 1e+30" in sentence
        assert open_run(tmp_path / "run").epoch == 0
        for tensor in load_file(tmp_path / "run" / "weights.safetensors").values():
            assert tensor.isfinite().all()

    def test_a_bad_step_moves_nothing(self):
        model = build("fc")
        optimizer = Adam(model.parameters())
        before = weights(model)
        train_step(model, optimizer, torch.full((2, 784), float("inf")))
        assert same_bits(before, weights(model))


class TestRunFolder:
    def test_it_holds_config_history_weights_and_checkpoint(self, tmp_path):
        run = quick("conv", out=tmp_path / "run", seed=7, lr=2e-3)
        assert {p.name for p in run.folder.iterdir()} == {
            *("config.json", "history.csv", "weights.safetensors", "checkpoint.safetensors")
        }
        config = json.loads((run.folder / "config.json").read_text())
        assert (config["model"], config["seed"], config["lr"]) == ("conv", 7, 2e-3)
        assert config["versions"]["torch"] == torch.__version__
        read = pd.read_csv(run.folder / "history.csv")
        pd.testing.assert_frame_equal(read, run.history)

    def test_its_weights_load_into_the_torch_twin(self, tmp_path):
        run = quick("conv", out=tmp_path / "run")
        other = twin(build("conv", seed=99))
        other.load_state_dict(load_file(run.folder / "weights.safetensors"))
        x = pixels_for(run.model, DATA.test, "cpu")
        y = run.model.eval().forward(x)
        torch.testing.assert_close(other.eval()(x), y, rtol=1e-4, atol=1e-5)

    def test_it_opens_as_it_was(self, tmp_path):
        run = quick("conv", out=tmp_path / "run")
        again = open_run(tmp_path / "run")
        assert same_bits(weights(run.model), weights(again.model))
        assert again.rows == run.rows
        assert again.settings == run.settings
        for (epoch, x, y), (epoch2, x2, y2) in zip(run.outputs, again.outputs, strict=True):
            assert epoch == epoch2
            assert torch.equal(x, x2) and torch.equal(y, y2)

    @pytest.mark.parametrize("name", ["fc", "conv"])
    def test_a_resumed_run_ends_with_the_same_bits(self, name, tmp_path):
        straight = quick(name, epochs=4)
        for epochs in (1, 3, 4):
            resumed = quick(name, epochs=epochs, out=tmp_path / "run", resume=True)
        assert same_bits(weights(straight.model), weights(resumed.model))
        timeless = ["epoch", "train_loss", "test_loss"]
        pd.testing.assert_frame_equal(straight.history[timeless], resumed.history[timeless])
        assert torch.equal(straight.outputs[-1][2], resumed.outputs[-1][2])
        assert len(resumed.outputs) == 4

    def test_a_finished_run_stays_as_it_is(self, tmp_path):
        run = quick(out=tmp_path / "run")
        again = quick(out=tmp_path / "run", resume=True)
        assert again.rows == run.rows
        assert same_bits(weights(run.model), weights(again.model))

    @pytest.mark.parametrize(
        "file", ["config.json", "checkpoint.safetensors", "weights.safetensors", "history.csv"]
    )
    def test_stopping_in_the_middle_of_writing_any_file_loses_nothing(
        self, file, tmp_path, monkeypatch
    ):
        """As kill -9 would: what was being written is half there, under its own name."""
        import scratchae.files

        straight = quick(epochs=3)
        real = scratchae.files.Path.replace
        writes = 0

        def cut(self, target):
            nonlocal writes
            if target.name == file:
                writes += 1
                if writes == (1 if file == "config.json" else 3):
                    content = self.read_bytes()
                    self.write_bytes(content[: len(content) // 2])
                    raise SystemExit  # nothing behind this line happens
            return real(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(scratchae.files.Path, "replace", cut)
            patch.setattr(scratchae.files.Path, "unlink", lambda *a, **k: None)
            with pytest.raises(SystemExit):
                quick(epochs=3, out=tmp_path / "run")
        resumed = quick(epochs=3, out=tmp_path / "run", resume=True)
        assert same_bits(weights(straight.model), weights(resumed.model))
        assert not [p for p in (tmp_path / "run").iterdir() if p.name.startswith(".")]

    def test_an_interrupt_leaves_the_epochs_that_were_finished(self, tmp_path, monkeypatch):
        calls = 0
        step = Engine.step

        def interrupted(*args):
            nonlocal calls
            calls += 1
            if calls == 8:  # in the third epoch of three batches
                raise KeyboardInterrupt
            return step(*args)

        monkeypatch.setattr(Engine, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            quick(epochs=5, out=tmp_path / "run")
        run = open_run(tmp_path / "run")
        assert run.epoch == 2
        assert len(run.outputs) == 2


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_on_cuda_training_gives_the_losses_of_the_cpu_and_resumes(name, tmp_path):
    cpu = quick(name)
    cuda = quick(name, device="cuda")
    assert cuda.rows[-1]["train_loss"] == pytest.approx(cpu.rows[-1]["train_loss"], rel=1e-3)
    quick(name, device="cuda", epochs=1, out=tmp_path / "run")
    resumed = quick(name, device="cuda", epochs=2, out=tmp_path / "run", resume=True)
    assert resumed.rows[-1]["train_loss"] == pytest.approx(cuda.rows[-1]["train_loss"], rel=1e-4)
