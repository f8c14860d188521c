"""Selftest: try every known attack on the grader on this machine."""

from scratchae.course.selftest.run import AttackResult, selftest

__all__ = ["AttackResult", "selftest"]
