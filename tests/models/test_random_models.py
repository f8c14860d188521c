"""Models that draw noise train alike in every engine, in sweeps, with several workers, and resumed."""

import copy
import math

import pytest
import torch
from torch import Tensor

from reference.twins import twin
from scratchae.data import Batches
from scratchae.distributed import DataParallel
from scratchae.engines import Engine, make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.errors import ScratchaeError
from scratchae.layers import (
    GaussianSampling,
    Linear,
    Residual,
    Sequential,
    Sigmoid,
    Tanh,
    kl_forward,
)
from scratchae.losses import BCEWithLogitsLoss, ContinuousBernoulliLoss, MSELoss
from scratchae.models import VAE, Autoencoder, build, names, register
from scratchae.models.registry import options_of
from scratchae.noise import noise_keys
from scratchae.optim import Adam
from scratchae.step import compute_loss, train_step
from scratchae.sweep import sweep
from scratchae.training import evaluate, fit, open_run
from scratchae.training.evaluation import loss_and_penalty, reconstruct
from scratchae.training.preparation import pixels_for
from tests.helpers.runs import few_digits, same_bits, weights
from tests.helpers.tensors import assert_close
from tests.helpers.workers import in_threads

DATA = few_digits()


def two_samplings(generator: torch.Generator | None = None) -> VAE:
    """Two random layers, one of them inside a skip: each must get noise of its own."""
    g = generator
    inner = Sequential(Linear(6, 6, generator=g), GaussianSampling(0.1), Linear(3, 6, generator=g))
    encoder = Sequential(Linear(784, 6, generator=g), Residual(inner), Tanh())
    decoder = Sequential(Linear(3, 784, generator=g))
    loss = BCEWithLogitsLoss(reduction="batchmean")
    return VAE(encoder, decoder, (784,), loss, latent=3)


register("two-samplings", two_samplings)
RANDOM = ["vae,latent=3,beta=0.5", "two-samplings", "linear-vae,latent=2"]


def images(model: Autoencoder, count: int = 50) -> Tensor:
    return pixels_for(model, few_digits(count).train, torch.device("cpu")).double()


def ours(name: str) -> Autoencoder:
    return build(name, seed=3).to(torch.float64)


def quick(name: str, **settings):
    return fit(name, DATA, **{"epochs": 2, "device": "cpu", "progress": False, **settings})


# ------------------------------------------------------------------------------------- the step
@pytest.mark.parametrize("name", RANDOM)
def test_steps_equal_those_of_the_torch_twin_with_the_same_noise(name):
    model = ours(name)
    module = twin(model)
    optimizer, theirs = Adam(model.parameters()), torch.optim.Adam(module.parameters())
    x, bce = images(model), torch.nn.functional.binary_cross_entropy_with_logits
    for step in range(3):
        loss = train_step(model, optimizer, x, keys=noise_keys(0, step, 50))
        theirs.zero_grad()
        y = module(x)
        own = getattr(module, "loss", None)
        expected = bce(y, x, reduction="sum") / 50 if own is None else own(y, x)
        expected = expected + sum(m.penalty for m in module.modules() if hasattr(m, "penalty"))
        expected.backward()
        theirs.step()
        assert_close("loss", loss, expected, 1e-10)
    for (key, p), q in zip(model.named_parameters(), module.parameters(), strict=True):
        assert_close(key, p, q, 1e-8)


@pytest.mark.parametrize("name", RANDOM)
def test_the_gradient_is_that_of_finite_differences_if_the_noise_is_fixed(name):
    model, keys = ours(name), noise_keys(0, 1, 5)
    x = images(model, 5)
    optimizer = Adam(model.parameters(), lr=0.0)
    train_step(model, optimizer, x, keys=keys)
    direction = torch.randn(optimizer.value.shape, dtype=torch.float64)
    h, values = 1e-6, []
    for side in (h, -h):
        optimizer.value.add_(direction, alpha=side)
        values.append(compute_loss(model, x, keys=keys).item())
        optimizer.value.sub_(direction, alpha=side)
    slope = (optimizer.grad * direction).sum().item()
    assert slope == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5)


def test_random_layers_get_different_noise_and_the_same_again_for_the_same_keys():
    model, keys = ours("two-samplings"), noise_keys(0, 1, 5)
    assert model.set_keys(keys) == 2
    inner, outer = (layer for _, layer in model.modules() if layer.random)
    mu = torch.zeros(5, 3, dtype=torch.float64)
    assert not torch.equal(inner.noise(mu), outer.noise(mu))
    first = model.forward(images(model, 5))
    assert torch.equal(model.forward(images(model, 5)), first)
    model.set_keys(noise_keys(0, 2, 5))
    assert not torch.equal(model.forward(images(model, 5)), first)


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        (RANDOM[0], "compile"),
        *(pytest.param(name, "compile", marks=pytest.mark.slow) for name in RANDOM[1:]),
        *((name, engine) for name in RANDOM for engine in ("device", "buffered")),
    ],
)
@pytest.mark.filterwarnings("ignore:the buffered engine does not support")
def test_every_engine_draws_the_noise_of_eager(name, engine):
    found = []
    for kind in ("eager", engine):
        model = ours(name)
        optimizer = Adam(model.parameters(), eps=1e-3)
        made = DeviceEngine if kind == "device" else None
        stepper = made(model, optimizer) if made else make_engine(kind, model, optimizer)
        x, keys = images(model), noise_keys(4, 1, 50)
        total = stepper.epoch(x, Batches(50, 20, seed=1).epoch(1), keys=keys)
        loss = stepper.step(x[:7], keys=keys[:7])
        found.append((total.item(), loss.item(), optimizer.value.clone()))
    (total, loss, value), (its_total, its_loss, its_value) = found
    assert its_total == pytest.approx(total, rel=1e-10)
    assert its_loss == pytest.approx(loss, rel=1e-10)
    assert_close("parameters", its_value, value, 1e-8)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", RANDOM)
def test_several_workers_draw_the_noise_of_one(name, size):
    start, x, keys = ours(name), images(ours(name)), noise_keys(4, 1, 50)

    def epoch(workers):
        model = copy.deepcopy(start)
        engine = Engine(model, Adam(model.parameters(), eps=1e-3))
        if workers is not None:
            engine = DataParallel(engine, workers)
        batches = Batches(50, 7, seed=1).epoch(1)  # the last batch has one image
        return engine.epoch(x, batches, keys=keys).item(), engine.optimizer.value.clone()

    total, value = epoch(None)
    for its_total, its_value in in_threads(size, epoch):
        assert its_total == pytest.approx(total, rel=1e-10)
        assert_close("parameters", its_value, value, 1e-8)


# --------------------------------------------------------------------------------------- training
@pytest.mark.parametrize("name", RANDOM)
def test_a_resumed_run_ends_with_the_same_bits(name, tmp_path):
    whole = quick(name, epochs=3)
    quick(name, epochs=1, out=tmp_path)
    resumed = quick(name, epochs=3, out=tmp_path, resume=True)
    assert same_bits(weights(whole.model), weights(resumed.model))
    for key in ("train_loss", "test_loss", "test_penalty"):
        assert whole.history[key].tolist() == resumed.history[key].tolist()
    assert same_bits(weights(open_run(tmp_path).model), weights(whole.model))


@pytest.mark.parametrize("name", RANDOM)
def test_another_seed_or_epoch_draws_other_noise(name):
    start = ours(name)
    x = images(start)
    losses = {
        compute_loss(start, x, keys=noise_keys(seed, epoch, 50)).item()
        for seed, epoch in ((0, 1), (0, 2), (1, 1))
    }
    assert len(losses) == 3


@pytest.mark.parametrize("name", RANDOM)
def test_a_model_in_a_sweep_is_trained_as_alone(name):
    found = sweep(
        name,
        DATA,
        lr=[1e-3, 3e-3],
        seeds=[1, 2],
        epochs=2,
        batch_size=32,
        weight_decay=0.0,
        device="cpu",
        progress=False,
    )
    for trial in found.trials:
        own = trial.run.settings
        alone = quick(name, batch_size=32, lr=own.lr, weight_decay=0.0, seed=own.seed, epochs=2)
        assert list(alone.history) == list(trial.run.history)
        for key in ("train_loss", "test_loss", "test_penalty"):
            expected = pytest.approx(alone.history[key].tolist(), rel=1e-4)
            assert trial.run.history[key].tolist() == expected


def test_the_penalty_of_the_test_images_is_in_the_history_if_there_is_one():
    row = quick("vae,latent=2", epochs=1).rows[0]
    assert 0 < row["test_penalty"] < row["test_loss"]
    assert "test_penalty" not in quick("fc", epochs=1).rows[0]


def test_evaluation_is_the_same_each_time_and_contains_the_noise():
    model = build("vae", seed=1)
    x = images(model).float()
    loss, penalty = loss_and_penalty(model, x)
    assert loss == evaluate(model, x) and 0 < penalty < loss
    assert loss != evaluate(model, x, keys=noise_keys(1, 0, 50))
    mu, logvar = model.posterior(x)
    assert penalty == pytest.approx(kl_forward(mu, logvar).item(), rel=1e-5)
    assert math.isnan(loss_and_penalty(build("fc"), images(build("fc")).float())[1])


# ------------------------------------------------------------------------------- ranges and pixels
def test_images_have_the_models_range_and_outputs_become_images():
    model = build("vae", seed=1)
    x = images(model).float()
    assert x.min() == 0 and x.max() == 1
    y = reconstruct(model, x)
    assert y.shape == x.shape and y.min() > 0 and y.max() < 1
    assert torch.allclose(y, torch.sigmoid(model.eval()(x)))
    assert images(build("fc")).min() == -1


def test_targets_outside_of_the_losss_range_are_refused_in_one_sentence():
    model = build("fc")
    with pytest.raises(
        ScratchaeError, match=r"expects targets in \[0, 1\] but got -1 to 1"
    ) as caught:
        fit(model, DATA, loss=BCEWithLogitsLoss(), epochs=1, device="cpu", progress=False)
    assert "\n" not in str(caught.value)
    model.loss = BCEWithLogitsLoss()
    with pytest.raises(ScratchaeError, match=r"\[0, 1\]"):
        evaluate(model, images(model).float())
    model.loss = MSELoss()
    evaluate(model, images(model).float())


@pytest.mark.parametrize("loss", [BCEWithLogitsLoss(), ContinuousBernoulliLoss()], ids=repr)
@pytest.mark.parametrize("last", [Tanh(), Sigmoid()], ids=repr)
def test_an_activation_between_the_logits_and_their_loss_is_refused_in_one_sentence(last, loss):
    def model(*layers, own=None):
        parts = Sequential(Linear(784, 3)), Sequential(Linear(3, 784), *layers)
        return Autoencoder(*parts, (784,), own, pixel_range=(0.0, 1.0))

    settings = {"epochs": 1, "device": "cpu", "progress": False}
    for own, extra in ((loss, {}), (None, {"loss": loss})):
        with pytest.raises(ScratchaeError, match=r"takes logits.* the decoder ends with") as caught:
            fit(model(last, own=own), DATA, **settings, **extra)
        assert "\n" not in str(caught.value) and repr(last) in str(caught.value)
    for allowed in (model(own=loss), model(last), model(last, Linear(784, 784), own=loss)):
        fit(allowed, DATA, **settings)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: build("vae,latent=0"), "vae expects latent to be an integer of at least 1"),
        (lambda: build("vae,latent=2.5"), "latent to be an integer"),
        (lambda: build("vae,beta=-1"), "beta to be a number >= 0, such as vae,beta=0.5"),
        (
            lambda: build("residual,blocks=0"),
            "residual expects blocks to be an integer of at least 1",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(make, said):
    with pytest.raises(ScratchaeError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", names())
def test_every_model_encodes_decodes_and_takes_its_own_range(name):
    model = build(name).eval()
    x = images(model, 3).float()
    y = model.expected(model.decode(model.encode(x)))
    assert y.shape == x.shape and build(model.name).name == model.name
    if model.pixel_range == (0.0, 1.0):
        assert y.min() >= 0 and y.max() <= 1


OPTIONS = [
    (name, option)
    for name in ("fc", "vae", "conv-vae", "linear-vae", "residual", "plain-deep")
    for option in options_of(name)
]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_of_a_model_changes_its_loss(name, option):
    value = options_of(name)[option]
    losses = []
    for chosen in (value, value + 1):
        model = build(name, seed=1, **{option: chosen}).to(torch.float64)
        losses.append(compute_loss(model, images(model, 5), keys=noise_keys(0, 1, 5)).item())
    assert abs(losses[0] - losses[1]) > 1e-6


def test_the_racers_have_equally_many_parameters_and_equal_first_weights():
    residual, plain = build("residual", seed=3), build("plain-deep", seed=3)
    assert [p.shape for p in residual.parameters()] == [p.shape for p in plain.parameters()]
    pairs = zip(residual.parameters(), plain.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)
