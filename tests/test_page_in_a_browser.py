"""Reports in headless Chromium: nothing leaves the page, tables sort and filter, rows open, everyone can read them."""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path

import pytest

from nmnc_ref.oracle.page import rendering
from tests import pages

INSTALL = "pip install -e '.[browser]'"
sync_api = pytest.importorskip("playwright.sync_api", reason=f"playwright is not installed: {INSTALL}")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=f"axe is not installed: {INSTALL}")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"),
    pytest.mark.xdist_group("browser"),
]
WIDE, NARROW = {"width": 1200, "height": 800}, {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with every page, as <name>/index.html."""
    root = tmp_path_factory.mktemp("pages")
    figures = types.ModuleType("paper_checks.figures")
    figures.drawn = lambda document: pages.FIGURES
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(sys.modules, "paper_checks.figures", figures)
        for name in pages.NAMES:
            (root / name).mkdir()
            rendering.write(root / name, *pages.page(name))
    return root


@pytest.fixture
def visit(browser, folder):
    """Return a function that opens a page and watches over it: no error in the console, no request but for the page."""
    contexts, errors = [], []

    def visit(name: str, size=WIDE, **options):
        context = browser.new_context(viewport=size, **options)
        contexts.append(context)
        visited = context.new_page()
        visited.set_default_timeout(20_000)
        address = (folder / name / rendering.FILE).as_uri()
        visited.on("console", lambda message: errors.append(message.text))
        visited.on("pageerror", lambda error: errors.append(str(error)))
        visited.on(
            "request",
            lambda request: (
                errors.append(request.url)
                if request.url not in (address,) and not request.url.startswith("data:")
                else None
            ),
        )
        visited.goto(address)
        return visited

    yield visit
    for context in contexts:
        context.close()
    assert errors == []


def leaves(url: str, address: str) -> bool:
    """Tell whether what is asked for is not in the page."""
    return url.partition("#")[0] != address and not url.startswith("data:")


def names(page) -> list[str]:
    """Return the names of the rows that are shown, in order."""
    return [each.inner_text() for each in page.locator("#rows .opens:visible").all()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["passing", "failing", "audit, defect", "vectors, wrong"])
def test_axe_finds_no_serious_violation(name, scheme, visit):
    page = visit(name, color_scheme=scheme)
    page.locator("#open-all").click()
    found = axe.Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, [(each["id"], each["nodes"][0]["html"][:200]) for each in serious]


@pytest.mark.parametrize("name", pages.NAMES)
def test_nothing_is_wider_than_a_small_screen(name, visit):
    page = visit(name, NARROW)
    page.locator("#open-all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_dark_is_dark_and_light_is_light(visit):
    brightness = (
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 765"
    )
    assert visit("passing", color_scheme="light").evaluate(brightness) > 0.9
    assert visit("passing", color_scheme="dark").evaluate(brightness) < 0.2


def test_every_column_sorts_both_ways(visit):
    page = visit("failing")
    shown = names(page)
    for index in range(page.locator("#rows thead .sort").count()):
        heading, button = page.locator("#rows thead th").nth(index), page.locator("#rows thead .sort").nth(index)
        button.click()
        assert heading.get_attribute("aria-sort") == "ascending"
        assert page.locator("#rows thead [aria-sort]").count() == 1
        up = names(page)
        button.click()
        assert heading.get_attribute("aria-sort") == "descending"
        assert sorted(up) == sorted(shown)
        keys = f"[...document.querySelectorAll('#rows .row')].map(row => row.cells[{index}].dataset.key)"
        found = [key for key in page.evaluate(keys) if key]
        if all(key.replace(".", "").replace("e-", "").isdigit() for key in found):
            assert [float(key) for key in found] == sorted(map(float, found), reverse=True)
    page.locator("#rows thead .sort").first.click()
    assert names(page) == sorted(shown, key=lambda id: (id[0], int("".join(filter(str.isdigit, id)))))


def test_the_table_is_filtered_by_facet_and_by_words(visit):
    page = visit("failing")
    everything = names(page)
    page.get_by_label("Status").select_option("fail")
    assert names(page) == ["X2", "X3", "X4", "X5"]
    assert page.locator("output").inner_text() == f"4 of {len(everything)}"
    page.get_by_label("Status").select_option("")
    page.get_by_label("Family").select_option("learning")
    assert names(page) == ["L8", "L6-neurons"]
    page.get_by_label("Family").select_option("")
    page.get_by_label("Search").fill("  BEST   scaling ")
    assert names(page) == ["E16"]
    page.get_by_label("Search").fill("no such thing")
    assert names(page) == []
    page.get_by_label("Search").fill("")
    assert names(page) == everything


def test_a_row_opens_by_mouse_by_keyboard_and_by_address(visit):
    page = visit("failing")
    button, detail = page.locator("#X2 .opens"), page.locator("#X2-detail")
    assert detail.is_hidden()
    button.click()
    assert detail.is_visible()
    assert button.get_attribute("aria-expanded") == "true"
    assert detail.locator("math").first.bounding_box()["height"] > 20  # a fraction, drawn as one
    button.press("Enter")
    assert detail.is_hidden()
    button.press("Space")
    assert detail.is_visible()
    page.locator(".findings a", has_text="X4").click()
    assert page.locator("#X4-detail").is_visible()


def test_without_a_script_everything_is_there(visit):
    page = visit("failing", java_script_enabled=False)
    assert page.locator("#X2-detail").is_visible()
    assert page.locator(".controls").is_hidden()


def test_the_data_of_a_figure_can_be_saved(visit):
    page = visit("passing")
    with page.expect_download() as waiting:
        page.locator("figcaption a").first.click()
    assert waiting.value.suggested_filename == "draws.csv"
    assert Path(waiting.value.path()).read_text() == pages.FIGURES[0].csv
