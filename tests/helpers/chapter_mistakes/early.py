"""Wrong versions of what chapters 0 to 6 ask for, with words that the chapter's check must say."""

import csv
from itertools import pairwise

import torch

from scratchae.layers import (
    Linear,
    ReLU,
    Sequential,
)
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


EARLY: dict = {
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
}
