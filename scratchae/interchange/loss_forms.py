"""The ONNX form of every loss: the nodes that turn a decoder's output into pixels, as `Loss.expected` does.

A loss whose `expected` returns the output itself needs no form.
"""

from __future__ import annotations

from scratchae import losses
from scratchae.interchange.graph import Graph, Value, form
from scratchae.losses.continuous_bernoulli import NEAR, SERIES


@form(losses.BCEWithLogitsLoss)
def pixels_of_logits(graph: Graph, loss: losses.BCEWithLogitsLoss, y: Value) -> str:
    return graph.node("Sigmoid", y.name)


@form(losses.ContinuousBernoulliLoss)
def mean_of_continuous_bernoulli(
    graph: Graph, loss: losses.ContinuousBernoulliLoss, y: Value
) -> str:
    def number(name: str, value: float) -> str:
        return graph.constant(f"pixels.{name}", value)

    limit, one = number("near", NEAR), number("one", 1.0)
    near = graph.node("Less", graph.node("Abs", y.name), limit)
    z = graph.node("Where", near, y.name, number("zero", 0.0))
    square = graph.node("Mul", z, z)
    series = number(f"c{len(SERIES) - 1}", SERIES[-1])
    for k in reversed(range(len(SERIES) - 1)):  # Horner's scheme in z²
        series = graph.node("Mul", series, square)
        series = graph.node("Add", series, number(f"c{k}", SERIES[k]))
    inside = graph.node("Add", graph.node("Mul", z, series), number("half", 0.5))
    z = graph.node("Where", near, limit, y.name)
    distance = graph.node("Sub", one, graph.node("Exp", graph.node("Neg", z)))  # 1 − e⁻ᶻ
    outside = graph.node("Sub", graph.node("Div", one, distance), graph.node("Div", one, z))
    return graph.node("Where", near, inside, outside)


@form(losses.CrossEntropyLoss)
def softmax(graph: Graph, loss: losses.CrossEntropyLoss, y: Value) -> str:
    return graph.node("Softmax", y.name, axis=1)
