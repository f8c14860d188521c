"""The library is written by hand: these tests check what runs in a training step, and what is imported.

A dispatch mode sees every operator that reaches the tensors, including those that autograd or a
function of torch.nn calls.
"""

import ast
from pathlib import Path
from random import Random

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from scratchae.checking.layer_cases import LAYER_CASES
from scratchae.data import Augmentation, Corruption
from scratchae.engines import (
    ENGINES,
    BufferedEngine,
    CompiledEngine,
    Engine,
    FrugalEngine,
    GraphEngine,
)
from scratchae.engines.compiled import operations_of
from scratchae.engines.device import DeviceEngine
from scratchae.losses import MSELoss
from scratchae.models import build
from scratchae.noise import noise_keys
from scratchae.optim import (
    SGD,
    Adam,
    AdamW,
    CosineAnnealingLR,
    LinearLR,
    OneCycleLR,
    SequentialLR,
    StepLR,
    averaged,
)
from scratchae.step import train_step
from scratchae.sweep import BatchedTrainer, Trial
from scratchae.training import Run, Settings

ALLOWED = {
    "matrix products": "mm bmm addmm addmm_ baddbmm baddbmm_ matmul dot mv kron",
    "elementwise": "add add_ sub sub_ rsub mul mul_ div div_ neg square pow sqrt sqrt_ rsqrt "
    "rsqrt_ reciprocal reciprocal_ exp exp_ expm1 log log1p erf tanh "
    "sign sign_ where gt gt_ ge lt le eq clamp clamp_min "
    "clamp_ maximum minimum floor cos sin bitwise_xor bitwise_and bitwise_not __xor__ __and__ "
    "__rshift__ masked_fill addcmul "
    "addcmul_ addcdiv addcdiv_ lerp lerp_ abs ne isfinite",
    "reductions": "sum mean amax max all",
    "views": "view _unsafe_view reshape _reshape_alias t transpose permute expand as_strided "
    "unsqueeze squeeze slice select diagonal split split_with_sizes detach alias unbind unfold movedim "
    "flatten unflatten mT numpy_T set_ chunk",
    "copies and new tensors": "clone copy_ _to_copy to contiguous cat zeros zeros_like new_zeros new_full empty "
    "empty_like new_empty ones full scalar_tensor zero_ fill_ empty_strided new_empty_strided resize_ "
    "index_select arange stack full_like lift_fresh scatter gather ones_like roll",
    "numbers to Python": "_local_scalar_dense is_nonzero item",
    "messages between workers": "allreduce_ allgather_ broadcast_",
}
FORBIDDEN = (  # never add one of these to the list above
    *("convolution", "conv", "unfold_backward", "im2col", "col2im", "batch_norm", "threshold"),
    *("_backward", "mse_loss", "linear", "_fused", "_foreach", "relu", "sigmoid", "native_"),
)


ON_THEIR_OWN = (Engine, BufferedEngine, FrugalEngine, DeviceEngine)
RECORDING = (CompiledEngine, GraphEngine)  # they record what DeviceEngine does; a mode sees nothing


class Recorder(TorchDispatchMode):
    """Collect the name of every operator."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def train(model, optimizer, x) -> None:
    """Make two steps by hand, two with step.py, and two with every engine that records nothing."""
    loss = MSELoss()
    for _ in range(2):
        optimizer.zero_grad()
        loss(model.forward(x), x)
        model.backward(loss.backward())
        optimizer.step()
        train_step(model, optimizer, x)
    for kind in ON_THEIR_OWN:
        engine = kind(model, optimizer)
        for _ in range(2):
            engine.step(x)


@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW])
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_a_training_step_runs_nothing_but_arithmetic(name, optimizer):
    model = build(name)
    x = torch.rand(5, *model.input_shape) * 2 - 1
    by_hand = optimizer(model.parameters(), weight_decay=1e-5)
    with Recorder() as recorder:
        train(model, by_hand, x)
    only_arithmetic(recorder)
    assert not any(tensor.requires_grad for tensor in model.state_dict().values())


@pytest.mark.parametrize("precision", ["float32", pytest.param("bf16", marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW])
@pytest.mark.parametrize("name", ["fc", "conv"])
def test_the_compiler_and_a_graph_are_given_nothing_but_arithmetic(name, optimizer, precision):
    model = build(name)
    engine = DeviceEngine(model, optimizer(model.parameters(), weight_decay=1e-5), precision)
    tensors = engine.gather(
        {"images": torch.rand(5, *model.input_shape)}, torch.tensor([[2, 0, 4]])
    )
    listed = operations_of(engine.laid_out(tensors), tensors).graph.nodes
    recorder = Recorder()
    recorder.names = {
        node.target.overloadpacket.__name__
        for node in listed
        if isinstance(node.target, torch._ops.OpOverload)
    }
    only_arithmetic(recorder)
    assert {
        "mm" if name == "fc" else "bmm",
        "mul" if optimizer is SGD else "sqrt_",
    } <= recorder.names


def test_every_engine_is_looked_at_one_way_or_the_other():
    assert set(ENGINES.values()) <= {*ON_THEIR_OWN, *RECORDING}
    for kind in RECORDING:
        assert issubclass(kind, DeviceEngine)
        for method in ("step", "epoch", "run", "replay", "laid_out"):
            assert getattr(kind, method) is getattr(DeviceEngine, method)


@pytest.mark.parametrize("name", ["fc", "conv"])
def test_a_step_of_many_models_runs_nothing_but_arithmetic(name):
    common = {"seed": 0, "clip_norm": 0.1, "clip_value": 0.05}
    settings = [Settings(name, "", None, "", 1, 5, lr, 1e-5, **common) for lr in (1e-3, 1e-2)]
    trials = [Trial(Run(build(name), own)) for own in settings]
    trainer = BatchedTrainer(trials, EXTRAS["schedule"])
    x = torch.rand(2, 5, *trainer.trials[0].run.model.input_shape) * 2 - 1
    with Recorder() as recorder:
        for _ in range(2):
            trainer.step(x)
    only_arithmetic(recorder)


@pytest.mark.parametrize("name", LAYER_CASES)
def test_every_layer_runs_nothing_but_arithmetic(name):
    for seed in range(5):
        case = LAYER_CASES[name](Random(seed))
        layer, x = case.random_layer(), case.x(case.shapes[0])
        dy = case.dy(layer.train(case.training[0]).forward(x))
        with Recorder() as recorder:
            layer.forward(x)
            layer.backward(dy)
        only_arithmetic(recorder)


EXTRAS = {
    "schedule": SequentialLR([LinearLR(0.1, total_iters=2), CosineAnnealingLR(9)], [2]),
    "clip_norm": 0.1,
    "clip_value": 0.05,
    "ema": 0.9,
}


@pytest.mark.parametrize("schedule", [EXTRAS["schedule"], StepLR(2), OneCycleLR(20), None])
def test_schedules_clipping_and_averages_run_nothing_but_arithmetic(schedule):
    model = build("fc")
    x = torch.rand(5, 784) * 2 - 1
    optimizer = Adam(model.parameters()).configure(**{**EXTRAS, "schedule": schedule})
    with Recorder() as recorder:
        train(model, optimizer, x)
        with averaged(optimizer):
            model.forward(x)
    engine = DeviceEngine(model, optimizer)
    tensors = engine.gather({"images": x}, torch.tensor([[2, 0, 4]]))
    for node in operations_of(engine.laid_out(tensors), tensors).graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload):
            recorder.names.add(node.target.overloadpacket.__name__)
    only_arithmetic(recorder)


@pytest.mark.filterwarnings("ignore:the (buffered|frugal) engine does not support")
@pytest.mark.parametrize(
    "name", ["vae,latent=2", "conv-vae", "linear-vae", "residual,blocks=1", "plain-deep,blocks=1"]
)
def test_a_step_of_a_model_with_noise_or_skips_runs_nothing_but_arithmetic(name):
    model = build(name)
    x, keys = torch.rand(5, *model.input_shape), noise_keys(0, 1, 5)
    optimizer = Adam(model.parameters()).configure(**EXTRAS)
    with Recorder() as recorder:
        for kind in ON_THEIR_OWN:
            engine = kind(model, optimizer)
            for _ in range(2):
                engine.step(x, keys=keys)
    only_arithmetic(recorder)


def test_noise_on_images_and_augmentation_run_nothing_but_arithmetic():
    images, keys = torch.rand(6, 1, 28, 28), noise_keys(0, 1, 6)
    with Recorder() as recorder:
        Corruption(noise=0.3, salt=0.1, mask=0.1, block=4)(images, keys, (0.0, 1.0))
        moved = Augmentation(rotate=10, shift=2, scale=0.1, elastic=1)
        moved(images, keys, (0.0, 1.0))
    only_arithmetic(recorder)


def only_arithmetic(recorder: Recorder) -> None:
    allowed = {name for names in ALLOWED.values() for name in names.split()}
    assert recorder.names and not recorder.names - allowed
    for operator in allowed | recorder.names:
        assert not any(part in operator for part in FORBIDDEN), operator


def test_the_recorder_would_notice_torch_nn():
    x, weight = torch.randn(1, 1, 5, 5), torch.randn(1, 1, 3, 3, requires_grad=True)
    with Recorder() as recorder:
        torch.nn.functional.conv2d(x, weight).relu().sum().backward()
    assert {"convolution", "convolution_backward", "relu", "threshold_backward"} <= recorder.names


ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "scratchae").rglob("*.py"))
NOT_FOR_US = ("torch.nn", "torch.autograd", "torch.optim", "torch.func", "torch._C", "reference")
NOT_TO_BE_USED = {  # functions of torch that do what is taught
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("convolution", "batch_norm", "native_batch_norm", "mse_loss", "relu", "relu_", "sigmoid"),
    *("threshold", "enable_grad", "requires_grad_"),
}
LEVELS = [  # a file may import from its own part and from those of lower levels
    {"errors", "__init__"},
    {"files", "noise"},
    {"layers"},
    {"losses", "optim"},
    {"step"},
    {"checking", "models", "data"},
    {"engines"},
    {"distributed"},
    {"training"},
    {"interchange", "profiling", "sweep"},
    {"plots"},
    {"course", "explorer"},
    {"cli"},
    {"__main__"},
]


def level(part: str) -> int:
    found = [i for i, parts in enumerate(LEVELS) if part in parts]
    assert found, f"add scratchae/{part} to LEVELS"
    return found[0]


def imports_of(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2, "imports are absolute, or of files in the same folder"
            if node.level == 0:
                found += [f"{node.module}.{name.name}" for name in node.names]
    return found


def dotted(node: ast.AST) -> str:
    """Return an expression such as torch.nn.functional as text."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def breaches(text: str) -> list[str]:
    """Return the names in a file that only reference/ and tests/ may use."""
    tree = ast.parse(text)
    attributes = [dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    names = imports_of(tree) + [name for name in attributes if name.startswith("torch.")]
    found = [n for n in names if any(f"{n}.".startswith(f"{bad}.") for bad in NOT_FOR_US)]
    for name in attributes + [n for n in imports_of(tree) if n.startswith("torch.")]:
        owner, _, last = name.rpartition(".")
        if last in NOT_TO_BE_USED and (owner.startswith("torch") or last.endswith("grad_")):
            found.append(name)
    for node in ast.walk(tree):
        keywords = node.keywords if isinstance(node, ast.Call) else []
        found += [k.arg for k in keywords if k.arg == "requires_grad"]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_the_library_reaches_for_torch_nn_or_autograd(path):
    assert not breaches(path.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "import torch.nn as nn",
        "from torch import nn",
        "from torch.nn.functional import relu",
        "import torch\ntorch.nn.functional.conv2d(x, w)",
        "import torch\ntorch.conv2d(x, w)",
        "from torch import conv2d",
        "x.requires_grad_(True)",
        "import torch\ntorch.zeros(3, requires_grad=True)",
        "import reference.twins",
        "from reference import oracles",
        "import torch\ntorch.autograd.grad(y, x)",
        "import torch\ntorch.ops.aten.convolution(x)",
    ],
)
def test_the_search_would_notice(text):
    assert breaches(text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    part = path.relative_to(ROOT / "scratchae").parts[0].removesuffix(".py")
    if part == "__init__":  # it gives the names of all parts, each when it is first used
        return
    for name in imports_of(ast.parse(path.read_text())):
        if name.startswith("scratchae."):
            target = name.split(".")[1]
            about = target == "__version__"  # of the package itself
            assert about or target == part or level(target) < level(part), name


def imports_at_once(body: list[ast.stmt]) -> list[str]:
    """Return what a module imports while it is loaded: not in functions, not for type checkers."""
    found = []
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found += imports_at_once(node.orelse)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += imports_of(node)
        elif not isinstance(node, ast.FunctionDef):
            blocks = [getattr(node, kind, []) for kind in ("body", "orelse", "handlers")]
            found += [name for block in blocks for name in imports_at_once(block)]
    return found


def cycle_in(graph: dict[str, set[str]]) -> list[str]:
    """Return a cycle of modules, each importing the next, or [] if there is none.

    Remove modules that import no other module of those that are left, again and again. If some cannot
    be removed, they contain a cycle.
    """
    left = {name: set(targets) for name, targets in graph.items()}
    while ends := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in ends}
    path = sorted(left)[:1]
    while path and path[-1] not in path[:-1]:  # follow imports until a module comes again
        path.append(min(left[path[-1]] & left.keys()))
    return path[path.index(path[-1]) :] if path else []


def test_no_modules_import_each_other_in_a_circle():
    """A module that imports from the `__init__` of its own package makes a circle too."""
    names = {
        path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
    }
    modules = set(names.values())
    graph = {}
    for path, module in names.items():
        found = imports_at_once(ast.parse(path.read_text()).body)
        targets = {name if name in modules else name.rpartition(".")[0] for name in found}
        graph[module] = targets & modules - {module, "scratchae"}  # which imports nothing itself
    assert not cycle_in(graph), " -> ".join(cycle_in(graph))


def test_the_search_for_circles_would_notice_one():
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert cycle_in({"a": {"b"}, "b": {"c", "d"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    text = "if TYPE_CHECKING:\n import a\nelse:\n import b\ntry:\n import c\nexcept E:\n import d\n"
    text += "def f():\n import e\nclass C:\n from g import h"
    assert imports_at_once(ast.parse(text).body) == ["b", "c", "d", "g.h"]
