"""Workers of the mutation tests: they put a mutant into a copy of the tree and run the tests on it.

Each worker has its own copy, and imports torch, hypothesis and pytest once. It forks for every mutant,
and the child runs the tests up to the first failure. Hypothesis draws the same cases as in the normal
suite, but does not shrink a failing one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing.util
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from reference.mutants import Mutant

ROOT = Path(__file__).parents[1]
TIMEOUT = 120  # seconds; the longest of the three rounds takes 15 on an idle core
LAYERS = [
    *("layers/test_errors", "layers/test_against_torch", "layers/test_sequential"),
    *("layers/test_arguments", "layers/test_trilinear_form", "layers/test_promises"),
    *("layers/test_description", "layers/test_torch_samples", "layers/test_joined_statistics"),
    "layers/test_keys",
    *("layers/test_initial_weights", "reference/test_oracles"),
]
LOSSES = [
    *(
        "losses/test_promises",
        "losses/test_cross_entropy",
        "losses/test_gaussian",
        "losses/test_kl",
    ),
    *("losses/test_continuous_bernoulli", "losses/test_mse", "layers/test_errors"),
]
OPTIMISERS = [
    *("optim/test_schedules", "optim/test_clipping", "optim/test_average"),
    *("optim/test_optimizers", "optim/test_torch_samples", "layers/test_errors"),
]
ELSEWHERE = "engine or workers or sweep or trace or explorer or learner or processes or by_name"
QUICK = 5  # of a file's own test files: they find most mutants with few examples
TESTS = {  # a file's own test files, and words: the name of a test has one of them
    "layers/linear.py": (LAYERS, "linear or sequential or errors"),
    "layers/batchnorm.py": (LAYERS, "norm or running or sequential or errors"),
    "layers/layernorm.py": (["layers/test_layernorm", *LAYERS], f"norm and not ({ELSEWHERE})"),
    "layers/activations.py": (LAYERS, "relu or tanh or sigmoid or sequential or errors"),
    "layers/smooth_activations.py": (
        ["layers/test_smooth_activations", *LAYERS],
        "silu or gelu or softplus or errors",
    ),
    "layers/pooling.py": (["layers/test_pooling", *LAYERS], "pool or errors or device"),
    "layers/upsample.py": (
        ["layers/test_pooling", *LAYERS],
        "pixels or upsampl or adjoint or errors or device or channel or factors",
    ),
    "layers/groupnorm.py": (["layers/test_groupnorm", *LAYERS], "group or errors or eps"),
    "layers/dropout.py": (
        ["layers/test_dropout", *LAYERS],
        "drop or errors or probab or device",
    ),
    "layers/reshape.py": (LAYERS, "flatten or sequential or errors"),
    "layers/init.py": (["layers/test_initial_weights", *LAYERS[:-2]], ""),
    "layers/sampling.py": (
        ["layers/test_sampling", *LAYERS],
        "sampl or refused or noise or beta or device",
    ),
    "layers/residual.py": (
        ["layers/test_residual", *LAYERS],
        "residual or sum or shape or refused",
    ),
    "layers/kl.py": (
        ["losses/test_kl", "layers/test_promises"],
        "kl or divergence or prior or elbo",
    ),
    "layers/": (LAYERS, ""),
    "losses/": (LOSSES, ""),
    "optim/named.py": (["optim/test_named"], ""),
    "optim/schedules.py": (OPTIMISERS, ""),
    "optim/plateau.py": (OPTIMISERS, ""),
    "optim/clipping.py": (["optim/test_clipping", *OPTIMISERS], ""),
    "optim/average.py": (["optim/test_average", *OPTIMISERS], ""),
    "optim/": (["optim/test_optimizers", *OPTIMISERS], ""),
}
WIDER = [  # for survivors
    *("losses/test_mse", "test_step", "optim/test_optimizers", "test_written_by_hand"),
    *("layers/test_arguments", "training/test_fit", "reference/test_lockstep"),
]
LEFT_OUT = f"200_steps or command or checking or {ELSEWHERE}"  # long, or tests of something else


def own_tests(file: str) -> list[str]:
    """Return pytest's arguments for the tests that are closest to a file below scratchae/."""
    names, words = next(tests for start, tests in TESTS.items() if file.startswith(start))
    return [
        *(f"tests/{name}.py" for name in dict.fromkeys(names)),
        *(["-k", words] if words else []),
    ]


def wider_tests(file: str) -> list[str]:
    """Return pytest's arguments for the other tests that train or compare with torch."""
    own, wide = own_tests(file), [f"tests/{name}.py" for name in [*LAYERS, *WIDER]]
    if "-k" in own:  # only some tests of these files have been run
        rest = list(dict.fromkeys([*own[: own.index("-k")], *wide]))
    else:
        rest = [name for name in wide if name not in own]
    return [*rest, "-k", f"not ({LEFT_OUT})"]


def prepare() -> None:
    """Prepare a new worker: make its copy, and import what takes long."""
    import hypothesis
    import pandas  # noqa: F401
    import pytest  # noqa: F401
    import torch.utils._python_dispatch
    import typer  # noqa: F401

    torch.set_num_threads(1)
    tree = Path(tempfile.mkdtemp(prefix="mutation-"))
    multiprocessing.util.Finalize(None, shutil.rmtree, (tree, True), exitpriority=1)
    ignored = shutil.ignore_patterns("__pycache__", ".*", "runs", "build", "dist")
    shutil.copytree(ROOT, tree, ignore=ignored, dirs_exist_ok=True)
    os.chdir(tree)
    sys.path[:] = [str(tree), *(p for p in sys.path if p and Path(p).resolve() != ROOT)]
    os.environ["PYTHONPATH"] = str(tree)
    for profile, examples in (("mutation", 200), ("mutation-few", 20)):
        hypothesis.settings.register_profile(
            profile,  # as "same" in tests/conftest.py, less the shrinking
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )
    sys.dont_write_bytecode = False
    in_child(["tests", "--collect-only"], "mutation", 5 * TIMEOUT)  # compiles everything
    sys.dont_write_bytecode = True  # a mutant's must not be taken for the original's
    gc.freeze()


def run_untouched() -> tuple[str | None, str | None]:
    """Run all tests on the unchanged copy. If one fails there, it would seem to kill every mutant."""
    names = [f"tests/{name}.py" for name in [*LAYERS, *WIDER]]
    return in_child([*names, "-k", f"not ({LEFT_OUT})"], "mutation", 5 * TIMEOUT)


def run_mutant(task: tuple[Mutant, bool]) -> dict:
    """Return the row of (mutant, whether a survivor meets all tests); a survivor has no killed_by."""
    mutant, widely = task
    path = Path("scratchae", mutant.file)
    original, times = path.read_text("utf-8"), (path.stat().st_atime, path.stat().st_mtime)
    start = time.perf_counter()
    path.write_text(mutant.source, "utf-8")
    try:
        own = own_tests(mutant.file)
        few = own[:QUICK] + [argument for argument in own[QUICK:] if not argument.endswith(".py")]
        rounds = [(few, "mutation-few"), (own, "mutation"), (wider_tests(mutant.file), "mutation")]
        for tests, profile in rounds if widely else rounds[:2]:
            killed_by, error = in_child(tests, profile)
            if killed_by:
                break
    finally:
        path.write_text(original, "utf-8")
        os.utime(path, times)  # so that the bytecode of the original is valid again
    where = {"file": mutant.file, "line": mutant.line, "text": mutant.text, "what": mutant.what}
    seconds = round(time.perf_counter() - start, 1)
    return {**where, "killed_by": killed_by, "error": error, "seconds": seconds}


def in_child(
    tests: list[str], profile: str, timeout: float = TIMEOUT
) -> tuple[str | None, str | None]:
    """Return (the test that failed, the name of its error), or (None, None) if all passed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ["HYPOTHESIS_PROFILE"] = profile
        os.setsid()
        os.close(reader)
        with contextlib.suppress(BaseException):
            os.write(writer, json.dumps(run_pytest(tests)).encode())
        os._exit(0)
    os.close(writer)
    answer = b'["(it ran on and on)", "Timeout"]'
    if select.select([reader], [], [], timeout)[0]:
        answer = os.read(reader, 65536) or b'["(the process died)", "Crash"]'
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    return tuple(json.loads(answer))


def run_pytest(tests: list[str]) -> tuple[str | None, str | None]:
    """Run the tests, in the child; return the first failure and the name of its error."""
    import pytest

    resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33))  # a mutant may ask for enormous tensors
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    for name in [n for n in sys.modules if n.split(".")[0] in ("scratchae", "reference", "tests")]:
        del sys.modules[name]
    failures = []

    class Watch:
        def pytest_exception_interact(self, node, call):
            failures.append((node.nodeid.removeprefix("tests/"), call.excinfo.typename))

    code = pytest.main([*tests, "-x", "-q", "-p", "no:cacheprovider", "--tb=no"], [Watch()])
    if code == 0:
        assert Path(sys.modules["scratchae"].__file__).is_relative_to(Path.cwd())
        return None, None
    return failures[0] if failures else ("(pytest)", str(code))
