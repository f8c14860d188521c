"""Every engine makes the steps of `eager`."""

import copy
import warnings
from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from scratchae.data import load
from scratchae.data.dataset import Dataset
from scratchae.engines import BufferedEngine, Engine, FrugalEngine, NotFiniteError, make_engine
from scratchae.engines.device import DeviceEngine
from scratchae.errors import ScratchaeError
from scratchae.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    LeakyReLU,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
    Unflatten,
)
from scratchae.layers.batchnorm import BatchNorm
from scratchae.models import build
from scratchae.optim import SGD, Adam, AdamW
from scratchae.training import fit

# compile and graph record what "device" carries out: test_engines_compiled.py, test_engines_cuda.py
HERE = {"eager": Engine, "buffered": BufferedEngine, "frugal": FrugalEngine, "device": DeviceEngine}
OTHERS = [name for name in HERE if name != "eager"]
ACTIVATIONS = st.sampled_from([ReLU, LeakyReLU, Tanh, Sigmoid, lambda: LeakyReLU(-0.5)])


@st.composite
def between(draw, norm, features: int) -> list:
    """Nothing, an activation, BatchNorm, or several in a row, also two activations."""
    layers = []
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            affine, momentum = draw(st.booleans()), draw(st.sampled_from([0.1, 0.5, None]))
            tracks = draw(st.booleans())
            layers.append(norm(features, 1e-3, momentum, affine, tracks))
        else:
            layers.append(draw(ACTIVATIONS)())
    return layers


@st.composite
def dense_models(draw) -> tuple[Sequential, tuple[int, ...]]:
    """(model, shape of one sample): Linear layers, and what can stand between them."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=2, max_size=4))
    sizes.append(sizes[0])
    layers = draw(between(BatchNorm1d, sizes[0]))
    for i in range(len(sizes) - 1):
        layers.append(Linear(sizes[i], sizes[i + 1], bias=draw(st.booleans())))
        layers += draw(between(BatchNorm1d, sizes[i + 1]))
    return Sequential(*layers), (sizes[0],)


@st.composite
def image_models(draw) -> tuple[Sequential, tuple[int, ...]]:
    """(model, shape of one sample): a transposed convolution says how large the images are."""
    channels, inner, code = draw(st.tuples(*[st.integers(1, 3)] * 3))
    small = draw(st.tuples(st.integers(2, 4), st.integers(2, 4)))
    stride, padding = draw(st.tuples(*[st.tuples(st.integers(1, 2), st.integers(1, 3))] * 2))
    padding = tuple(min(p, 1) if draw(st.booleans()) else 0 for p in padding)
    extra = tuple(draw(st.integers(0, s - 1)) for s in stride)
    up = ConvTranspose2d(
        *(inner, channels, draw(st.tuples(st.integers(2, 3), st.integers(2, 3))), stride),
        *(padding, extra, 1, draw(st.booleans()), draw(st.sampled_from([1, (1, 2), 2]))),
    )
    size = tuple(up.forward(torch.zeros(1, inner, *small)).shape[2:])
    up.forget()
    kernel = tuple(draw(st.integers(1, min(3, n))) for n in size)
    down = Conv2d(
        *(channels, code, kernel, draw(st.tuples(st.integers(1, 3), st.integers(1, 2)))),
        *(draw(st.tuples(st.integers(0, 1), st.integers(0, 2))), 1, 1, draw(st.booleans())),
    )
    after = tuple(down.forward(torch.zeros(1, channels, *size)).shape[1:])
    down.forget()
    features = after[0] * after[1] * after[2]
    layers = [
        *draw(between(BatchNorm2d, channels)),
        down,
        *draw(between(BatchNorm2d, code)),
        Flatten(),
        Linear(features, inner * small[0] * small[1]),
        Unflatten(1, (inner, *small)),
        *draw(between(BatchNorm2d, inner)),
        up,
        *draw(between(BatchNorm2d, channels)),
    ]
    return Sequential(Sequential(*layers[:3]), *layers[3:]), (channels, *size)


def on_a_kink(model: Sequential, x: torch.Tensor) -> bool:
    """Does rounding decide on which side of a kink some number lies, such as that of a channel
    without spread? Then two right orders of summation part."""
    before = None
    for _, layer in copy.deepcopy(model).leaves():
        if isinstance(layer, ReLU | LeakyReLU):
            near = x.abs() < 1e-9
            if (near if isinstance(before, BatchNorm) else near & (x != 0)).any():
                return True
        x, before = layer.forward(x), layer
    return False


def assert_close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    scale = max(1.0, b.abs().max().item()) if b.numel() else 1.0
    assert a.shape == b.shape and (a - b).abs().max().item() <= tolerance * scale


def assert_same_steps(name, model, optimizer, batches, tolerance) -> bool:
    """Losses, gradients, parameters and buffers of an engine are those of eager, step for step.

    False where a step comes to a kink: what comes after it is not compared.
    """
    other = copy.deepcopy(model)
    eager = Engine(model, optimizer(model.parameters()))
    engine = HERE[name](other, optimizer(other.parameters()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in batches:
            if on_a_kink(model, x):
                return False
            before = x.clone()
            assert_close(engine.step(x), eager.step(x), tolerance)
            assert torch.equal(x, before)
            assert_close(engine.optimizer.grad, eager.optimizer.grad, tolerance)
            for a, b in zip(other.state_dict().values(), model.state_dict().values(), strict=True):
                assert_close(a, b, tolerance)
    return True


@pytest.mark.parametrize("name", OTHERS)
@settings(deadline=None, max_examples=100)
@given(case=st.one_of(dense_models(), image_models()), seed=st.integers(0, 2**32))
def test_any_row_of_layers_makes_the_steps_of_eager_for_every_batch_size(name, case, seed):
    model, shape = case
    model.to(torch.float64)
    generator = torch.Generator().manual_seed(seed)
    batches = [
        torch.randn(n, *shape, generator=generator, dtype=torch.float64) for n in (4, 4, 2, 7, 3)
    ]
    sgd = partial(SGD, lr=0.01, weight_decay=0.1)
    assume(assert_same_steps(name, model, sgd, batches, 1e-9))


@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW, partial(Adam, amsgrad=True)])
@pytest.mark.parametrize("model", ["fc", "conv"])
@pytest.mark.parametrize("name", OTHERS)
def test_the_models_of_record_make_the_steps_of_eager(name, model, optimizer):
    model = build(model, seed=1).to(torch.float64)
    generator = torch.Generator().manual_seed(0)
    batches = [
        torch.rand(n, *model.input_shape, generator=generator, dtype=torch.float64) * 2 - 1
        for n in (40, 40, 17, 40)
    ]
    assert assert_same_steps(name, model, optimizer, batches, 1e-10)


class Storages(TorchDispatchMode):
    """Collects the storages that operators give back and nobody has seen."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.new, self.alive = known, [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.alive.append(tensor)  # so that its address is not used again
                if tensor.untyped_storage().data_ptr() not in self.known:
                    self.new.append(func)
        return result


def known_to(engine: BufferedEngine) -> set[int]:
    o = engine.optimizer
    tensors = [o.value, o.grad, *o.state.values(), engine.scratch, *engine.buffers.all()]
    tensors += engine.model.state_dict().values()
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


@pytest.mark.parametrize("model", ["fc", "conv"])
def test_a_buffered_step_allocates_nothing_after_the_first(model):
    model = build(model)
    engine = BufferedEngine(model, Adam(model.parameters(), weight_decay=1e-5))
    images = torch.rand(100, *model.input_shape)
    index = torch.arange(32)
    engine.step(engine.pick(images, index))
    with Storages(known_to(engine)) as storages:
        engine.step(engine.pick(images, index))
    assert storages.alive and not storages.new


def test_the_watch_over_storages_would_notice_eager():
    model = build("fc")
    engine = BufferedEngine(model, Adam(model.parameters()))
    x = torch.rand(8, 784)
    engine.step(x)
    with Storages(known_to(engine) | {x.untyped_storage().data_ptr()}) as storages:
        Engine(model, engine.optimizer).step(x)
    assert storages.new


def test_a_smaller_batch_uses_the_memory_of_the_larger():
    model = build("conv")
    engine = BufferedEngine(model, Adam(model.parameters()))
    engine.step(torch.rand(64, 1, 28, 28))
    memory = engine.buffers.bytes()
    for n in (2, 37, 63):
        engine.step(torch.rand(n, 1, 28, 28))
    assert engine.buffers.bytes() == memory


class Doubled(Linear):
    """A user's own layer."""

    def forward(self, x):
        return super().forward(2 * x)

    def backward(self, dy):
        return 2 * super().backward(dy)


class Residual(Sequential):
    """A row with a way around it."""

    def forward(self, x):
        return x + super().forward(x)

    def backward(self, dy):
        return dy + super().backward(dy)


@pytest.mark.parametrize(
    ("layers", "shape", "said"),
    [
        ([Doubled(4, 4)], (4,), "Doubled(4, 4)"),
        ([Residual(Linear(4, 4))], (4,), "Residual"),
        ([Conv2d(2, 2, 3, padding=1, groups=2)], (2, 4, 4), "groups"),
        ([BatchNorm1d(3)], (3, 5), "(5, 3, 5)"),
        ([Unflatten(1, (2, 2)), Flatten(), Linear(4, 4)], (4,), "Unflatten"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_layer_without_a_buffered_form_is_named_and_steps_are_those_of_eager(layers, shape, said):
    model = Sequential(*layers)
    other = copy.deepcopy(model)
    engine = BufferedEngine(model, SGD(model.parameters(), lr=0.1))
    eager = Engine(other, SGD(other.parameters(), lr=0.1))
    x = torch.randn(5, *shape)
    with pytest.warns(UserWarning, match="the buffered engine does not support") as caught:
        loss = engine.step(x)
    assert said in str(caught[0].message) and len(caught) == 1
    assert torch.equal(loss, eager.step(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        engine.step(x)
    eager.step(x)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", HERE)
def test_a_loss_that_is_not_finite_moves_nothing_and_is_told_with_its_step(name):
    model = build("fc")
    engine = HERE[name](model, Adam(model.parameters()))
    images = torch.rand(12, 784)
    images[9] = float("nan")
    seen = []
    batches = [torch.arange(0, 4), torch.arange(4, 8), torch.arange(8, 12)]
    with pytest.raises(NotFiniteError) as caught:
        engine.epoch(images, batches, lambda: seen.append(engine.optimizer.value.clone()))
    looks_later = name == "device"
    assert caught.value.step == 3 and engine.optimizer.steps == 2
    assert len(seen) == (3 if looks_later else 2)
    assert torch.equal(caught.value.batch.nan_to_num(7), images[8:].nan_to_num(7))
    assert not torch.equal(seen[0], seen[1])
    assert all(torch.equal(engine.optimizer.value, value) for value in seen[1:])


@pytest.mark.parametrize("name", HERE)
def test_an_epoch_adds_up_the_losses_of_all_images(name):
    model, other = build("fc"), build("fc")
    engine = HERE[name](model, SGD(model.parameters(), lr=0.01))
    by_hand = Engine(other, SGD(other.parameters(), lr=0.01))
    images, batches = torch.rand(10, 784), [torch.tensor([3, 1, 9, 0]), torch.tensor([5, 2])]
    total = sum(by_hand.step(images[index]).double() * len(index) for index in batches)
    found = engine.epoch(images, batches)
    assert found.dtype == torch.float64 and found.item() == pytest.approx(total.item(), rel=1e-6)


def test_what_a_layer_refuses_the_buffered_engine_refuses_in_the_same_sentence():
    model = Sequential(Linear(4, 4), BatchNorm1d(4))
    engine = BufferedEngine(model, Adam(model.parameters()))
    with pytest.raises(ScratchaeError, match=r"expects .* but got"):
        engine.step(torch.randn(3, 5))
    with pytest.raises(ScratchaeError, match="which has no spread"):
        engine.step(torch.randn(1, 4))
    engine.step(torch.randn(3, 4))
    model.eval()
    with pytest.raises(ScratchaeError, match="evaluation mode"):
        engine.step(torch.randn(3, 4))


def test_an_unknown_engine_is_answered_with_those_there_are():
    with pytest.raises(
        ScratchaeError, match="'warp': use eager, buffered, frugal, compile or graph"
    ):
        make_engine("warp", build("fc"), None)


@pytest.mark.parametrize("model", ["fc", "conv"])
@pytest.mark.parametrize("name", ["buffered"])
def test_a_run_ends_where_that_of_eager_ends(name, model):
    sample = load("sample")
    digits = Dataset(
        "few",
        sample.train.select(torch.arange(150)),
        sample.test.select(torch.arange(50)),
    )
    runs = [
        fit(model, digits, epochs=2, batch_size=64, engine=engine, device="cpu", progress=False)
        for engine in ("eager", name)
    ]
    for a, b in zip(*(run.rows for run in runs), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-5)
        assert a["test_loss"] == pytest.approx(b["test_loss"], rel=2e-3)
