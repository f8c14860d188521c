"""Wrong versions of what chapters ask for beyond the library's exercises, with what the check must say."""

import csv
import statistics
import time
from dataclasses import replace
from itertools import pairwise

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
from scratchae.step import train_step


def numeric_grad_with(slope):
    """numeric_grad with slope(f, x, step, h) in place of the central difference."""

    def numeric_grad(f, x, h=1e-5):
        grad = torch.zeros_like(x)
        for k in range(x.numel()):
            step = torch.zeros_like(x)
            step.view(-1)[k] = h
            grad.view(-1)[k] = slope(f, x, step, h)
        return grad

    return numeric_grad


def moved_for_good(f, x, h=1e-5):
    grad = torch.zeros_like(x)
    for k in range(x.numel()):
        before = f(x)
        x.view(-1)[k] += h
        grad.view(-1)[k] = (f(x) - before) / h
    return grad


def one_number(f, x, h=1e-5):
    return (f(x + h) - f(x - h)) / (2 * h)


class Chain:
    """A right Sequential, to be spoilt."""

    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class WalkedForwards(Chain):
    def backward(self, dy):
        for layer in self.layers:
            dy = layer.backward(dy)
        return dy


class SameForAll(Chain):
    def backward(self, dy):
        for layer in reversed(self.layers):
            dx = layer.backward(dy)
        return dx


class NothingReturned(Chain):
    def backward(self, dy):
        super().backward(dy)


class SameInputForAll(Chain):
    def forward(self, x):
        return [layer.forward(x) for layer in self.layers][-1]


def table_of(path):
    with path.open(newline="") as file:
        _, *lines = csv.reader(file)
    return torch.tensor([[int(cell) for cell in line] for line in lines])


def heading_as_digit(path):
    table = table_of(path)
    table = torch.cat([torch.zeros_like(table[:1]), table])
    return table[:, 1:].to(torch.uint8).reshape(-1, 28, 28), table[:, 0]


def rows_left_long(path):
    table = table_of(path)
    return table[:, 1:].to(torch.uint8), table[:, 0]


def label_as_pixel(path):
    table = table_of(path)
    return table[:, :-1].to(torch.uint8).reshape(-1, 28, 28), table[:, 0]


def pixels_as_floats(path):
    table = table_of(path)
    return table[:, 1:].float().reshape(-1, 28, 28), table[:, 0]


def rows_as_columns(path):
    table = table_of(path)
    return table[:, 1:].to(torch.uint8).reshape(-1, 28, 28).transpose(1, 2), table[:, 0]


def labels_as_floats(path):
    table = table_of(path)
    return table[:, 1:].to(torch.uint8).reshape(-1, 28, 28), table[:, 0].float()


def pictures_first(model, x):
    codes = model.encode(x)
    return model.decode(codes), codes


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


def slope_of(loss_of, theta, g, h, along):
    return float((loss_of(theta + h * along) - loss_of(theta - h * along)) / (2 * h * g.norm()))


def slope_from_one_side(loss_of, theta, g, h):
    along = g / g.norm()
    return float((loss_of(theta + h * along) - loss_of(theta)) / (h * g.norm()))


def slope_with_theta_changed(loss_of, theta, g, h):
    ratio = slope_of(loss_of, theta, g, h, g / g.norm())
    theta += h * g / g.norm()
    return ratio


def diagnosis_by_loss_alone(seen):
    return "healthy" if seen["end"] < 0.8 * seen["floor"] else "wrong targets"


def diagnosis_without_second_slope(seen):
    if seen["start"] > 4 or seen["units"] == 1:
        return "raw pixels" if seen["start"] > 4 else "all weights alike"
    if seen["update"] == 0 or seen["update"] > 1:
        return "no step" if seen["update"] == 0 else "rate too large"
    if abs(seen["slope"] - 1) > 0.1:
        return "wrong sign" if seen["slope"] < -0.9 else "wrong backward"
    return diagnosis_by_loss_alone(seen)


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


def pair_with(spoil=lambda layers: layers, up=lambda sizes: sizes[::-1], generated=True):
    """autoencoder, the layers of its two halves spoilt, or with other sizes for the way up."""

    def autoencoder(sizes, generator=None):
        g, halves = generator if generated else None, []
        for way in (sizes, up(sizes)):
            layers = [
                layer for i, o in pairwise(way) for layer in (Linear(i, o, generator=g), ReLU())
            ]
            halves.append(layers[:-1])
        return Autoencoder(*(Sequential(*layers) for layers in spoil(halves)), (sizes[0],))

    return autoencoder


def training_with(order_of=lambda batches, epoch: batches.epoch(epoch), keep=float, whole=False):
    """train with another order, with another way to keep a loss, or with all of x at every step."""

    def train(model, optimizer, x, epochs, batches):
        return [
            keep(train_step(model, optimizer, x if whole else x[rows]))
            for epoch in range(epochs)
            for rows in order_of(batches, epoch)
        ]

    return train


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


OWN_MISTAKES: dict = {  # (chapter, name): [(wrong version, words that its check must say)]
    ("ch00_pixels", "read_digits"): [
        (heading_as_digit, "the heading was read as a digit"),
        (rows_left_long, "each digit is one long row"),
        (label_as_pixel, "the label is among the pixels"),
        (pixels_as_floats, "want torch.uint8"),
        (rows_as_columns, "rows and columns are exchanged"),
        (labels_as_floats, "labels are to be torch.int64"),
    ],
    ("ch00_pixels", "normalise"): [
        (lambda pixels: pixels.float() / 255, "that is 0 to 1"),
        (lambda pixels: pixels.float() / 255 - 0.5, "that is -0.5 to 0.5"),
        (lambda pixels: pixels.float(), "0 and 255 are to become -1 and 1"),
        (lambda pixels: (pixels.double() / 255 - 0.5) / 0.5, "want torch.float32"),
    ],
    ("ch00_pixels", "telephone"): [
        (pictures_first, "the pictures come first here"),
        (lambda model, x: model(x), "give back two things"),
        (lambda model, x: (model.encode(x), x), "the pictures are the originals"),
        (lambda model, x: (model.encode(x), model(0 * x)), "what the decoder makes of the codes"),
    ],
    ("ch01_loss", "numeric_grad"): [
        (numeric_grad_with(lambda f, x, s, h: (f(x + s) - f(x)) / h), "from one side"),
        (numeric_grad_with(lambda f, x, s, h: (f(x + s) - f(x - s)) / h), "divided by h"),
        (numeric_grad_with(lambda f, x, s, h: f(x + s) - f(x - s)), "nothing is divided"),
        (numeric_grad_with(lambda f, x, s, h: one_number(f, x, h)), "all elements moved at once"),
        (numeric_grad_with(lambda f, x, s, h: (f(x - s) - f(x + s)) / (2 * h)), "sign is wrong"),
        (moved_for_good, "x has been changed"),
        (one_number, "want a tensor like x"),
    ],
    ("ch03_activations", "Sequential"): [
        (WalkedForwards, "begin at the last layer"),
        (SameForAll, "the gradient that the one behind it returned"),
        (NothingReturned, "has to return dx"),
        (SameInputForAll, "output is the next one's input"),
    ],
    ("ch05_autoencoder", "autoencoder"): [
        (pair_with(lambda e_d: (e_d[0] + [ReLU()], e_d[1])), "no ReLU behind the encoder"),
        (pair_with(lambda e_d: (e_d[0], e_d[1] + [ReLU()])), "no ReLU behind the decoder"),
        (pair_with(lambda e_d: (e_d[0][::2], e_d[1])), "a ReLU belongs between its layers"),
        (pair_with(lambda e_d: (e_d[0], e_d[1][::2])), "a ReLU belongs between its layers"),
        (pair_with(lambda e_d: (e_d[0][:-2], e_d[1][2:])), "sizes[-1] numbers, here 2"),
        (pair_with(up=lambda sizes: (2, 8, 7, 5)), "it takes the sizes backwards"),
        (pair_with(up=lambda sizes: (2, 7, 5, 8)), "the weights are"),
        (pair_with(up=lambda sizes: (2, 8)), "a ReLU belongs between its layers"),
        (pair_with(generated=False), "give every layer the generator"),
    ],
    ("ch05_autoencoder", "train"): [
        (training_with(whole=True), "all samples go in at every step"),
        (training_with(lambda batches, epoch: batches.epoch(epoch) if epoch else []), "one epoch"),
        (training_with(lambda batches, epoch: batches.epoch(0)), "the same order"),
        (training_with(lambda batches, epoch: [torch.arange(3)] * 3), "came once an epoch"),
        (training_with(keep=lambda loss: loss), "want floats: .item()"),
        (lambda *given: training_with()(*given)[-1:], "6 batches: 6 steps, 1 losses"),
    ],
    ("ch06_debugging", "update_ratio"): [
        (lambda a, b: (b.norm() / a.norm()).item(), "compares the two lengths"),
        (lambda a, b: ((b - a).square().sum() / a.square().sum()).item(), "ratio of squares"),
        (lambda a, b: (b - a).norm().item(), "length of the step alone"),
        (lambda a, b: ((b - a).norm() / b.norm()).item(), "before the step, not after"),
    ],
    ("ch06_debugging", "slope_ratio"): [
        (slope_from_one_side, "a difference to one side"),
        (lambda f, x, g, h: 2 * slope_of(f, x, g, h, g / g.norm()), "2 h apart"),
        (lambda f, x, g, h: slope_of(f, x, g, h, g), "the length of g is not taken off"),
        (lambda f, x, g, h: slope_of(f, x, g, h, -g / g.norm()), "the sign is wrong"),
        (slope_with_theta_changed, "theta has been changed"),
    ],
    ("ch06_debugging", "diagnose"): [
        (lambda seen: "healthy", "but was called healthy"),
        (diagnosis_by_loss_alone, "but was called wrong targets"),
        (diagnosis_without_second_slope, "it is gradients not emptied, but was called"),
    ],
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
