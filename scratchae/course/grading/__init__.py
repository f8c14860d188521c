"""Grading: submissions in, points and feedback out, on the trusted side of the sandbox."""
