"""A real Chromium for the tests of pages: headless, every host blocked, what it does written down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 740}


def need(there: object, words: str) -> None:
    """Skip, visibly, where something is missing; continuous integration has to have it."""
    if not there:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)


@contextmanager
def chromium() -> Iterator:
    """The system's browser, driven by playwright; without one the tests are skipped."""
    need(find_spec("playwright"), "there is no playwright: pip install -e '.[test]'")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    need(program, "there is no Chromium to open pages in: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        options = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND"]
        browser = driver.chromium.launch(executable_path=program, args=options, timeout=180_000)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """An open page: what it asked for and what it complained of."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def opened(browser, path: Path, viewport: dict = DESK, **options) -> Iterator[Watched]:
    """The page in that file, watched from before it is loaded; options: playwright's new_context."""
    context = browser.new_context(viewport=viewport, **options)
    try:
        watched = Watched(context.new_page())
        page = watched.page
        page.set_default_timeout(180_000)  # of a busy machine
        page.on("request", lambda request: watched.requests.append(request.url))
        page.on("console", lambda message: watched.complaints.append(message.text))
        page.on("pageerror", lambda error: watched.complaints.append(str(error)))
        page.goto(path.as_uri())
        yield watched
    finally:
        context.close()


def frame(page) -> None:
    """Wait until the page has drawn what it was about to draw."""
    page.evaluate("() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))")
