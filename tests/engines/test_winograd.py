"""Convolutions at points give what the taps give."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchae.engines import BufferedEngine, Engine, FrugalEngine
from scratchae.engines.buffered import winograd
from scratchae.engines.buffered.toom_cook import MOST_POINTS, Transform, toom_cook
from scratchae.layers import BatchNorm2d, Conv2d, ConvTranspose2d, ReLU, Sequential
from scratchae.models import build
from scratchae.optim import Adam

SIZES = [(m, t + 1 - m) for t in range(1, MOST_POINTS + 1) for m in range(1, t + 1)]


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_products_at_points_correlate_and_so_do_their_transposes(m, r):
    A, G, B = toom_cook(m, r)
    d, g, dy = (torch.randn(n, dtype=torch.float64) for n in (m + r - 1, r, m))
    windows = d.unfold(0, r, 1)  # (m, r)
    torch.testing.assert_close(A @ ((G @ g) * (B @ d)), windows @ g)
    torch.testing.assert_close(G.T @ ((B @ d) * (A.T @ dy)), windows.T @ dy)


@given(
    sizes=st.tuples(*[st.integers(1, 4)] * 6), seed=st.integers(0, 2**32 - 1), back=st.booleans()
)
def test_images_come_to_points_and_back_by_two_matrices(sizes, seed, back):
    H, W, n, C, more, wider = sizes
    g = torch.Generator().manual_seed(seed)
    M = torch.randn(H + more, H, dtype=torch.float64, generator=g)
    N = torch.randn(W + wider, W, dtype=torch.float64, generator=g)
    images = torch.randn(H, n, W, C, dtype=torch.float64, generator=g)
    points = torch.randn(len(M) * len(N) * n * C, dtype=torch.float64, generator=g)
    values = points.view(len(M), len(N), n, C).clone()
    transform = Transform(M, N, images, points, images.new_empty(len(M) * n * W * C))
    if back:
        transform.to_images()
        torch.testing.assert_close(images, torch.einsum("sh,stnc,tw->hnwc", M, values, N))
    else:
        transform.to_points()
        want = torch.einsum("sh,hnwc,tw->stnc", M, images, N)
        torch.testing.assert_close(transform.values.view_as(want), want)


@st.composite
def there_and_back(draw) -> tuple[Sequential, tuple[int, ...]]:
    """(model, shape of a sample): a Conv2d and its ConvTranspose2d that fit into one tile."""
    kernel = draw(st.tuples(*[st.integers(1, 4)] * 2))
    positions = [draw(st.integers(1, MOST_POINTS + 1 - k)) for k in kernel]
    padding = tuple(
        draw(st.integers(0, min(2, k - 1, (p + k - 2) // 2)))
        for p, k in zip(positions, kernel, strict=True)
    )
    size = [p + k - 1 - 2 * pad for p, k, pad in zip(positions, kernel, padding, strict=True)]
    channels, code = draw(st.tuples(*[st.integers(1, 5)] * 2))
    rest = {"padding": padding, "bias": draw(st.booleans())}
    down, up = (
        Conv2d(channels, code, kernel, **rest),
        ConvTranspose2d(code, channels, kernel, **rest),
    )
    between = draw(st.booleans())
    if draw(st.booleans()):
        layers = [down, *[BatchNorm2d(code), ReLU()] * between, up]
        return Sequential(*layers), (channels, *size)
    layers = [up, *[BatchNorm2d(channels), ReLU()] * between, down]
    return Sequential(*layers), (code, *positions)


@pytest.mark.parametrize("same", [False, True])
@settings(max_examples=60)
@given(data=st.data(), n=st.sampled_from([2, 3, 64, 65, 130]), seed=st.integers(0, 2**32 - 1))
def test_steps_at_points_are_those_of_eager(same, data, n, seed):
    if same:  # more zeros behind than before
        model, shape = Sequential(Conv2d(2, 2, (2, 4), padding="same")), (2, 4, 3)
    else:
        model, shape = data.draw(there_and_back())
    models = [model.to(torch.float64), build_again(model)]
    engines = [
        kind(each, Adam(each.parameters()))
        for kind, each in zip((Engine, BufferedEngine), models, strict=True)
    ]
    g = torch.Generator().manual_seed(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "pays", lambda layer, *where: winograd.possible(*where))
        for size in (n, max(2, n // 2), n):
            x = torch.randn(size, *shape, dtype=torch.float64, generator=g)
            losses = [engine.step(x) for engine in engines]
            torch.testing.assert_close(*losses, rtol=1e-9, atol=1e-12)
            grads = [engine.optimizer.grad for engine in engines]
            torch.testing.assert_close(*grads, rtol=1e-7, atol=1e-9 * max(1, losses[0].item()))
    nodes = [node for plan in engines[1].plans.values() for node in plan.nodes]
    assert any(isinstance(node, winograd.Winograd) for node in nodes)


def build_again(model):
    """A copy in float64."""
    return copy.deepcopy(model).to(torch.float64)


def forms(engine):
    model = build("conv", 1)
    engine = engine(model, Adam(model.parameters()))
    engine.step(torch.rand(4, 1, 28, 28))
    return [type(node).__name__ for node in next(iter(engine.plans.values())).nodes]


def test_the_inner_layers_of_conv_go_by_points_unless_memory_counts():
    assert [name for name in forms(BufferedEngine) if "Winograd" in name] == [
        *("WinogradConv2d", "WinogradConvTranspose2d")
    ]
    assert not any("Winograd" in name for name in forms(FrugalEngine))


def test_in_float32_points_cost_no_more_than_a_figure():
    model = build("conv", 1)
    exact = build_again(model)
    x = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found, want = (
        BufferedEngine(model, Adam(model.parameters())),
        Engine(exact, Adam(exact.parameters())),
    )
    found.step(x), want.step(x.double())
    error = (found.optimizer.grad - want.optimizer.grad).norm() / want.optimizer.grad.norm()
    assert error < 2e-5
