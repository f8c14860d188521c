"""The pages that grading writes, in a real browser: they fit, and nothing that a student wrote runs."""

import pytest

from scratchae.course.assignment import load_assignment
from scratchae.course.grading.batch import Batch
from scratchae.course.grading.outputs import folder_of, write_batch
from tests.helpers.browser import DESK, PHONE, chromium, opened
from tests.helpers.grading import result_saying

EVIL = '"><script>alert(1)</script><img src=https://example.org/x onerror=alert(2)>\x1b[2J\u202e'
LONG = "x" * 300


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A class of two: one attacks in every text, and one has endless words."""
    out, hw1 = tmp_path_factory.mktemp("grades"), load_assignment("hw1")
    results = [result_saying(EVIL, hw1, student=EVIL), result_saying(LONG, hw1)]
    write_batch(Batch(hw1, "bubblewrap", results, {EVIL: EVIL}), out)
    return out


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.mark.slow
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_and_nothing_in_them_runs_or_calls_home(written, browser, viewport, scheme):
    pages = [written / "report.html"]
    pages += [written / "feedback" / folder_of(name) / "feedback.html" for name in (EVIL, "ada")]
    for path in pages:
        with opened(browser, path, viewport, color_scheme=scheme) as watched:
            page = watched.page
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.evaluate(wide) == 0, path
            assert page.locator("script").count() == 0
            assert all(url.startswith("file:") for url in watched.requests)
            assert not watched.complaints
            assert "alert(1)" in page.inner_text("body") or "ada" in page.title()
