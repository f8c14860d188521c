"""The child: it gives up its rights, reads its own job, runs a student's functions, answers in frames.

Nothing that it says is a score. It sends back what the functions returned, and the grader compares.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import resource
import signal
import sys
import traceback
import types
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .protocol import Frames, Packer, frame, unpack
from .static_analysis import analyse_files

LONGEST_TEXT = 160
MOST_JOB = 1 << 28


def warm_up() -> None:
    """Do once, before any fork, what every child would do first."""
    torch.set_num_threads(1)
    x = torch.ones(4, 4, dtype=torch.float64)
    with Operators():
        (x @ x).sum().item()
    np.einsum("ij,jk->ik", np.ones((2, 2)), np.ones((2, 2)))


def main(job: int, answer: int, bpf: bytes, limits: dict) -> None:
    """Never returns."""
    with contextlib.suppress(BaseException):
        give_up_rights(bpf, limits, keep=(job, answer))
        header, body = read_job(job)
        if "analyse" in header:
            send(answer, analyse_files(header))
        elif "model" in header:
            run_model(answer, header, body)
        else:
            run_tests(answer, header, body)
    os._exit(0)


def give_up_rights(bpf: bytes, limits: dict, keep: tuple[int, ...]) -> None:
    """Another user, limits, no descriptor but two, and the filter: from here on all is untrusted."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(3, min(keep))
    os.closerange(min(keep) + 1, max(keep))
    os.closerange(max(keep) + 1, 256)
    for name, value in limits["rlimits"].items():
        if hasattr(resource, name):
            resource.setrlimit(getattr(resource, name), (value, value))
    if limits.get("uid"):
        os.setgroups([])
        os.setresgid(limits["uid"], limits["uid"], limits["uid"])
        os.setresuid(limits["uid"], limits["uid"], limits["uid"])
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        refused = libc.prctl(
            1, signal.SIGKILL, 0, 0, 0
        )  # PR_SET_PDEATHSIG: it dies with the helper
        refused |= libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        if bpf:
            memory = ctypes.create_string_buffer(bpf)
            program = Program(len(bpf) // 8, ctypes.addressof(memory))
            refused |= libc.prctl(22, 2, ctypes.byref(program), 0, 0)  # PR_SET_SECCOMP, a filter
        if refused:
            os._exit(70)


class Program(ctypes.Structure):
    """struct sock_fprog: how many instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("first", ctypes.c_void_p))


def read_job(descriptor: int) -> tuple[dict, bytes]:
    """The one frame that waits on the descriptor."""
    frames = Frames(most_header=MOST_JOB, most_body=MOST_JOB)
    while data := os.read(descriptor, 1 << 20):
        for found in frames.feed(data):
            os.close(descriptor)
            return found
    raise EOFError


def send(descriptor: int, header: dict, body: bytes = b"") -> None:
    data = memoryview(frame(header, body))
    while data:
        data = data[os.write(descriptor, data) :]


def run_tests(answer: int, header: dict, body: bytes) -> None:
    """Load every file when its first test comes, run the tests, send each answer as it is there."""
    sys.path.insert(0, header["library"])
    modules: dict[str, types.ModuleType | dict] = {}
    for test in header["tests"]:
        name = test["file"]
        if name not in modules:
            modules[name] = load(name, header["files"][name], header["packages"][name])
            send(answer, {"loaded": name})
        packer = Packer()
        found = modules[name]
        reply = found if isinstance(found, dict) else run_test(found, test, body, packer)
        send(answer, {"id": test["id"], **reply}, bytes(packer.body))


def load(name: str, source: str, package: str) -> types.ModuleType | dict:
    """The student's file as a module, or {"raised": ...}."""
    module = types.ModuleType("submission_" + name.replace("/", "_").removesuffix(".py"))
    module.__file__, module.__package__ = name, package
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too
        return {"raised": told(error, name)}
    return module


def run_test(module: types.ModuleType, test: dict, body: bytes, packer: Packer) -> dict:
    """All calls of a test; the operators of the last are written down."""
    function = getattr(module, test["function"], None)
    if not callable(function):
        return {"absent": test["function"]}
    objects: dict = {}
    calls, operators = [], Operators()
    try:
        if "session" in test:
            objects = make_session(test["session"], body)
        for i, specs in enumerate(test["calls"]):
            arguments = {
                k: objects[v["object"]] if type(v) is dict and "object" in v else unpack(v, body)
                for k, v in specs.items()
            }
            last = i == len(test["calls"]) - 1
            with operators if last else contextlib.nullcontext():
                calls.append(call(function, arguments, test, packer))
    except BaseException as error:
        return {"calls": calls, "raised": told(error, test["file"])}
    state = objects["model"].state_dict() if "model" in objects else {}
    packed = {name: packer.pack(tensor) for name, tensor in state.items()}
    return {"calls": calls, "state": packed, "operators": sorted(operators.names)[:200]}


def run_model(answer: int, header: dict, body: bytes) -> None:
    """Build the model of a contest, give it its weights, and encode or decode."""
    sys.path.insert(0, header["library"])
    packer, reply = Packer(), {}
    try:
        module = load("model.py", header["files"]["model.py"], "")
        if isinstance(module, dict):
            reply = module
        else:
            model = module.build(torch.Generator().manual_seed(0))
            model.load_state_dict({k: unpack(v, body) for k, v in header["state"].items()})
            model.eval()
            x = unpack(header["x"], body)
            if header["model"] == "encode":
                result = model.encode(x.reshape(-1, *model.input_shape))
            else:
                result = model.decode(x)
            reply = {"result": packer.pack(result)}
    except BaseException as error:
        reply = {"raised": told(error, "model.py")}
    send(answer, reply, bytes(packer.body))


def call(function: Callable, arguments: dict, test: dict, packer: Packer) -> dict:
    """What one call returned, and its tensors as they are afterwards."""
    by_name = test.get("by_name")
    result = function(**arguments) if by_name else function(*arguments.values())
    given = {name: value for name, value in arguments.items() if type(value) is Tensor}
    outputs = list(result) if type(result) in (tuple, list) else [result]
    return {
        "result": packer.pack(result),
        "after": {name: packer.pack(value) for name, value in given.items()},
        "shared": shared(outputs, given),
    }


def shared(outputs: list, given: dict[str, Tensor]) -> list:
    """[i, j or name]: output i lies in the memory of output j or of an argument."""
    places = [(i, place(value)) for i, value in enumerate(outputs[:8])]
    inputs = [(name, place(value)) for name, value in given.items()]
    return [
        [i, other]
        for i, at in places
        for other, there in [*inputs, *places[i + 1 :]]
        if at and at == there
    ]


def place(value: object) -> int:
    """The address of a tensor's memory, 0 where it has none."""
    if type(value) is not Tensor or value.layout is not torch.strided or not value.numel():
        return 0
    return value.untyped_storage().data_ptr()


def make_session(spec: dict, body: bytes) -> dict:
    """The model and the optimiser of a training step, from the library of the sandbox."""
    layers = importlib.import_module("scratchae.layers")
    optim = importlib.import_module("scratchae.optim")
    model = layers.Sequential(
        *(getattr(layers, kind)(**arguments) for kind, arguments in spec["layers"])
    )
    state = {name: unpack(value, body) for name, value in spec["state"].items()}
    if all(value.dtype == torch.float64 for value in state.values() if value.is_floating_point()):
        model.to(torch.float64)
    model.load_state_dict(state)
    optimizer = getattr(optim, spec["optimizer"])(model.parameters(), **spec["settings"])
    return {"model": model, "optimizer": optimizer}


class Operators(TorchDispatchMode):
    """Collects the names of the operators that really ran."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()


def note_operator(self: Operators, func, types, args=(), kwargs=None) -> object:
    self.names.add(func.overloadpacket.__name__)
    return func(*args, **(kwargs or {}))


# set afterwards: what stands in the class is wrapped so that its first call imports torch's compiler
Operators.__torch_dispatch__ = note_operator


def told(error: BaseException, name: str) -> dict:
    """Kind, text and line in the student's own file."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == name]
    if isinstance(error, SyntaxError) and error.filename == name:
        lines = [error.lineno]
    try:
        text = (str(error).strip().split("\n") or [""])[0][:LONGEST_TEXT]
    except BaseException:  # it is the student's own class
        text = ""
    line = lines[-1] if lines and type(lines[-1]) is int else 0
    return {"kind": type(error).__name__[:40], "text": text, "line": line}
