"""Run a student's functions: load the files, call the functions, report the results or the errors.

The sandbox's child and the plain process of a student's own check use the same code. It reports the
results of the functions, never a score: the other side compares.

A job's header is one of

    {"tests": [...], "files": {name: source}, "packages": {name: package}, "library": folder}
    {"model": "encode" or "decode", "files": {"model.py": source}, "state": {...}, "x": ..., "library"}
    {"analyse": True, "files": {name: source}}
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import inspect
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .protocol import Packer, unpack, unpack_tensor
from .static_analysis import analyse_files

MAX_TEXT = 160

Answer = Callable[[dict, bytes], None]


def warm_up() -> None:
    """Do in advance the work that every job would do first."""
    for name in ("exit", "quit"):  # a bare Python (-S) lacks them
        setattr(builtins, name, sys.exit)
    torch.set_num_threads(1)
    x = torch.ones(4, 4, dtype=torch.float64)
    with Operators():
        (x @ x).sum().item()
    np.einsum("ij,jk->ik", np.ones((2, 2)), np.ones((2, 2)))


def run_job(header: dict, body: bytes, answer: Answer) -> None:
    """Carry out the job in the header. Send each answer as soon as it is ready."""
    if "analyse" in header:
        answer(analyse_files(header), b"")
        return
    sys.path.insert(0, header["library"])
    if "model" in header:
        packer = Packer()
        reply = run_model(header, body, packer)
        answer(reply, bytes(packer.body))
    else:
        run_tests(header, body, answer)


def run_tests(header: dict, body: bytes, answer: Answer) -> None:
    """Load every file before its first test, and run the tests in order."""
    modules: dict[str, types.ModuleType | dict] = {}
    for test in header["tests"]:
        name = test["file"]
        if name not in modules:
            modules[name] = load(name, header["files"][name], header["packages"][name])
            answer({"loaded": name}, b"")
        packer = Packer()
        found = modules[name]
        reply = found if isinstance(found, dict) else run_test(found, test, body, packer)
        answer({"id": test["id"], **reply}, bytes(packer.body))


def load(name: str, source: str, package: str = "") -> types.ModuleType | dict:
    """Run a student's file. Return its module, or {"load_error": ...}."""
    module = types.ModuleType("submission_" + name.replace("/", "_").removesuffix(".py"))
    module.__file__, module.__package__ = name, package
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too
        return {"load_error": describe(error, name)}
    return module


def run_test(module: types.ModuleType, test: dict, body: bytes, packer: Packer) -> dict:
    """Make all calls of a test, and record the operators that the last one runs."""
    objects: dict = {}
    calls: list[dict] = []
    operators = Operators()
    try:
        function: Any = getattr(module, test["function"], None)
        if problem := why_not_callable(function, test):
            return problem
        if "session" in test:
            objects = make_session(test["session"], body)
        torch.manual_seed(0)  # as scratchae.checking.execution.run does
        for i, specs in enumerate(test["calls"]):
            arguments = {
                name: objects[spec["object"]]
                if type(spec) is dict and "object" in spec
                else unpack(spec, body)
                for name, spec in specs.items()
            }
            last = i == len(test["calls"]) - 1
            with operators if last else contextlib.nullcontext():
                calls.append(call(function, arguments, test, packer))
    except BaseException as error:
        return {"calls": calls, "raised": describe(error, test["file"])}
    state = objects["model"].state_dict() if "model" in objects else {}
    packed = {name: packer.pack(tensor) for name, tensor in state.items()}
    return {"calls": calls, "state": packed, "operators": sorted(operators.names)[:200]}


def why_not_callable(function: Any, test: dict) -> dict:
    """Return {"absent": name}, {"no_function": type} or {"signature": [names]}, else {}."""
    if function is None:
        return {"absent": test["function"]}
    if not callable(function):
        return {"no_function": type(function).__name__[:40]}
    names = list(test["calls"][0])
    try:
        given = dict.fromkeys(names) if test.get("by_name") else {}
        inspect.signature(function).bind(*([] if given else names), **given)
    except TypeError:
        return {"signature": names}
    except Exception:  # it has no signature: just call it
        return {}
    return {}


def call(function: Callable, arguments: dict, test: dict, packer: Packer) -> dict:
    """Return the result of one call, and the tensors among its arguments as they are after the call."""
    result = function(**arguments) if test.get("by_name") else function(*arguments.values())
    given = {name: value for name, value in arguments.items() if type(value) is Tensor}
    outputs = list(result) if type(result) in (tuple, list) else [result]
    return {
        "result": packer.pack(result),
        "after": {name: packer.pack(value) for name, value in given.items()},
        "shared": shared_memory(outputs, given),
    }


def shared_memory(outputs: list, given: dict[str, Tensor]) -> list:
    """Return [i, j or name] for every output i that shares memory with output j or with an argument."""
    places = [(i, address(value)) for i, value in enumerate(outputs[:8])]
    inputs = [(name, address(value)) for name, value in given.items()]
    return [
        [i, other]
        for i, place in places
        for other, other_place in [*inputs, *places[i + 1 :]]
        if place and place == other_place
    ]


def address(value: object) -> int:
    """Return the address of a tensor's memory, or 0 if it has none."""
    if type(value) is not Tensor or value.layout is not torch.strided or not value.numel():
        return 0
    return value.untyped_storage().data_ptr()


def make_session(spec: dict, body: bytes) -> dict:
    """Return the model and the optimiser of a training step, made with the job's library."""
    layers = importlib.import_module("scratchae.layers")
    optim = importlib.import_module("scratchae.optim")
    model = layers.Sequential(
        *(getattr(layers, kind)(**arguments) for kind, arguments in spec["layers"])
    )
    state = unpack_tensors(spec["state"], body)
    if all(value.dtype == torch.float64 for value in state.values() if value.is_floating_point()):
        model.to(torch.float64)
    model.load_state_dict(state)
    optimizer = getattr(optim, spec["optimizer"])(model.parameters(), **spec["settings"])
    return {"model": model, "optimizer": optimizer}


def run_model(header: dict, body: bytes, packer: Packer) -> dict:
    """Build the model of a contest, give it its weights, and encode or decode."""
    module = load("model.py", header["files"]["model.py"])
    if isinstance(module, dict):
        return module
    try:
        build: Any = getattr(module, "build", None)
        test = {"function": "build", "calls": [{"generator": None}]}
        if problem := why_not_callable(build, test):
            return problem
        model = build(torch.Generator().manual_seed(0))
        model.load_state_dict(unpack_tensors(header["state"], body))
        model.eval()
        x = unpack_tensor(header["x"], body)
        if header["model"] == "encode":
            result = model.encode(x.reshape(-1, *model.input_shape))
        else:
            result = model.decode(x)
        return {"result": packer.pack(result)}
    except BaseException as error:
        return {"raised": describe(error, "model.py")}


def unpack_tensors(specs: dict, body: bytes) -> dict[str, Tensor]:
    return {name: unpack_tensor(spec, body) for name, spec in specs.items()}


class Operators(TorchDispatchMode):
    """Collects the names of the operators that really ran."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()


def note_operator(self, func, types, args=(), kwargs=None) -> object:
    self.names.add(func.overloadpacket.__name__)
    return func(*args, **(kwargs or {}))


# Set after the class: torch would wrap a method in the class so that its first call imports the compiler.
setattr(Operators, "__torch_dispatch__", note_operator)  # noqa: B010


def describe(error: BaseException, name: str) -> dict:
    """Return the kind of an exception, its text, and the line in the student's own file."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    try:
        text = text_of(error)
        if isinstance(error, SyntaxError) and error.filename == name:
            lines = [error.lineno]
    except BaseException:  # it may be the student's own class
        text = ""
    line = lines[-1] if lines and type(lines[-1]) is int else 0
    return {"kind": type(error).__name__[:40], "text": text, "line": line}


def text_of(error: BaseException) -> str:
    """Return one line for an exception. For exceptions that beginners often meet, it says more."""
    if type(error) is RecursionError:
        return "it calls itself endlessly"
    if type(error) is SystemExit:
        return "it calls exit(): remove this call"
    if isinstance(error, ModuleNotFoundError) and str(error.name).startswith("scratchae."):
        return (
            f"{str(error.name)[:60]} is not available where your work is checked, only layers, losses and "
            "optimisers are"
        )
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return (text.strip().split("\n") or [""])[0][:MAX_TEXT]
