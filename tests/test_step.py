"""The one step, with a model that the library knows nothing of: every way to train makes it.

The model of this file has two paths that are summed, a penalty, a loss of its own, and a target that
is not its input: it learns to mirror a digit.
"""

import copy
import warnings
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from scratchae.data import Batches
from scratchae.distributed import DataParallel, Workers
from scratchae.engines import ENGINES, Engine, make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.errors import ScratchaeError
from scratchae.layers import BatchNorm1d, Layer, Linear, ReLU, Sequential, Tanh
from scratchae.losses import Loss
from scratchae.models import Autoencoder, build, register
from scratchae.optim import SGD, Adam, AdamW
from scratchae.step import add_gradients, compute_loss, train_step
from scratchae.sweep import BatchedModel, sweep
from scratchae.training import evaluate, fit, open_run
from tests.helpers.runs import few_digits, same_bits, weights
from tests.helpers.tensors import assert_close
from tests.helpers.workers import Processes, in_threads

STRENGTH = 0.01


class TwoPaths(Layer):
    """y = first(x) + second(x): x is the input of both, so dx is the sum of both dx."""

    def __init__(self, first: Layer, second: Layer) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return self.remember(self.first.forward(x) + self.second.forward(x))

    def backward(self, dy: Tensor) -> Tensor:
        self.recall(dy)
        return self.first.backward(dy) + self.second.backward(dy)


class ActivityPenalty(Layer):
    """y = x, and the loss grows by STRENGTH · mean(x²)."""

    def forward(self, x: Tensor) -> Tensor:
        self.penalty = STRENGTH * x.square().mean()
        return self.remember(x, x)

    def backward(self, dy: Tensor) -> Tensor:
        (x,) = self.recall(dy)
        return dy + (2 * STRENGTH / x.numel()) * x


class SmoothL1Loss(Loss):
    """d² / 2 up to |d| = 1, |d| − 1/2 beyond, where d = p − t; the mean over all elements."""

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        d = prediction - target
        small = d.abs() < 1
        return self.remember(torch.where(small, d * d / 2, d.abs() - 0.5).mean(), d)

    def backward(self) -> Tensor:
        (d,) = self.recall()
        return d.clamp(-1, 1) / d.numel()


class MirrorModel(Autoencoder):
    def target(self, x: Tensor) -> Tensor:
        return x.view(-1, 28, 28).flip(2).reshape(x.shape)


def mirror(generator: torch.Generator | None = None) -> Autoencoder:
    """784-20-784, with two paths in the encoder, learns to mirror a digit."""
    g = generator
    deep = Sequential(Linear(784, 30, generator=g), ReLU(), Linear(30, 20, bias=False, generator=g))
    encoder = Sequential(
        TwoPaths(deep, Linear(784, 20, bias=False, generator=g)), BatchNorm1d(20), ActivityPenalty()
    )
    decoder = Sequential(Linear(20, 784, generator=g), Tanh())
    return MirrorModel(encoder, decoder, input_shape=(784,), loss=SmoothL1Loss())


register("mirror", mirror)


class Twin(nn.Module):
    """The same model in torch.nn; its keys are those of ours."""

    def __init__(self) -> None:
        super().__init__()
        paths = nn.Module()
        paths.first = nn.Sequential(nn.Linear(784, 30), nn.ReLU(), nn.Linear(30, 20, bias=False))
        paths.second = nn.Linear(784, 20, bias=False)
        self.encoder = nn.Sequential(paths, nn.BatchNorm1d(20), nn.Identity())
        self.decoder = nn.Sequential(nn.Linear(20, 784), nn.Tanh())

    def loss(self, x: Tensor) -> Tensor:
        paths, norm, _ = self.encoder
        code = norm(paths.first(x) + paths.second(x))
        target = x.view(-1, 28, 28).flip(2).reshape(x.shape)
        loss = nn.functional.smooth_l1_loss(self.decoder(code), target)
        return loss + STRENGTH * code.square().mean()


def digits(count: int) -> Tensor:
    return few_digits(count).train.normalised().view(count, 784).double()


def ours() -> Autoencoder:
    return build("mirror", seed=3).to(torch.float64)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_it_trains_in_lockstep_with_torch_nn(kind):
    model, twin = ours(), Twin().double()
    twin.load_state_dict(copy.deepcopy(model.state_dict()))
    chosen = {"lr": 0.01} if kind == "SGD" else {"lr": 0.01, "eps": 1e-3}  # no steps of rounding
    optimizer = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW}[kind](model.parameters(), **chosen)
    theirs = getattr(torch.optim, kind)(twin.parameters(), **chosen)
    x = digits(150)
    for rows in torch.arange(150).split(32):
        target = model.target(x[rows])
        loss = train_step(model, optimizer, x[rows], target)
        theirs.zero_grad()
        expected = twin.loss(x[rows])
        expected.backward()
        theirs.step()
        assert_close("loss", loss, expected, 1e-12)
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            assert_close("gradient", p.grad, q.grad, 1e-9, scale=1e-6)
            assert_close("parameter", p, q, 1e-9)
    model.eval(), twin.eval()
    with torch.no_grad():
        assert_close("test loss", compute_loss(model, x, model.target(x)), twin.loss(x), 1e-9)
    assert evaluate(model, x, model.target(x)) == pytest.approx(twin.loss(x).item(), rel=1e-9)


@pytest.mark.parametrize("name", [*ENGINES, "device"])
def test_every_engine_makes_its_steps(name):
    if name == "graph" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    device = "cuda" if name == "graph" else "cpu"
    x, epochs = digits(50).to(device), 2
    found = []
    for kind in ("eager", name):
        model = ours().to(device)
        optimizer = Adam(model.parameters(), eps=1e-3)
        make = DeviceEngine if kind == "device" else partial(make_engine, kind)
        engine = make(model, optimizer)
        with warnings.catch_warnings():
            if kind not in ("buffered", "frugal"):  # these have no form of such a model, and say so
                warnings.simplefilter("error")
            batches, targets = Batches(50, 16, 0, x.device), model.target(x)
            totals = [
                engine.epoch(x, batches.epoch(e), targets=targets).item() for e in range(epochs)
            ]
            totals.append(engine.step(x[:9], targets[:9]).item())
        found.append((totals, weights(model)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-9)
    for key, expected in found[0][1].items():
        assert_close(key, found[1][1][key], expected, 1e-7)


@pytest.mark.parametrize("name", ["buffered", "frugal"])
def test_an_engine_without_a_form_for_it_says_so(name):
    model = ours()
    engine = make_engine(name, model, Adam(model.parameters()))
    with pytest.warns(
        UserWarning, match=f"the {name} engine has no form .*: the steps are those of"
    ):
        engine.step(digits(4), model.target(digits(4)))


@pytest.mark.parametrize("engine", ["eager", "buffered", "compile"])
def test_it_is_trained_by_name_and_resumes_bit_for_bit(engine, tmp_path):
    def run(folder, epochs, resume=False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fit(
                "mirror",
                few_digits(),
                epochs=epochs,
                engine=engine,
                out=tmp_path / folder,
                resume=resume,
                device="cpu",
                progress=False,
            )

    straight = run("straight", 3)
    run("stopped", 1)
    resumed = run("stopped", 3, resume=True)
    assert same_bits(weights(straight.model), weights(resumed.model))
    losses = ["train_loss", "test_loss"]
    assert straight.history[losses].equals(resumed.history[losses])
    assert straight.rows[-1]["train_loss"] < straight.rows[0]["train_loss"]
    opened = open_run(tmp_path / "stopped")
    assert same_bits(weights(opened.model), weights(resumed.model))
    assert opened.settings.loss == "SmoothL1Loss()"
    images = few_digits().test.normalised().view(-1, 784)
    expected = evaluate(opened.model, images, opened.model.target(images))
    assert straight.rows[-1]["test_loss"] == pytest.approx(expected, rel=1e-6)


def gradients_of_shares(workers: Workers, x: Tensor, counts: list[int]) -> list[Tensor]:
    torch.manual_seed(0)
    model = ours()
    engine = DataParallel(make_engine("eager", model, SGD(model.parameters(), lr=0.1)), workers)
    start = sum(counts[: workers.rank])
    own = x[start : start + counts[workers.rank]]
    loss = engine.step(own, model.target(own))
    return [loss.clone(), engine.optimizer.grad.clone(), engine.optimizer.value.clone()]


@pytest.mark.parametrize("counts", [[6, 6], [3, 9], [12, 0], [5, 4, 3]])
def test_several_workers_make_the_step_of_one(counts):
    x, model = digits(12), ours()
    engine = Engine(model, SGD(model.parameters(), lr=0.1))
    loss = engine.step(x, model.target(x))
    for found in in_threads(len(counts), gradients_of_shares, x, counts):
        for name, got, expected in zip(
            ("loss", "gradient", "parameters"),
            found,
            (loss, engine.optimizer.grad, engine.optimizer.value),
            strict=True,
        ):
            assert_close(name, got, expected, 1e-12)


def train_by_name(workers: Workers) -> list:
    run = fit(
        "mirror",
        few_digits(),
        epochs=2,
        optimizer=partial(Adam, eps=1e-3),
        device="cpu",
        progress=False,
    )
    return [run.history[["train_loss", "test_loss"]].values.tolist(), run.model.parameters()]


def test_two_processes_train_it_by_name():
    alone = train_by_name(Workers())
    for losses, parameters in Processes(2, train_by_name).results():
        torch.testing.assert_close(
            torch.tensor(losses), torch.tensor(alone[0]), rtol=1e-4, atol=1e-5
        )
        for p, q in zip(parameters, alone[1], strict=True):
            torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)


def test_a_sweep_trains_it_beside_others_of_its_kind():
    rates, seeds, data = [1e-3, 1e-2], [0, 1], few_digits()
    found = sweep("mirror", data, lr=rates, seeds=seeds, epochs=2, device="cpu", progress=False)
    for trial in found.trials:
        settings = trial.run.settings
        alone = fit(
            "mirror",
            data,
            epochs=2,
            lr=settings.lr,
            seed=settings.seed,
            device="cpu",
            progress=False,
        )
        for which in ("train_loss", "test_loss"):
            expected = [row[which] for row in alone.rows]
            assert [row[which] for row in trial.run.rows] == pytest.approx(expected, rel=1e-3)


def test_a_step_of_many_models_is_the_step_of_each():
    models = [build("mirror", seed=seed).to(torch.float64) for seed in (0, 1, 2)]
    batched = BatchedModel(models)
    together = Adam(batched.parameters(), lr=0.01)
    single = [Adam(model.parameters(), lr=0.01) for model in models]
    x = digits(96)
    for rows in torch.arange(96).split(32):
        parts = x[rows], x[rows].flip(0), x[rows] / 2  # each model has a batch of its own
        targets = [model.target(part) for model, part in zip(models, parts, strict=True)]
        losses = train_step(
            batched,
            together,
            torch.stack(parts),
            torch.stack(targets),
            update=lambda optimizer, losses: optimizer.step(),
        )
        for index, (model, optimizer) in enumerate(zip(models, single, strict=True)):
            loss = train_step(model, optimizer, parts[index], targets[index])
            assert_close("loss", losses[index], loss, 1e-10)
    for index, model in enumerate(models):
        for key, got in batched.state_of(index).items():
            assert_close(key, got, model.state_dict()[key], 1e-7)


def test_a_penalty_enters_the_loss_and_its_gradient_the_layer_before():
    model = Sequential(Linear(3, 3), ActivityPenalty()).to(torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64)
    weight = model[0].weight.clone().requires_grad_()
    y = x @ weight.T + model[0].bias
    expected = (y - x).square().mean() + STRENGTH * y.square().mean()
    expected.backward()
    loss = add_gradients(model, x)
    assert_close("loss", loss, expected, 1e-12)
    assert_close("dweight", model[0].weight.grad, weight.grad, 1e-12)
    assert [p.item() for p in model.penalties()] == [
        pytest.approx((loss - (y - x).square().mean()).item())
    ]
    model.forget()
    assert not list(model.penalties())


class TestArgumentsOfFit:
    """fit(optimizer=, loss=) as a user of torch expects them."""

    def test_a_function_that_makes_an_optimizer(self, tmp_path):
        def run(epochs, **more):
            return fit(
                "fc",
                few_digits(),
                epochs=epochs,
                optimizer=lambda parameters: SGD(parameters, lr=0.05, momentum=0.9),
                out=tmp_path / "run",
                device="cpu",
                progress=False,
                **more,
            )

        first = run(1)
        assert first.settings.optimizer == "SGD(lr=0.05, momentum=0.9)"
        assert first.settings.lr == 0.05 and first.settings.weight_decay == 0
        assert run(2, resume=True).epoch == 2
        with pytest.raises(ScratchaeError, match=r"was started with lr = 0\.05, not 0\.001"):
            fit("fc", few_digits(), out=tmp_path / "run", resume=True, device="cpu")

    def test_an_optimizer_of_the_model_and_a_loss(self):
        model = build("fc", seed=1)
        optimizer = AdamW(model.parameters(), lr=1e-3)
        run = fit(
            model,
            few_digits(),
            epochs=1,
            optimizer=optimizer,
            loss=SmoothL1Loss(),
            device="cpu",
            progress=False,
        )
        assert optimizer.steps == 3 and run.settings.loss == "SmoothL1Loss()"
        other = fit("fc", few_digits(), epochs=1, seed=1, device="cpu", progress=False)
        assert run.rows[0]["train_loss"] < other.rows[0]["train_loss"]  # of half the square

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"optimizer": SGD, "lr": 0.1}, "pass them to your optimizer"),
            ({"optimizer": lambda p: SGD(p[1:])}, "with all of the model's parameters"),
            ({"optimizer": lambda p: torch.optim.SGD(p)}, "an optimizer of scratchae.optim"),
        ],
    )
    def test_what_cannot_be_is_said_in_one_sentence(self, given, said):
        with pytest.raises(ScratchaeError, match=said):
            fit("fc", few_digits(), epochs=1, device="cpu", progress=False, **given)
