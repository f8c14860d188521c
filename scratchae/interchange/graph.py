"""Graph: an ONNX graph that is built node by node from layers, in evaluation mode.

ONNX is a file format for networks (https://onnx.ai). A graph is a list of nodes. Each node has an operator,
such as Gemm or Conv, and the names of its inputs and outputs. Weights are constants of the graph. Each
kind of layer has an *ONNX form*: a function that adds the nodes of the layer. The forms of the library's
layers are in forms.py, and `form` registers a form for your own layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scratchae.errors import ScratchaeError
from scratchae.layers import Layer

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17  # the version of the operators; later runtimes read it too
IR_VERSION = 8  # the version of the file format that belongs to it
BATCH = "N"  # the name of the first axis: its size is open


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: its name, and the shape of one sample, without the batch axis.

    >>> Value("image", (1, 28, 28)).shape
    (1, 28, 28)
    """

    name: str
    shape: tuple[int, ...]


Form = Callable[["Graph", Any, Value], str]

FORMS: dict[type, Form] = {}


def form(*kinds: type) -> Callable[[Form], Form]:
    """Decorate the function that adds the nodes of layers of these types to a graph.

    It is called as function(graph, layer, x), where x is the layer's input. It returns the name of the
    layer's output. A subclass uses the form of its base unless it has its own `forward`. The form of a
    loss adds the nodes of `Loss.expected`: they turn the decoder's output into pixels.

    >>> class Double(Layer):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> @form(Double)
    ... def double(graph, layer, x):
    ...     return graph.node("Add", x.name, x.name)
    >>> graph = Graph()
    >>> graph.add(Double(), Value("x", (3,)), "0"), [node.op_type for node in graph.nodes]
    (Value(name='0.Add_1', shape=(3,)), ['Add'])
    """

    def register(function: Form) -> Form:
        for kind in kinds:
            FORMS[kind] = function
        return function

    return register


def form_of(layer: object, computes: str = "forward") -> Form:
    """Return the form of a layer, or of a loss. Raises ScratchaeError if there is none.

    computes: the name of the method whose result the nodes compute.

    >>> form_of(Layer())
    Traceback (most recent call last):
    scratchae.errors.ScratchaeError: there is no ONNX form of Layer(): write a function that adds its \
nodes and register it with scratchae.interchange.form
    """
    for kind in type(layer).__mro__:
        if kind in FORMS:
            return FORMS[kind]
        if computes in vars(kind):
            break  # it computes something else than its base
    raise ScratchaeError(
        f"there is no ONNX form of {layer!r}: write a function that adds its nodes and register it with "
        "scratchae.interchange.form"
    )


class Graph:
    """The nodes and constants of a graph, in the order in which they are computed.

    Constants are float32 or int64. The weights have the names that they have in `state_dict`.

    >>> from scratchae.layers import Linear
    >>> graph = Graph()
    >>> graph.add(Linear(3, 2), Value("x", (3,)), "encoder.0").shape
    (2,)
    >>> [constant.name for constant in graph.constants]
    ['encoder.0.weight', 'encoder.0.bias']
    """

    def __init__(self) -> None:
        self.onnx = import_onnx()
        self.nodes: list = []
        self.constants: list = []
        self.path = ""  # of the layer whose nodes are added

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Add a node with one output. Return the name of the output."""
        name = self.named(f"{operator}_{len(self.nodes) + 1}")
        made = self.onnx.helper.make_node(operator, inputs, [name], name=name, **attributes)
        self.nodes.append(made)
        return name

    def constant(self, name: str, values: Tensor | list[int] | float) -> str:
        """Add a constant, called `name` within its layer. Return its name in the graph.

        A list of integers becomes int64; all other numbers become float32.
        """
        kind = torch.int64 if isinstance(values, list) else torch.float32
        tensor = torch.as_tensor(values).detach().cpu().to(kind).contiguous()
        self.constants.append(self.onnx.numpy_helper.from_array(tensor.numpy(), self.named(name)))
        return self.named(name)

    def named(self, name: str) -> str:
        """Return the name in the graph of a part of the layer that is being added."""
        return f"{self.path}.{name}" if self.path else name

    def add(self, layer: Layer, x: Value, name: str) -> Value:
        """Add the nodes of a layer, whose input is x. Return its output.

        name: of this layer within the layer that is being added, such as "0". Raises ScratchaeError if
        the layer, or one inside it, has no form.
        """
        function, outer = form_of(layer), self.path
        self.path = self.named(name)
        y = function(self, layer, x)
        self.path = outer
        return Value(y, shape_after(layer, x.shape))

    def model(
        self, inputs: list[Value], outputs: dict[str, Value], about: dict[str, str]
    ) -> ModelProto:
        """Return the graph as an ONNX model, checked by onnx.

        outputs: {name in the file: tensor}. about: the metadata.
        """
        helper = self.onnx.helper
        for name, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value.name], [name], name=name))

        def described(name: str, value: Value) -> object:
            return helper.make_tensor_value_info(
                name, self.onnx.TensorProto.FLOAT, [BATCH, *value.shape]
            )

        graph = helper.make_graph(
            self.nodes,
            about["model"],
            [described(value.name, value) for value in inputs],
            [described(name, value) for name, value in outputs.items()],
            self.constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="scratchae",
            producer_version=about["scratchae"],
        )
        helper.set_model_props(model, about)
        self.onnx.checker.check_model(model, full_check=True)
        return model


def shape_after(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one sample of the layer's output, given that of its input.

    Raises ScratchaeError if the layer changes the number of samples.

    >>> from scratchae.layers import Flatten
    >>> shape_after(Flatten(), (16, 7, 7))
    (784,)
    """
    copied = copy.deepcopy(layer).eval()  # `layer` itself is not changed
    copied.forget()  # no keys: a random layer gives its mean
    first = next(iter(copied.state_dict().values()), torch.zeros(()))
    with torch.inference_mode():
        x = torch.zeros(2, *shape, dtype=first.dtype, device=first.device)
        y = copied.forward(x)
    if y.ndim == 0 or len(y) != 2:
        raise ScratchaeError(
            f"{layer!r} turns {tuple(x.shape)} into {tuple(y.shape)}, but the first axis of every tensor of an "
            "ONNX file is the batch: use a layer that leaves that axis alone"
        )
    return tuple(y.shape[1:])


def import_onnx() -> ModuleType:
    """Return the package onnx. Raises ScratchaeError if it is not installed.

    >>> import_onnx().__name__
    'onnx'
    """
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise ScratchaeError(
            "the export to ONNX needs the package onnx, which is not installed: pip install onnx"
        ) from error
    return onnx
