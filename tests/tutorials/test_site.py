"""The site builds, requests nothing from another host, and a browser shows it without errors."""

import functools
import gzip
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from scratchae.layers import Linear, ReLU
from scratchae.losses import MSELoss
from tutorials.tools.chapters import cells, chapters

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
RESOURCE = re.compile(
    r'<(?:img|script|link|source|iframe)\b[^>]*?(?:src|href)="(?:https?:)?//[^"]*"'
)


def need(there: object, words: str) -> None:
    """Skip the test if something is missing; in continuous integration fail."""
    if not there:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    need(find_spec("sphinx") and find_spec("myst_nb"), 'needs pip install -e ".[docs]"')
    base = tmp_path_factory.getbasetemp()
    # workers of pytest-xdist share what the first of them builds
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "site"
    with FileLock(base / "site.lock"):
        if not (folder / "complete").exists():
            build_site(folder)
            (folder / "complete").touch()
    return folder


def build_site(folder):
    command = [sys.executable, "-m", "tutorials.tools.site", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture
def browser(site):
    """Yield (a new page of Chromium, the site's address, a list of errors); block all other hosts."""
    need(CHROMIUM, "needs chromium: apt-get install chromium")
    need(find_spec("playwright"), 'needs pip install -e ".[docs]"')
    from playwright.sync_api import sync_playwright

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address, trouble = f"http://127.0.0.1:{server.server_port}/", []

    def gate(route):
        if route.request.url.startswith(address):
            route.continue_()
        else:
            trouble.append(f"asks for {route.request.url}")
            route.abort()

    with sync_playwright() as tool:
        chromium = tool.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        page = chromium.new_page()
        page.route("**/*", gate)
        page.on("console", lambda m: m.type == "error" and trouble.append(f"console: {m.text}"))
        page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        page.on("requestfailed", lambda request: trouble.append(f"failed: {request.url}"))
        yield page, address, trouble
        chromium.close()
    server.shutdown()


def visit(page, address):
    """Open a page and wait for all its files: a request that is cut off counts as failed."""
    page.goto(address)
    page.wait_for_load_state("networkidle")


def pages(site):
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def test_no_page_names_a_resource_of_another_host(site):
    for path in pages(site):
        found = RESOURCE.findall(path.read_text("utf-8"))
        assert not [tag for tag in found if 'rel="canonical"' not in tag], path


def test_every_chapter_is_at_most_100_kb_as_it_is_sent_with_its_styles_and_scripts(site):
    """Most of a page is KaTeX's markup, which a server that compresses sends as a tenth."""
    for path in chapters():
        page = site / "chapters" / f"{path.stem}.html"
        linked = re.findall(r'(?:href|src)="([^"?]+\.(?:css|js))[?"]', page.read_text("utf-8"))
        assert len(linked) >= 8, f"{path.stem} links {linked}"
        files = [page, *(page.parent / link for link in linked)]
        sent = sum(len(gzip.compress(file.read_bytes())) for file in files)
        assert sent <= 100_000 and page.stat().st_size <= 600_000, path.stem


def test_every_picture_has_words_for_those_who_cannot_see_it(site):
    for path in pages(site):
        for tag in re.findall(r"<img\b[^>]*>", path.read_text("utf-8")):
            alt = re.search(r'alt="([^"]*)"', tag)
            assert alt and len(alt[1]) >= 20 and not alt[1].startswith("../"), (path, tag)


def test_every_link_to_a_page_or_file_of_the_site_leads_somewhere(site):
    for path in pages(site):
        for link in re.findall(r'(?:href|src)="([^"#?:<]+)[^":]*"', path.read_text("utf-8")):
            assert (path.parent / link).exists(), (path, link)


def test_every_described_picture_of_a_chapter_is_on_its_page(site):
    for path in chapters():
        described = sum("alt" in cell.metadata for cell in cells(path.read_text("utf-8")))
        text = (site / "chapters" / f"{path.stem}.html").read_text("utf-8")
        shown = re.findall(r'<img\b[^>]*\bsrc="\.\./_images/', text)
        assert len(shown) == described, path.stem


def test_formulas_are_drawn_and_none_is_left_as_source(site):
    for path in chapters():
        text = (site / "chapters" / f"{path.stem}.html").read_text("utf-8")
        assert text.count('class="katex"') >= 5, path.stem
        assert "katex-error" not in text


def test_a_browser_finds_nothing_to_complain_of_on_any_page(site, browser):
    page, address, trouble = browser
    for path in pages(site):
        visit(page, address + path.relative_to(site).as_posix())
        width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, f"{path} is wider than the window"
        cut = page.evaluate(
            """() => [...document.querySelectorAll('.katex-html, .table-wrapper')]
              .filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent.slice(0, 60))"""
        )
        assert not cut, f"{path}: wider than its column is {cut}"
    assert not trouble


def test_no_chapter_is_wider_than_a_phone(site, browser):
    page, address, trouble = browser
    page.set_viewport_size({"width": 390, "height": 800})
    for path in chapters():
        visit(page, f"{address}chapters/{path.stem}.html")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{path.stem} is {width} pixels wide"
    assert not trouble


def test_the_search_finds_a_chapter_without_any_other_host(browser):
    page, address, trouble = browser
    visit(page, f"{address}search.html?q=transpose")
    page.wait_for_selector("ul.search li a")
    assert "transpose" in page.inner_text("ul.search").lower()
    assert not trouble


def test_a_solution_opens_when_it_is_asked_for(browser):
    page, address, trouble = browser
    visit(page, f"{address}chapters/ch02_linear.html")
    solution = page.locator("details", has_text="Show a solution").first
    assert "dy_rows.T @ rows" not in page.locator("body").inner_text()
    solution.locator("summary").click()
    assert "dy_rows.T @ rows" in page.locator("body").inner_text()
    assert not trouble


def test_the_stepper_finds_the_gradients_that_the_layers_find(browser):
    page, address, trouble = browser
    visit(page, f"{address}stepper.html")
    inputs = page.locator(".stepper input")
    for i, value in enumerate(NUMBERS):
        inputs.nth(i).fill(str(value))
    clicks = 0
    while page.evaluate("stepper.now?.name") != "dx1":
        page.get_by_role("button", name="next arrow").click()
        clicks += 1
    assert clicks == 30
    found = page.evaluate("stepper.values")
    right = by_layers(*NUMBERS)
    assert found.keys() == right.keys()
    for name, value in right.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
    page.get_by_role("button", name="to the start").click()
    assert page.evaluate("stepper.values") == {}
    assert not trouble


@pytest.mark.parametrize("width", [390, 1280])
def test_every_number_of_the_stepper_lies_within_its_picture(browser, width):
    page, address, trouble = browser
    page.set_viewport_size({"width": width, "height": 900})
    visit(page, f"{address}stepper.html")
    page.get_by_role("button", name="to the end").click()
    frame = page.locator(".stepper svg").bounding_box()
    assert frame["x"] >= 0 and frame["x"] + frame["width"] <= width
    boxes = [text.bounding_box() for text in page.locator(".stepper svg text").all()]
    assert len(boxes) == 9 * 2 + 2 * 2 + 3 * 6 + 4 + 1  # weights, inputs, units, output, loss
    for box in boxes:
        assert box["x"] >= frame["x"] and box["y"] >= frame["y"], box
        assert box["x"] + box["width"] <= frame["x"] + frame["width"], box
        assert box["y"] + box["height"] <= frame["y"] + frame["height"], box
    assert not trouble


NUMBERS = (
    0.5,
    -1.5,
    1,
    -1,
    2,
    1.5,
    -1,
    0.5,
    0,
    4,
    -2,
    2,
    1,
    -1,
    0.5,
    -3,
)  # as the page asks for them


def by_layers(x0, x1, *rest):
    """Return what the stepper should find at its end, computed by the library's layers."""
    x, t = torch.tensor([[x0, x1]], dtype=torch.float64), rest[-1]
    first, second = Linear(2, 3).to(torch.float64), Linear(3, 1).to(torch.float64)
    first.weight[:], first.bias[:] = torch.tensor(rest[:6]).reshape(3, 2), torch.tensor(rest[6:9])
    second.weight[:], second.bias[:] = torch.tensor(rest[9:12]), rest[12]
    relu, loss = ReLU(), MSELoss()
    z = first(x)
    h = relu(z)
    y = second(h)
    value = loss(y, torch.full_like(y, t))
    dy = loss.backward()
    dh = second.backward(dy)
    dz = relu.backward(dh)
    dx = first.backward(dz)
    tables = {"z": z, "h": h, "y": y, "L": value, "dy": dy, "db2": second.bias.grad, "dx": dx}
    tables |= {"dW2": second.weight.grad, "dh": dh, "dz": dz, "db1": first.bias.grad}
    named = {}
    for name, tensor in tables.items():
        for j, number in enumerate(tensor.flatten().tolist()):
            named[name if name in ("y", "L", "dy", "db2") else f"{name}{j}"] = number
    for j, row in enumerate(first.weight.grad.tolist()):
        named |= {f"dW1{j}{i}": number for i, number in enumerate(row)}
    return named
