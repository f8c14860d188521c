"""Selftest: every attack on the grader that is known, really tried on this machine."""

from scratchae.course.selftest.run import Tried, selftest

__all__ = ["Tried", "selftest"]
