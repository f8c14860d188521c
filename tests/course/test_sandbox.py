"""The sandbox's protocol, filter and processes: only what was asked for comes out."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scratchae.checking.layouts import LAYOUTS, random_tensor
from scratchae.course.assignment import load_assignment
from scratchae.course.sandbox import (
    InfrastructureError,
    Limits,
    PlainProcess,
    Sandbox,
    SandboxFiles,
    choose_isolation,
    why_no_bubblewrap,
)
from scratchae.course.sandbox.inside.protocol import Frames, Packer, ProtocolError, frame, unpack
from scratchae.course.sandbox.inside.static_analysis import analyse
from scratchae.course.sandbox.isolation import bubblewrap, hidden
from scratchae.course.sandbox.limits import MEGABYTE
from scratchae.errors import ScratchaeError

needs_sandbox = pytest.mark.skipif(
    bool(why_no_bubblewrap()), reason=why_no_bubblewrap() or "sandbox"
)
KINDS = [torch.float32, torch.float64, torch.int64]


@given(
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from(LAYOUTS),
    st.sampled_from(KINDS),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_a_tensor_comes_through_the_protocol_bit_for_bit(shape, layout, dtype, memory, seed):
    tensor = random_tensor(tuple(shape), layout, torch.Generator().manual_seed(seed)).to(dtype)
    packer = Packer()
    spec = packer.pack_tensor(tensor, memory=memory)
    ((header, body),) = Frames().feed(frame({"value": spec}, bytes(packer.body)))
    got = unpack(header["value"], body)
    assert torch.equal(got, tensor) and got.dtype == dtype
    if memory and tensor.numel():
        assert got.stride() == tensor.stride()


@given(st.binary(max_size=200), st.integers(1, 7))
def test_a_stream_of_garbage_is_refused_or_waits_and_never_crashes(data, piece):
    frames = Frames()
    try:
        for i in range(0, len(data), piece):
            assert list(frames.feed(data[i : i + piece])) == []
    except ProtocolError:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "tensor",
                    "shape",
                    "stride",
                    "offset",
                    "at",
                    "bytes",
                    "tuple",
                    "list",
                    "other",
                    "unsent",
                ]
            ),
            inner | st.just("float64"),
            max_size=6,
        )
    ),
    max_leaves=12,
)


@given(json_values, st.binary(max_size=64))
def test_a_forged_value_is_refused_or_small_and_never_crashes(spec, body):
    try:
        value = unpack(spec, body)
    except ProtocolError:
        return
    if type(value) is torch.Tensor:
        assert value.untyped_storage().nbytes() <= max(64, 8 * value.numel())


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**20), st.integers(0, 2**20))
def test_no_tensor_is_larger_than_the_bytes_it_came_with(n, stride, offset, at):
    spec = {"tensor": "float64", "shape": [n], "stride": [stride], "offset": offset}
    try:
        value = unpack(spec | {"at": at, "bytes": 64}, bytes(64))
    except ProtocolError:
        return
    assert value.numel() == 0 or (n - 1) * stride + offset < 8


def test_without_a_sandbox_grading_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(
        "scratchae.course.sandbox.isolation.why_no_bubblewrap", lambda: "bwrap is missing"
    )
    with pytest.raises(ScratchaeError, match="--trust-submissions"):
        choose_isolation()
    assert choose_isolation(trusted=True) == "none"


def test_the_answer_key_is_covered_wherever_it_is_installed():
    words = bubblewrap([hidden()[0].parent], hidden())
    assert ["--tmpfs", str(hidden()[0])] == words[words.index("--tmpfs") :][:2]


def test_the_analysis_sees_what_need_not_be_used():
    found = analyse("import torch.nn as n\n\ndef f(x):\n    return x.requires_grad_()\n")
    assert found["policy"] == ["line 1 reaches for torch.nn", "line 4 uses .requires_grad_"]
    assert analyse("def f(:")["error"] == "a syntax error in line 1"
    assert analyse("x = " + "-" * 200_000 + "1")["error"]


def test_the_analysis_of_the_answers_finds_nothing_to_flag():
    from scratchae.course.blanked_sources import master_sources

    for name in ("hw1", "hw2", "hw3", "hw4", "hw7"):
        for file, source in master_sources(load_assignment(name)).items():
            assert analyse(source)["policy"] == [], file


def test_renaming_and_comments_do_not_change_the_fingerprints():
    one = 'def f(x, y):\n    "Doc."\n    z = x @ y + x.sum(0)\n    return z * 2 - y.mean()\n'
    two = "def g(a, b):\n    # mine\n    c = a @ b + a.sum(0)\n\n    return c * 2 - b.mean()\n"
    assert analyse(one)["fingerprints"] == analyse(two)["fingerprints"]
    assert analyse(one)["fingerprints"] != analyse(two.replace("mean", "sum"))["fingerprints"]


@pytest.fixture(scope="module")
def sandbox():
    files = SandboxFiles(load_assignment("hw1"))
    with Sandbox(files, "bubblewrap", Limits(cpu=2, idle=2, memory=128 * MEGABYTE)) as sandbox:
        yield sandbox
    files.close()


def job(sandbox, source, calls=1):
    """A job that calls f(x) with x = [1., 2.]."""
    packer = Packer()
    test = {"id": 0, "file": "f.py", "function": "f"}
    test["calls"] = [{"x": packer.pack(torch.tensor([1.0, 2.0]))}] * calls
    library = sandbox.files.libraries["linear_forward"]
    header = {"library": library, "files": {"f.py": source}, "packages": {"f.py": ""}}
    return frame(header | {"tests": [test]}, bytes(packer.body))


def answer(sandbox, source):
    found = [(h, b) for h, b in sandbox.run(job(sandbox, source)) if "id" in h]
    return found[0] if found else (sandbox.ending.reason, b"")


@needs_sandbox
def test_arrays_go_in_and_arrays_come_out(sandbox):
    header, body = answer(sandbox, "def f(x):\n    return x * 3\n")
    assert unpack(header["calls"][0]["result"], body).tolist() == [3, 6]


@needs_sandbox
def test_numpy_and_threads_work_inside(sandbox):
    source = (
        "import threading, numpy as np, torch\n"
        "def f(x):\n    out = []\n"
        "    t = threading.Thread(target=lambda: out.append(np.cumsum(x.numpy())))\n"
        "    t.start()\n    t.join()\n    return torch.from_numpy(out[0])\n"
    )
    header, body = answer(sandbox, source)
    assert unpack(header["calls"][0]["result"], body).tolist() == [1, 3]


@needs_sandbox
def test_the_library_inside_is_the_blanked_one(sandbox):
    header, _ = answer(sandbox, "from scratchae.layers import relu_forward as f\n")
    assert header["raised"]["kind"] == "NotImplementedError"
    header, _ = answer(
        sandbox, "from scratchae.layers import Flatten\n\ndef f(x):\n    return x + 1\n"
    )
    assert "raised" not in header


@needs_sandbox
def test_what_the_child_was_is_gone_in_the_next(sandbox):
    assert (
        "calls" in answer(sandbox, "import torch\ntorch.marker = 1\n\ndef f(x):\n    return x\n")[0]
    )
    header, _ = answer(sandbox, "import torch\n\ndef f(x):\n    return torch.marker\n")
    assert header["raised"]["kind"] == "AttributeError"


@needs_sandbox
def test_a_crash_is_told_by_its_signal_and_the_next_job_runs(sandbox):
    assert "SIGSEGV" in answer(sandbox, "import ctypes\nctypes.string_at(0)\n")[0]
    assert "exit code 7" in answer(sandbox, "import os\nos._exit(7)\n")[0]
    assert "calls" in answer(sandbox, "def f(x):\n    return x\n")[0]


@needs_sandbox
def test_a_caller_that_stops_listening_leaves_no_child_behind(sandbox):
    for _ in sandbox.run(job(sandbox, "import time\n\ndef f(x):\n    time.sleep(1000)\n")):
        break
    assert "calls" in answer(sandbox, "def f(x):\n    return x\n")[0]


@needs_sandbox
def test_a_dead_helper_is_trouble_of_the_machine_and_not_an_answer(sandbox):
    sandbox.process.kill()
    with pytest.raises(InfrastructureError):
        answer(sandbox, "def f(x):\n    return x\n")
    assert "calls" in answer(sandbox, "def f(x):\n    return x\n")[0]  # a fresh one was started


@needs_sandbox
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can choose users")
def test_every_child_is_a_user_of_its_own(sandbox):
    source = "import os, torch\n\ndef f(x):\n    return torch.tensor(os.getuid())\n"
    found = [answer(sandbox, source) for _ in range(2)]
    users = [unpack(h["calls"][0]["result"], b).item() for h, b in found]
    assert users[0] != users[1] and min(users) >= 1_000_000_000


# ------------------------------------------------- the plain process: no fork, no Linux, no sandbox
@pytest.fixture(scope="module")
def plain():
    files = SandboxFiles(load_assignment("hw1"), isolated=False)
    yield PlainProcess(files, Limits(cpu=2))
    files.close()


def test_a_plain_process_needs_no_fork_and_gives_the_same_answers(plain, monkeypatch):
    monkeypatch.delattr(os, "fork")
    header, body = answer(plain, "print('hello')\n\ndef f(x):\n    return x * 3\n")
    assert unpack(header["calls"][0]["result"], body).tolist() == [3, 6]
    assert plain.printed == "hello\n" and plain.used > 0


@needs_sandbox
@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    print(x)\n    return x.numpy(), 2 * x\n",
        "def f(x):\n    raise ValueError('no\\nmore')\n",
        "def f(x):\n    exit()\n",
        pytest.param("def f(x):\n    return f(x)\n", marks=pytest.mark.slow),
        pytest.param("def f(x, y):\n    return x\n", marks=pytest.mark.slow),
        pytest.param("f = 3\n", marks=pytest.mark.slow),
        pytest.param("def g(x):\n    return x\n", marks=pytest.mark.slow),
        "def f(x:\n",
        "import scratchae.checking\n",
    ],
)
def test_a_plain_process_and_the_sandbox_report_the_same(plain, sandbox, source):
    assert answer(plain, source) == answer(sandbox, source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os\n\ndef f(x):\n    os._exit(7)\n", "exit code 7"),
        ("import ctypes\n\ndef f(x):\n    ctypes.string_at(0)\n", "SIGSEGV"),
        ("def f(x):\n    while True:\n        pass\n", "2 seconds of CPU time"),
        ("import os\n\ndef f(x):\n    os.closerange(0, 99)\n    return x\n", "exit code"),
    ],
)
def test_a_plain_process_that_ends_says_why(plain, source, words):
    assert words in answer(plain, source)[0]


def test_a_plain_process_has_a_wall_clock_where_cpu_time_has_no_timer(plain):
    """As on Windows: the timer of CPU time is taken away by the source itself."""
    source = (
        "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)\n\n"
        "def f(x):\n    signal.setitimer(signal.ITIMER_PROF, 0)\n    while True:\n        pass\n"
    )
    slow = PlainProcess(plain.files, Limits(cpu=1, wall=2))
    assert answer(slow, source)[0] == "it gave no answer in 2 seconds"


def test_a_check_can_be_imported_where_only_linux_has_the_modules():
    missing = ("resource", "fcntl", "pyseccomp", "pwd", "grp", "termios")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing}))\nimport scratchae.course.check"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
