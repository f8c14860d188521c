"""One browser for all tests of the explorer."""

import pytest

from tests.helpers.browser import chromium


@pytest.fixture(scope="package")
def browser():
    with chromium() as found:
        yield found
