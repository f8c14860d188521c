"""Every attack on the grader that is known is really tried here, and contained.

Where a machine can have no jail these tests are skipped, visibly: nothing was shown there.
"""

import pytest

from scratchae.course.jail import why_no_bubblewrap
from scratchae.course.selftest.attack import Attack
from scratchae.course.selftest.endings import ENDINGS
from scratchae.course.selftest.run import ATTACKS, Stage, judge, names

pytestmark = pytest.mark.skipif(bool(why_no_bubblewrap()), reason=why_no_bubblewrap() or "a jail")
QUICK = {"infinite loop", "os._exit(0)", "segfault", "source with deep nesting"}
LONG = {attack.name for attack in ENDINGS} - QUICK | {"markers left for the next run"}


@pytest.fixture(scope="module")
def stage():
    with Stage("bubblewrap") as stage:
        yield stage


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in LONG else []) for n in names()]
)
def test_the_attack_is_contained(stage, name):
    tried = stage.try_attack(name)
    assert tried.contained, tried.how


def test_no_two_attacks_have_one_name():
    assert len(set(names())) == len(names()) >= len(ATTACKS)


def result(passed, sentence, flags=()):
    """A grade of the hostile task and of an unhurt one."""
    rows = [{"passed": passed, "sentence": sentence}]
    hostile = {"earned": 5.0 if passed else 0, "points": 5, "rows": rows}
    return {"tasks": [hostile, {"earned": 5.0, "points": 5, "rows": rows}], "flags": list(flags)}


@pytest.mark.parametrize(
    ("kind", "graded"),
    [
        ("probe", result(False, "it stopped with RuntimeError in line 3: reached: /etc/passwd")),
        ("probe", result(False, "it used more than 2 seconds of CPU time")),
        ("score", result(True, "")),
        ("ends", result(False, "y is zero everywhere")),
        ("flag", result(True, "")),
    ],
)
def test_an_attack_that_works_is_told_from_one_that_does_not(kind, graded):
    contained, _ = judge(Attack("a", kind, lambda scene: "", "CPU time of another kind"), graded)
    assert not contained
