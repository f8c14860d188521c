"""The autograder zip, unpacked and run as Gradescope does, in a sandbox in place of its container."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scratchae.course.assignment import load_assignment
from scratchae.course.blanked_sources import master_sources
from scratchae.course.grading.gradescope import requirements, write_autograder
from scratchae.course.sandbox import DESCRIPTIONS, why_no_bubblewrap
from tests.course.test_grade import GRADESCOPE, holds
from tests.helpers.grading import SECRET
from tests.helpers.submissions import small_assignment

rooted = pytest.mark.skipif(
    bool(why_no_bubblewrap()) or os.geteuid() != 0,
    reason=why_no_bubblewrap() or "only root can be the root of a container",
)
PEEKING = """

def relu_forward(x):
    found = []
    for path in ("/autograder/source/course.secret", "/autograder/source/scratchae/losses/mse.py"):
        try:
            found.append(open(path).read())
        except OSError as error:
            found.append(type(error).__name__)
    raise ValueError(f"{os.getuid() > 0} {found}")
"""


@pytest.fixture
def layout(tmp_path):
    """/autograder, as Gradescope lays it out."""
    assignment = load_assignment(small_assignment(tmp_path))
    write_autograder(assignment, SECRET, tmp_path / "small.zip")
    root = tmp_path / "autograder"
    for folder in ("source", "submission", "results", "tmp"):
        (root / folder).mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "small.zip") as file:
        file.extractall(root / "source")
    for name in ("run_autograder", "setup.sh"):
        (root / name).write_bytes((root / "source" / name).read_bytes())
        (root / name).chmod(0o755)
    metadata = {"id": 1, "users": [{"id": 7, "email": "ada@x.org", "name": "Ada"}]}
    (root / "submission_metadata.json").write_text(json.dumps(metadata))
    for file, text in master_sources(load_assignment("hw1")).items():
        (root / "submission" / Path(file).name).write_text(text)
    return root


def run(root, *command):
    """Run it as the root of a container that may make no namespaces."""
    words = ["bwrap", "--ro-bind", "/", "/", "--bind", str(root), "/autograder", "--dev", "/dev"]
    words += ["--proc", "/proc", "--unshare-net", "--unshare-pid", "--die-with-parent"]
    words += ["--cap-drop", "ALL"]
    for capability in ("SETUID", "SETGID", "KILL", "FOWNER", "DAC_OVERRIDE"):
        words += ["--cap-add", f"CAP_{capability}"]
    words += [
        "--setenv",
        "SCRATCHAE_PYTHON",
        sys.executable,
        "--setenv",
        "TMPDIR",
        "/autograder/tmp",
    ]
    return subprocess.run(
        [*words, "--", *command], capture_output=True, text=True, check=False, timeout=500
    )


@pytest.fixture(autouse=True)
def autograder_exists():
    """bwrap needs a place to mount on."""
    made = not Path("/autograder").exists() and os.geteuid() == 0
    if made:
        Path("/autograder").mkdir()
    yield
    if made:
        Path("/autograder").rmdir()


@rooted
def test_the_answers_earn_every_point_on_gradescope_and_the_report_says_how_it_ran(layout):
    done = run(layout, "/autograder/run_autograder")
    assert done.returncode == 0, done.stderr
    result = json.loads((layout / "results" / "results.json").read_text())
    holds(result, GRADESCOPE)
    assert result["score"] == 30 and DESCRIPTIONS["container"] in result["output"]


@rooted
def test_a_submission_can_read_neither_the_answers_nor_the_secret(layout):
    path = layout / "submission" / "activations.py"
    path.write_text(path.read_text() + "\n\nimport os\n" + PEEKING)
    assert run(layout, "/autograder/run_autograder").returncode == 0
    result = json.loads((layout / "results" / "results.json").read_text())
    assert result["score"] == 20
    assert "True ['PermissionError', 'PermissionError']" in result["tests"][1]["output"]


@rooted
@pytest.mark.slow
def test_trouble_of_the_machine_leaves_no_result_and_is_no_grade(layout):
    helper = layout / "source" / "scratchae" / "course" / "sandbox" / "inside" / "helper.py"
    helper.write_text("raise SystemExit(1)\n")
    (layout / "results" / "results.json").write_text('{"score": 30}')
    done = run(layout, "/autograder/run_autograder")
    assert done.returncode == 3 and "not graded" in done.stderr
    assert not (layout / "results" / "results.json").exists()


def test_the_zip_is_the_same_every_time_and_has_the_two_scripts_at_its_root(tmp_path):
    hw1 = load_assignment("hw1")
    for name in ("one.zip", "two.zip"):
        write_autograder(hw1, SECRET, tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        assert {"setup.sh", "run_autograder", "scratchae/step.py"} <= set(file.namelist())
        for script in ("setup.sh", "run_autograder"):
            text = file.read(script).decode()
            assert (
                subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
            )


def test_what_is_installed_there_is_what_the_library_needs():
    torch, others = requirements()
    assert torch.startswith("'torch>=")
    assert any(r.startswith("'pyseccomp") for r in others)
    assert not any("pytest" in r for r in others)
