"""Grading: turn submissions into points and feedback. This is the trusted side of the sandbox."""
