"""The X-ray: what every layer of a model makes of a batch, on the way forth and on the way back.

A copy of the model runs once. Where training goes wrong one sees in which layer: activations or
gradients that shrink or grow from layer to layer, units that are dead, and, beside a second
model that should be the same, the first layer where the two part.
"""

from __future__ import annotations

import copy
import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import Layer, ReLU, Sequential
from scratchae.losses import mse_backward, mse_forward

MANY_DEAD = 0.7  # a share that is worth a sentence; half of the units are dead in many a fresh net
FACTOR = 1000.0  # by which a spread may change from one end of the model to the other
WIDTH = 110  # of what is printed
LEGEND = "std: standard deviation; dweight and the like: |gradient| / |parameter|"
HEADINGS = {"spread": "std", "dy_spread": "std dy", "difference": "differs"}


@dataclass(frozen=True)
class Trace:
    """What `trace` saw; print it, or draw it with scratchae.plots.trace_picture.

    table: one row a leaf layer, in order, with the columns
        name, kind, shape     such as "encoder.0", "Linear", and the shape of its output
        mean, spread          of the output; a spread is a standard deviation over all numbers
        dead                  share of units (axis 1) that are 0 for the whole batch; NaN but for ReLUs
        dy_spread, dx_spread  of the gradients of its output and of its input
        dweight/weight, ...   |gradient| / |parameter|, norms; NaN without one, or where it is 0
        difference            |y - y_other| / |y_other|, norms; only beside a second model
    parted: the name of the first layer whose outputs differ, or None.
    warnings: one sentence each.

    >>> from scratchae.models import build
    >>> seen = trace(build("fc"), torch.rand(20, 784) * 2 - 1)
    >>> seen.table["name"].iloc[0], seen.table["shape"].iloc[0], seen.parted
    ('encoder.0', (20, 128), None)
    """

    table: pd.DataFrame
    headline: str
    parted: str | None
    warnings: tuple[str, ...]

    def sentences(self) -> list[str]:
        """Where the two models part, if there were two, and the warnings."""
        return [*comparison(self.table, self.parted), *self.warnings]

    def cells(self) -> pd.DataFrame:
        """The table in words, without dx_spread: the row above has it as its dy."""
        table = self.table.drop(columns="dx_spread")
        cells = {c: [in_words(c, value) for value in table[c]] for c in table}
        return pd.DataFrame(cells).rename(columns=lambda c: HEADINGS.get(c, c.partition("/")[0]))

    def __str__(self) -> str:
        words = self.cells()
        rows = [list(words.columns), *words.values.tolist()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        marks = "<<<" + ">" * len(widths)  # words to the left, numbers to the right
        line = "  ".join(f"{{:{m}{w}}}" for m, w in zip(marks, widths, strict=False))
        head, *body = [line.format(*row).rstrip() for row in rows]
        said = [textwrap.fill(sentence, WIDTH) for sentence in self.sentences()]
        body.insert(0, "-" * len(line.format(*rows[0])))
        return "\n".join([self.headline, "", head, *body, "", LEGEND, *said])

    def _repr_html_(self) -> str:
        table = self.cells().to_html(index=False, border=0, escape=True)
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.sentences())
        return f"<p>{html.escape(self.headline)}</p>{table}<p>{html.escape(LEGEND)}</p>{said}"


def trace(
    model: Sequential,
    x: Tensor,
    other: object | Sequence[tuple[str, Tensor]] | None = None,
    seed: int = 0,
) -> Trace:
    """Send x (N, ...) forth and back through a copy of the model, in its mode; see `Trace`.

    The loss is the mean squared error of giving back x, or where the output has another shape a
    random gradient, from `seed`. other: a model that should do the same, by hand or of torch.nn,
    or the outputs of its layers as (name, tensor). Raises ScratchaeError where that cannot be.

    >>> from scratchae.layers import Linear
    >>> model = Sequential(Linear(5, 3), ReLU(), Linear(3, 5))
    >>> seen = trace(model, torch.randn(8, 5))
    >>> seen.table[["name", "kind", "shape"]].values.tolist()
    [['0', 'Linear', (8, 3)], ['1', 'ReLU', (8, 3)], ['2', 'Linear', (8, 5)]]
    >>> changed = copy.deepcopy(model)
    >>> changed[2].bias[4] += 1
    >>> trace(model, torch.randn(8, 5), changed).parted
    '2'
    """
    if not isinstance(model, Sequential) or type(model).forward is not Sequential.forward:
        raise ScratchaeError(
            "trace wants a Sequential or an Autoencoder, whose layers run one after the other, but "
            f"got a {type(model).__name__}"
        )
    if not isinstance(x, Tensor) or not x.numel() or not len(model):
        raise ScratchaeError("trace wants at least one layer, and a batch (N, ...) of one or more")
    theirs = None if other is None else activations(other, x)
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    leaves, outputs = list(model.leaves()), [x, *activations_by_hand(model, x)]
    y = outputs[-1]
    if y.shape == x.shape:
        gradients, loss = [mse_backward(y, x)], f"MSE {mse_forward(y, x):.4g} against the input"
    else:
        generator = torch.Generator().manual_seed(seed)
        gradients, loss = [torch.randn(y.shape, generator=generator).to(y)], "random gradient"
    for _, layer in reversed(leaves):
        gradients.insert(0, layer.backward(gradients[0]))
    rows = [row(*leaf, *outputs[i : i + 2], *gradients[i : i + 2]) for i, leaf in enumerate(leaves)]
    table = pd.DataFrame(rows)
    parted = None
    if theirs is not None:
        table["difference"] = differences(outputs[1:], theirs)
        far = table["difference"] > 100 * torch.finfo(y.dtype).eps
        parted = table["name"][far].iloc[0] if far.any() else None
    many = f"{len(leaves)} layer{'s'[: len(leaves) > 1]}"
    headline = f"{many}, a batch of {len(x)}, {loss}"
    return Trace(table, headline, parted, tuple(warnings_of(table, outputs[1:], gradients)))


def row(name: str, layer: Layer, x: Tensor, y: Tensor, dx: Tensor, dy: Tensor) -> dict:
    """The table's row of one layer."""
    dead, cuts = math.nan, x.shape == y.shape and x.min() < 0 and y.min() == 0
    if y.ndim > 1 and (isinstance(layer, ReLU) or cuts):
        dead = (y == 0).transpose(0, 1).flatten(1).all(dim=1).double().mean().item()
    numbers = {
        "mean": y.double().mean().item(),
        "spread": spread(y),
        "dead": dead,
        "dy_spread": spread(dy),
        "dx_spread": spread(dx),
    }
    for key, p in layer.named_parameters():
        size = p.double().norm().item()
        numbers[f"d{key}/{key}"] = p.grad.double().norm().item() / size if size else math.nan
    return {"name": name, "kind": type(layer).__name__, "shape": tuple(y.shape)} | numbers


def spread(x: Tensor) -> float:
    """The standard deviation over all numbers."""
    return x.double().std(correction=0).item()


def activations_by_hand(model: Sequential, x: Tensor) -> list[Tensor]:
    """The output of every leaf layer, in order."""
    return [x := layer.forward(x) for _, layer in model.leaves()]


def activations(other: object, x: Tensor) -> list[Tensor]:
    """The output of every leaf layer of a copy of `other`, in order."""
    if isinstance(other, Sequential):
        return activations_by_hand(copy.deepcopy(other), x)
    if hasattr(other, "named_modules"):  # a module of torch.nn
        seen: list[Tensor] = []
        module = copy.deepcopy(other)
        for _, part in module.named_modules():
            if not list(part.children()):
                part.register_forward_hook(lambda part, x, y: seen.append(y.detach().clone()))
        with torch.no_grad():
            module(x)
        return seen
    try:
        return [tensor.detach() for _, tensor in other]
    except (TypeError, ValueError, AttributeError) as error:
        raise ScratchaeError(
            "trace wants as `other` a Sequential, a module of torch.nn or a list of "
            f"(name, tensor), but got a {type(other).__name__}"
        ) from error


def differences(ours: list[Tensor], theirs: list[Tensor]) -> list[float]:
    """|ours - theirs| / |theirs| of every layer; NaN equals NaN; infinity for another shape."""
    if len(ours) != len(theirs):
        raise ScratchaeError(
            f"trace can compare layer by layer only models of as many layers, but got {len(ours)} "
            f"and {len(theirs)}"
        )
    found = []
    for y, z in zip(ours, theirs, strict=True):
        if y.shape != z.shape or not torch.equal(y.isnan(), z.to(y.device).isnan()):
            found.append(math.inf)
            continue
        z = z.to(y.device).double().nan_to_num(0)
        apart = (y.double().nan_to_num(0) - z).norm().item()
        found.append(apart / norm if (norm := z.norm().item()) else math.inf if apart else 0.0)
    return found


def warnings_of(table: pd.DataFrame, outputs: list[Tensor], gradients: list[Tensor]) -> list[str]:
    """What a teacher would point at, in the order of a forward pass; gradients[0] is that of x."""
    said, names = [], list(table["name"])
    bad = [name for name, y in zip(names, outputs, strict=True) if not y.isfinite().all()]
    if bad:
        return [f"{bad[0]}: its output has NaN or infinity in it: look here first"]
    for name, shape, dead in zip(names, table["shape"], table["dead"], strict=True):
        if dead == 1 or (dead >= MANY_DEAD and shape[0] >= 8):
            said.append(
                f"{name}: {round(dead * shape[1])} of {shape[1]} units are dead: lower the learning "
                "rate or look at the initialisation"
            )
    for name, dx, dy in zip(names, gradients[:-1], gradients[1:], strict=True):
        if dy.any() and not dx.any():
            said.append(f"{name}: its dx is 0 everywhere: no layer before it can learn")
    for column, what in [("spread", "activations"), ("dy_spread", "gradients")]:
        sizes = table[table[column] > 0].set_index("name")[column]
        ends = [sizes.idxmin(), sizes.idxmax()] if len(sizes) else []
        if ends and sizes.max() > FACTOR * sizes.min():
            first, last = sorted(ends, key=names.index)
            said.append(
                f"the standard deviation of the {what} is {sizes[first]:.1g} at {first} and "
                f"{sizes[last]:.1g} at {last}: look at the initialisation, or put BatchNorm between"
            )
    return said


def comparison(table: pd.DataFrame, parted: str | None) -> list[str]:
    """Where the two models part, in a sentence; none if there was one model only."""
    if "difference" not in table:
        return []
    if parted is None:
        return [f"the two agree in every layer, within {table['difference'].max():.1g}"]
    _, kind, *_, difference = table[table["name"] == parted].iloc[0]
    how = f"relative difference {difference:.2g}"
    if difference == math.inf:
        how += ", for their shapes differ, or one has NaN or only zeros where the other has not"
    before = "it is the first layer" if parted == table["name"].iloc[0] else "all before it agree"
    return [f"the two part at {parted}, {kind}: {how}; {before}"]


def in_words(column: str, value: object) -> str:
    """A cell of at most 15 characters; the end of a name tells more than its beginning."""
    may_miss = column == "dead" or "/" in column
    if column == "shape":
        text = "x".join(map(str, value))
    elif isinstance(value, str) or (may_miss and math.isnan(value)):
        text = value if isinstance(value, str) else ""
    elif column == "dead":
        text = f"{value:.0%}"
    else:
        text = f"{value:.0f}" if 10 <= abs(value) < 1e5 else f"{value:.2g}"
    return text if len(text) <= 15 else f"…{text[-14:]}"
