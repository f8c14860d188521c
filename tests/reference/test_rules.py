"""The table of what popular rules let through is as it was measured, and its rules do see mistakes."""

import json
import random

import pytest

from reference.rules import CLASSES, COUNTS, OURS, RESULTS, RULES, caught_once, markdown
from scratchae.checking import EXERCISES, mistakes
from scratchae.checking.exercises import Case

RECORDED = json.loads((RESULTS / "rules.json").read_text())


def test_the_page_is_made_from_the_numbers():
    assert (RESULTS / "rules.md").read_text() == markdown(RECORDED)
    assert set(RECORDED) == {*RULES, OURS, COUNTS}
    assert set(RECORDED[COUNTS]) <= set(CLASSES)


def test_our_check_catches_all_and_no_other_rule_does():
    for rule in (*RULES, OURS):
        assert (min(RECORDED[rule].values()) == 1) == (rule == OURS), rule


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", CLASSES)
def test_a_rule_passes_the_right_version_and_catches_some_mistake(rule, name):
    case, pick = Case(name, "random sizes", 1), random.Random(0)
    assert not caught_once(rule, EXERCISES[name].reference, case, pick)
    assert any(caught_once(rule, m.function, case, pick) for m in mistakes(name))
