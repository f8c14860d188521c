"""The page on a convolution's window: its numbers are the library's, and every way of pointing works."""

from pathlib import Path

import pytest
import torch

from scratchae.layers import (
    conv2d_backward,
    conv2d_forward,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
)
from tests.helpers.browser import DESK, PHONE, chromium, frame, opened

FOLDER = Path(__file__).parents[2] / "tutorials" / "pages" / "_static"
PAGE = FOLDER / "convolution-window.html"


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser):
    with opened(browser, PAGE) as watched:
        yield watched.page
        assert not watched.complaints


def cell(page, grid: str, row: int, column: int):
    label = "dy" if grid == "dy" else grid
    return page.locator(f"#{grid[-1]} button[aria-label^='{label}[{row},{column}]']")


def linked(page, grid: str) -> set[str]:
    """The labels of the cells that are marked, without their values."""
    marked = page.locator(f"#{grid} button.linked").all()
    return {one.get_attribute("aria-label").split(" ")[0] for one in marked}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE, {"width": 320, "height": 600}])
def test_it_opens_from_a_file_and_asks_for_its_own_files_alone(browser, viewport, scheme):
    with opened(browser, PAGE, viewport, color_scheme=scheme) as watched:
        frame(watched.page)
        own = {FOLDER / f"convolution-window.{kind}" for kind in ("html", "css", "js")}
        own |= {FOLDER / "convolution-words.js"}
        assert set(watched.requests) == {path.as_uri() for path in own}
        assert sum(path.stat().st_size for path in own) < 100_000
        assert not watched.complaints
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_every_number_is_the_librarys(page):
    for layer, kernel, stride, padding in [
        (layer, k, s, p)
        for layer in ("conv", "back")
        for k in (2, 3, 4)
        for s in (1, 2, 3)
        for p in (0, 1)
    ]:
        for name, value in zip(
            ("layer", "kernel", "stride", "padding"), (layer, kernel, stride, padding), strict=True
        ):
            page.locator(f"#{name}").select_option(str(value))
        found = page.evaluate(
            """() => ({ x: state.x, y: state.y, dy: state.dy, w: KERNEL.slice(0, state.kernel)
              .map((row) => row.slice(0, state.kernel)),
              dx: state.x.map((row, r) => row.map((_, c) => total(linksAt('x', [r, c]), 'dy'))) })"""
        )
        x, y, dy, w, dx = (
            torch.tensor(found[n]).double()[None, None] for n in ("x", "y", "dy", "w", "dx")
        )
        forward = conv2d_forward if layer == "conv" else conv_transpose2d_forward
        backward = conv2d_backward if layer == "conv" else conv_transpose2d_backward
        assert torch.equal(y, forward(x, w, stride=stride, padding=padding))
        assert torch.equal(dx, backward(dy, x, w, stride=stride, padding=padding)[0])


def test_pointing_at_an_output_marks_its_window(page):
    cell(page, "y", 1, 2).hover()
    window = {f"x[{row},{column}]" for row in (1, 2, 3) for column in (3, 4, 5)}
    assert linked(page, "x") == window and linked(page, "y") == set()
    assert page.locator("#w .linked").count() == 9
    assert "y[1,2] is made of 9 inputs" in page.locator("#what").inner_text()
    result = page.evaluate("() => state.y[1][2]")
    assert page.locator("#sum").inner_text().endswith(f"= {result}".replace("-", "−"))


def test_pointing_at_an_input_marks_the_outputs_that_feel_it(page):
    cell(page, "x", 1, 1).hover()
    assert linked(page, "y") == {"dy[0,0]", "dy[0,1]", "dy[1,0]", "dy[1,1]"}
    assert page.locator("#w .linked").count() == 4
    assert "x[1,1] is felt by 4 outputs" in page.locator("#what").inner_text()
    assert "w[2,2]·dy[0,0]" in page.locator("#sum").inner_text()
    cell(page, "x", 0, 0).hover()
    assert linked(page, "y") == {"dy[0,0]"}


def test_the_padding_is_part_of_the_window_but_adds_nothing(page):
    cell(page, "y", 0, 0).hover()
    assert page.locator("#x .padding.linked").count() == 5
    assert page.locator("#w .linked").count() == 4
    assert "Taps on the padding, which is 0: 5." in page.locator("#hint").inner_text()


def test_arrow_keys_walk_through_the_cells_and_the_tab_key_through_the_page(page):
    page.locator("#counts").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    chosen = "() => [state.chosen.name, state.chosen.cell]"
    assert page.evaluate(chosen) == ["x", [1, 1]]
    page.keyboard.press("Tab")
    assert page.evaluate(chosen) == ["y", [0, 0]]
    for key in ["ArrowRight"] * 5 + ["ArrowUp", "ArrowDown"]:
        page.keyboard.press(key)
    assert page.evaluate(chosen) == ["y", [1, 2]]
    assert page.evaluate("() => document.activeElement.className").split() == ["cell", "chosen"]


def test_a_tap_chooses(browser):
    with opened(browser, PAGE, PHONE, has_touch=True, is_mobile=True) as watched:
        page = watched.page
        cell(page, "x", 3, 3).tap()
        assert page.evaluate("() => [state.chosen.name, state.chosen.cell]") == ["x", [3, 3]]
        assert page.locator("#what").is_visible() and not watched.complaints


def test_kernel_3_at_stride_2_feeds_outputs_unevenly_and_kernel_4_evenly(page):
    page.locator("#layer").select_option("back")
    page.locator("#counts").check()
    counts = "() => [...document.querySelectorAll('#y button')].map((cell) => parseInt(cell.textContent))"
    assert set(page.evaluate(counts)) == {1, 2, 4}  # the checkerboard
    page.locator("#kernel").select_option("4")
    inner = [
        page.evaluate(counts)[6 * row + column] for row in range(1, 5) for column in range(1, 5)
    ]
    assert set(inner) == {4}


def test_an_input_of_a_transposed_convolution_shows_what_it_stamps_on_the_outputs(page):
    page.locator("#layer").select_option("back")
    page.locator("#stride").select_option("3")  # stamps of 3 x 3 do not overlap
    page.locator("#padding").select_option("0")
    assert page.locator("#shows").input_value() == "stamp"
    cell(page, "x", 1, 2).hover()
    assert linked(page, "y") == {f"y[{row},{column}]" for row in (3, 4, 5) for column in (6, 7, 8)}
    got = (
        "() => [...document.querySelectorAll('#y .linked')].map((e) => +e.ariaLabel.split(' ')[2])"
    )
    kernel, x = page.evaluate(
        "() => [KERNEL.slice(0, 3).flatMap((r) => r.slice(0, 3)), state.x[1][2]]"
    )
    assert page.evaluate(got) == [w * x for w in kernel]
    assert "y[3,6] gets" in page.locator("#sum").inner_text()
    page.locator("#shows").select_option("gradient")
    assert "dx[1,2] = w[0,0]·dy[3,6]" in page.locator("#sum").inner_text()


def test_the_stamps_of_all_inputs_add_up_to_the_output(page):
    for layer in ("conv", "back"):
        page.locator("#layer").select_option(layer)
        page.locator("#shows").select_option("stamp")
        sums, y = page.evaluate(
            """() => {
              const sums = state.y.map((row) => row.map(() => 0));
              state.x.forEach((row, r) => row.forEach((_, c) => linksAt('x', [r, c]).filter((l) => l.inside)
                .forEach((link) => { const [p, q] = link[side('y')]; sums[p][q] += added(link); })));
              return [sums, state.y];
            }"""
        )
        assert sums == y
