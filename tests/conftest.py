"""Settings of all tests: hypothesis' profiles, and one thread, which is faster for tiny tensors."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start

# HYPOTHESIS_PROFILE=explore looks for cases that nobody has seen yet
common = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
settings.register_profile("same", max_examples=200, derandomize=True, database=None, **common)
settings.register_profile("explore", max_examples=2000, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_configure(config):
    # torch's remark on its own way of doing padding='same' with an even kernel
    config.addinivalue_line("filterwarnings", "ignore:Using padding='same' with even kernel")


@pytest.fixture(scope="module")
def grader():
    """A grader in a sandbox for each assignment, by its name; all end with the module's tests."""
    from tests.helpers.grading import Graders  # here: only tests of grading need the course

    graders = Graders()
    yield graders
    graders.close()
