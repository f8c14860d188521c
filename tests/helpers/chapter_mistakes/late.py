"""Wrong versions of what chapters 7 to 15 ask for, with words that the chapter's check must say."""

import statistics
import time
from dataclasses import replace

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from scratchae.checking import mistakes
from scratchae.layers import (
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Linear,
    ReLU,
    Sequential,
    Tanh,
    Unflatten,
)
from scratchae.layers.conv2d import conv2d_geometry
from scratchae.models import Autoencoder


def nine_steps_with(name, wrong):
    """nine_steps_back with wrong(g, step, w) in place of the gradient of `name`; g has those before it."""
    rules = {
        "z": lambda g, s, w: g["y"],
        "b": lambda g, s, w: g["y"].sum(dim=0),
        "xhat": lambda g, s, w: w * g["z"],
        "w": lambda g, s, w: (g["z"] * s["xhat"]).sum(dim=0),
        "r": lambda g, s, w: (g["xhat"] * s["d"]).sum(dim=0),
        "s": lambda g, s, w: -g["r"] / s["s"] ** 2,
        "var": lambda g, s, w: g["s"] / (2 * s["s"]),
        "q": lambda g, s, w: (g["var"] / len(g["y"])).expand_as(g["y"]),
        "d": lambda g, s, w: g["xhat"] * s["r"] + 2 * s["d"] * g["q"],
        "mu": lambda g, s, w: -g["d"].sum(dim=0),
        "x": lambda g, s, w: g["d"] + g["mu"] / len(g["y"]),
    }

    def nine_steps_back(dy, step, w):
        g = {"y": dy}
        for key, rule in (rules | {name: wrong}).items():
            g[key] = rule(g, step, w)
        return tuple(g.values())[1:]

    return nine_steps_back


def patches_with(spoilt=lambda cols: cols, **settings):
    """patches with these settings in place of the right ones, then spoilt."""

    def patches(x, positions, geometry):
        g = replace(geometry, **settings)
        _, found = conv2d_geometry(x.shape, (1, 1, 3, 2), g.stride, g.padding, g.dilation, 1)
        cols = torch.nn.functional.unfold(x, (3, 2), g.dilation, g.padding, g.stride)
        cols = cols.reshape(*x.shape[:2], 3, 2, *found)[..., : positions[0], : positions[1]]
        below, right = (
            wanted - there for wanted, there in zip(positions, cols.shape[4:], strict=True)
        )
        return spoilt(torch.nn.functional.pad(cols, (0, right, 0, below)).permute(0, 4, 5, 1, 2, 3))

    return patches


def shares_without_the_rest(batch, workers):
    each = len(batch) // workers
    return [batch[each * r : each * (r + 1)] for r in range(workers)]


def rest_to_the_last(batch, workers):
    each = len(batch) // workers
    return [
        *(batch[each * r : each * (r + 1)] for r in range(workers - 1)),
        batch[each * (workers - 1) :],
    ]


def all_reduce_with(chunk_of, adds=lambda s, p: s < p - 1, rounds=lambda p: 2 * (p - 1)):
    """all_reduce with other chunks, other rounds that add, or another number of rounds."""

    def all_reduce(own):
        p, worker = len(own), torch.arange(len(own))
        for s in range(rounds(p)):
            at = ((worker + 1) % p, chunk_of(worker, s) % p)
            own[at] = own[worker, at[1]] + (own[at] if adds(s, p) else 0)

    return all_reduce


def hourglass_with(spoil):
    """conv_autoencoder, its lists of layers spoilt before they are put together."""

    def conv_autoencoder(code=16, generator=None):
        g, halving = generator, {"stride": 2, "padding": 1, "generator": generator}
        encoder = [Conv2d(1, 8, 3, **halving), BatchNorm2d(8), ReLU()]
        encoder += [Conv2d(8, 16, 3, **halving), BatchNorm2d(16), ReLU()]
        encoder += [Flatten(), Linear(784, code, generator=g)]
        decoder = [Linear(code, 784, generator=g), ReLU(), Unflatten(1, (16, 7, 7))]
        decoder += [ConvTranspose2d(16, 8, 4, **halving), BatchNorm2d(8), ReLU()]
        decoder += [ConvTranspose2d(8, 1, 4, **halving), Tanh()]
        spoil(encoder, decoder)
        return Autoencoder(Sequential(*encoder), Sequential(*decoder), (1, 28, 28))

    return conv_autoencoder


hourglass = hourglass_with(lambda encoder, decoder: None)


def kernel_of_three(encoder, decoder):
    decoder[6] = ConvTranspose2d(8, 1, 3, stride=2, padding=1)


def share(squares):
    return sum(s.sum().item() for s in squares) / sum(s.numel() for s in squares)


def judged(total=share, before=lambda model: model.eval(), after=lambda model: model.train()):
    """test_error with another sum of the batches' squares, or in another mode before or after it."""

    def test_error(model, digits, size=200):
        before(model)
        squares = [(model(x) - x).square() for x in digits.split(size)]
        after(model)
        return total(squares)

    return test_error


def nearest_with(
    far=lambda n, products: n[:, None] + n - 2 * products,
    itself=lambda far: far.fill_diagonal_(torch.inf),
):
    """nearest with other distances of squared lengths n and products, or without leaving itself out."""

    def nearest(codes, k):
        distances = far(codes.square().sum(dim=1), codes @ codes.T)
        return itself(distances).topk(k, largest=False).indices

    return nearest


def first_dropped(codes, k):
    return torch.cdist(codes, codes).topk(k + 1, largest=False).indices[:, 1:]


def quantise_with(
    step=lambda weight: weight.abs().amax(dim=1) / 127,
    zeros=lambda s: torch.where(s == 0, 1, s),
    whole=torch.round,
    dtype=torch.int8,
):
    """quantise with another step of the rows, another divisor or rounding, or more bytes."""

    def quantise(weight):
        s = step(weight)
        return whole(weight / zeros(s)[:, None]).to(dtype), s

    return quantise


def stopwatch_with(middle, first=1, waits=True):
    """stopwatch with another middle of its times, another number of first calls, or without waiting."""

    def stopwatch(call, wait=lambda: None, clock=time.perf_counter, repeats=5):
        times = []
        for _ in range(first + repeats):
            started = clock()
            call()
            if waits:
                wait()
            times.append(clock() - started)
        return middle(times[first:])

    return stopwatch


class CarriesOutTwice(TorchDispatchMode):
    """A Recorder, to be spoilt."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        function(*args, **(kwargs or {}))
        result = function(*args, **(kwargs or {}))
        self.lines.append((function, args, kwargs or {}, result))
        return result


class WritesNothing(CarriesOutTwice):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class WritesCopies(CarriesOutTwice):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.lines.append((function, args, kwargs or {}, result.clone()))
        return result


def replay_with(lines_of=list, copies=True):
    """replay of other lines, or without copying what lies at a new place."""

    def replay(lines):
        for function, args, kwargs, result in lines_of(lines):
            new = function(*args, **kwargs)
            if copies and new.data_ptr() != result.data_ptr():
                result.copy_(new)

    return replay


LATE: dict = {
    ("ch07_batchnorm", "nine_steps_back"): [
        (nine_steps_with("b", lambda g, s, w: g["y"].mean(dim=0)), "db is the first that is wrong"),
        (nine_steps_with("xhat", lambda g, s, w: g["z"]), "dxhat is the first that is wrong"),
        (nine_steps_with("r", lambda g, s, w: g["xhat"] * s["d"]), "dr is the first that is wrong"),
        (nine_steps_with("s", lambda g, s, w: g["r"] / s["s"] ** 2), "look at (7.7)"),
        (
            nine_steps_with("var", lambda g, s, w: g["s"] / s["s"]),
            "dvar is the first that is wrong",
        ),
        (nine_steps_with("q", lambda g, s, w: g["var"].expand_as(g["y"])), "dq is the first"),
        (nine_steps_with("d", lambda g, s, w: g["xhat"] * s["r"]), "dd is the first that is wrong"),
        (
            nine_steps_with("mu", lambda g, s, w: g["d"].sum(dim=0)),
            "dmu is the first that is wrong",
        ),
        (nine_steps_with("x", lambda g, s, w: g["d"]), "look at (7.8)"),
    ],
    ("ch08_conv2d", "conv2d_by_loops"): [
        (known.function, known.sentence) for known in mistakes("conv2d_forward")
    ],
    ("ch08_conv2d", "patches"): [
        (patches_with(lambda cols: cols.movedim(3, 1)), "is to have the axes (N, P, Q, C, kH, kW)"),
        (patches_with(lambda cols: cols.flip(4, 5)), "is to be pixel (p + i, q + j)"),
        (patches_with(stride=(1, 1)), "window p begins at row s·p"),
        (patches_with(padding=(0, 0)), "window p begins at row p − r"),
        (patches_with(dilation=(1, 1)), "the taps are d pixels apart"),
    ],
    ("ch15_parallel", "split"): [
        (shares_without_the_rest, "some are never learnt from"),
        (lambda batch, workers: list(batch.chunk(workers)), "empty ones too"),
        (lambda batch, workers: [batch[r::workers] for r in range(workers)], "in order"),
        (rest_to_the_last, "differ by 1 at most"),
    ],
    ("ch15_parallel", "joined"): [
        (lambda gradients, counts: gradients.sum(dim=0), "the plain sum"),
        (lambda gradients, counts: gradients.mean(dim=0), "the mean over workers"),
        (lambda gradients, counts: counts @ gradients, "not divided by the number of images"),
        (lambda gradients, counts: counts @ gradients / len(counts), "want 4 as by hand"),
    ],
    ("ch15_parallel", "all_reduce"): [
        (all_reduce_with(lambda r, s: r - s, rounds=lambda p: p - 1), "part is missing"),
        (all_reduce_with(lambda r, s: r - s, adds=lambda s, p: True), "more than once"),
        (all_reduce_with(lambda r, s: r + s), "part is missing"),
        (all_reduce_with(lambda r, s: r), "part is missing"),
        (
            all_reduce_with(lambda r, s: r - s, lambda s, p: s < p, lambda p: 2 * p - 1),
            "more than once",
        ),
    ],
    ("ch10_conv_autoencoder", "conv_autoencoder"): [
        (hourglass_with(lambda e, d: e.append(ReLU())), "no ReLU behind the encoder's last layer"),
        (hourglass_with(lambda e, d: d.pop()), "a Tanh belongs behind the last layer"),
        (hourglass_with(lambda e, d: d.insert(-1, ReLU())), "is there a ReLU behind the last"),
        (hourglass_with(kernel_of_three), "see (10.1) for the way up"),
        (hourglass_with(lambda e, d: d.pop(4)), "look at channels, kernels, BatchNorm"),
        (lambda code, generator: hourglass(code), "pass the generator to every layer"),
        (lambda code, generator: hourglass(16, generator), "want (N, code) = (3, 12)"),
    ],
    ("ch10_conv_autoencoder", "test_error"): [
        (judged(before=lambda model: model.train()), "call model.eval() first"),
        (judged(after=lambda model: None), "left in evaluation mode"),
        (judged(lambda squares: sum(s.sum().item() for s in squares)), "for ten digits, want"),
        (judged(lambda squares: sum(s.mean().item() for s in squares)), "in batches of 5 it is"),
        (
            judged(lambda squares: sum(s.mean().item() for s in squares) / len(squares)),
            "the last batch is smaller and counts too much",
        ),
    ],
    ("ch13_codes", "path"): [
        (lambda a, b, n: a + torch.arange(n)[:, None] / n * (b - a), "not at b"),
        (lambda a, b, n: b + torch.linspace(0, 1, n)[:, None] * (a - b), "not at a"),
        (lambda a, b, n: a + torch.linspace(0, 1, n)[:, None] * b, "not at b"),
        (lambda a, b, n: a + torch.linspace(0, 1, n + 1)[:, None] * (b - a), "not (6, 2)"),
        (
            lambda a, b, n: a + torch.linspace(0, 1, n)[:, None] ** 2 * (b - a),
            "not all of one length",
        ),
    ],
    ("ch13_codes", "nearest"): [
        (nearest_with(itself=lambda far: far), "put the diagonal at infinity"),
        (nearest_with(far=lambda n, products: -(n[:, None] + n - 2 * products)), "the farthest"),
        (nearest_with(far=lambda n, products: n[:, None] - 2 * products), "not the 4 nearest"),
        (nearest_with(far=lambda n, products: n[:, None] + n - products), "not the 4 nearest"),
        (first_dropped, "a twin found itself"),
        (lambda codes, k: nearest_with()(codes, k + 1), "not (50, 5)"),
    ],
    ("ch13_codes", "quantise"): [
        (quantise_with(lambda weight: weight.abs().amax().expand(len(weight)) / 127), "*size*"),
        (quantise_with(lambda weight: weight.amax(dim=1) / 127), "largest *size*"),
        (quantise_with(lambda weight: weight.abs().amax(dim=1) / 128), "largest *size*"),
        (quantise_with(lambda weight: weight.abs().amax(dim=1).clamp_min(1e-9) / 127), "step 0"),
        (quantise_with(zeros=lambda s: s + 1e-3), "round to the nearest"),
        (quantise_with(whole=torch.trunc), "round to the nearest"),
        (quantise_with(whole=lambda q: (q * 128 / 127).round()), "is no byte"),
        (quantise_with(dtype=torch.int16), "not torch.int16"),
        (lambda weight: quantise_with()(weight.T), "one step for each"),
    ],
    ("ch14_time", "stopwatch"): [
        (stopwatch_with(statistics.median, waits=False), "only the ordering was timed"),
        (stopwatch_with(statistics.median, first=0), "the first call is among them"),
        (stopwatch_with(statistics.mean), "that is the mean"),
        (stopwatch_with(min), "want the median"),
    ],
    ("ch14_time", "Recorder"): [
        (CarriesOutTwice, "is to carry out what it writes down, once"),
        (WritesNothing, "of two operations 0 are written down"),
        (WritesCopies, "the new product was put nowhere"),
    ],
    ("ch14_time", "replay"): [
        (replay_with(copies=False), "the new product was put nowhere"),
        (replay_with(lambda lines: lines[::-1]), "or came too early"),
        (replay_with(lambda lines: lines[:1]), "the operation in place was left out"),
        (replay_with(lambda lines: [*lines, lines[-1]]), "want 21"),
    ],
}
