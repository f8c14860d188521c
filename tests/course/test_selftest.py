"""Every known attack on the grader is really tried here, and contained.

On a machine that can have no sandbox these tests are skipped, visibly.
"""

import pytest

from scratchae.course.selftest.attack import Attack, Targets, probe
from scratchae.course.selftest.denial_of_service import DENIAL_OF_SERVICE
from scratchae.course.selftest.run import ATTACKS, AttackRunner, judge, names
from tests.helpers.grading import needs_sandbox

pytestmark = needs_sandbox
QUICK = {"os._exit(0)", "segfault", "source with deep nesting"}
LONG = {attack.name for attack in DENIAL_OF_SERVICE} - QUICK | {"markers left for the next run"}


@pytest.fixture(scope="module")
def runner():
    with AttackRunner("bubblewrap") as runner:
        yield runner


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in names()]
)
def test_the_attack_is_contained(runner, name):
    tried = runner.try_attack(name)
    assert tried.contained, tried.how


KNOWN_TO_WORK_ELSEWHERE = """
infinite loop; sleep; ignoring signals; a C loop holding the GIL; fork bomb; thread bomb; a daemon that
outlives; memory bomb; disk fill; huge stdout; os._exit(0); sys.exit at import; segfault; atexit; writing
results.json; fake score lines; reading hidden cases and answers from disk; frames and gc for expected
values; residue of the previous student; monkeypatching torch, json and numpy; __eq__ objects; a tensor
subclass that lies; a pickle payload; forged answer frame; NaN; infinity; wrong dtype; a meta tensor; a
sparse tensor; a complex tensor; network by TCP; network by UDP; ptrace and the memory of neighbours; kill
of neighbours; exec of a shell; reading the environment; conftest.py, torch.py and sitecustomize.py in the
submission; zip-slip; a symlink member; a zip bomb; source with deep nesting; deleting other students'
files; markers left for the next run; torch.autograd; torch.nn.functional and friends; a ready-made
operator under another name; hard-coded answers to public cases; nondeterminism; terminal escapes, HTML and
spreadsheet formulas in output
"""


def test_every_attack_that_other_graders_fell_to_is_among_them():
    for known in " ".join(KNOWN_TO_WORK_ELSEWHERE.split()).split("; "):
        assert any(name.startswith(known) for name in names()), known


def test_no_two_attacks_have_one_name():
    assert len(set(names())) == len(names()) >= len(ATTACKS)


def result(passed, sentence, flags=()):
    """The result of the hostile task and of one that must not be hurt."""
    rows = [{"passed": passed, "sentence": sentence}]
    hostile = {"earned": 5.0 if passed else 0, "points": 5, "rows": rows}
    return {"tasks": [hostile, {"earned": 5.0, "points": 5, "rows": rows}], "flags": list(flags)}


@pytest.mark.parametrize(
    ("kind", "graded"),
    [
        ("probe", result(False, "it stopped with RuntimeError in line 3: reached: /etc/passwd")),
        ("probe", result(False, "it used more than 2 seconds of CPU time")),
        ("score", result(True, "")),
        ("crash", result(False, "y is zero everywhere")),
        ("flag", result(True, "")),
    ],
)
def test_an_attack_that_works_is_told_from_one_that_does_not(kind, graded):
    contained, _ = judge(Attack("a", kind, lambda targets: "", "CPU time of another kind"), graded)
    assert not contained


@pytest.mark.parametrize(
    ("body", "report"),
    [
        ("return successes({'a': lambda: 1, 'b': lambda: 1 / 0})", "reached: ['a']"),
        ("return successes({'a': lambda: 1 / 0})", "refused: ZeroDivisionError: division by zero"),
        ("return successes({'a': lambda: unknown})", "the attack is broken"),
        ("return system_call(10**6)", "refused: OSError: [Errno 38] system call 1000000"),
        ("return open(SECRET).read()", "reached: the secret"),
    ],
)
def test_a_probe_reports_what_it_reached(body, report, tmp_path):
    (tmp_path / "secret").write_text("the secret")
    module = {}
    exec(probe("", body).source(Targets(tmp_path, 9, 1, tmp_path / "secret")), module)
    with pytest.raises(RuntimeError) as told:
        module["relu_forward"](None)
    assert str(told.value).startswith(report)
