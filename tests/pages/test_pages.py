"""Every page of the table of contents, opened as a reader would: wide and narrow, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from bookkit.vendor import AXE, bring
from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
STACK = ".jupyter-widgets.widget-stack, .jupyter-widgets .widget-stack, .widget-box"
WIDTHS = {"desk": (1440, 900), "phone": (390, 844)}


class Opened:
    """One page in one window, and what went wrong while it loaded."""

    def __init__(self, context: BrowserContext, site: str, name: str) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.missing: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("request", lambda r: self.foreign.append(r.url)
                     if not r.url.startswith((site, "data:", "blob:")) else None)
        self.page.on("response", lambda r: self.missing.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        self.page.goto(f"{site}/{name}.html", wait_until="networkidle", timeout=60_000)

    def wear(self, window: str, theme: str) -> None:
        """Make the window wide or narrow, and the page light or dark."""
        width, height = WIDTHS[window]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.evaluate("theme => { document.documentElement.dataset.theme = theme; "
                           "document.documentElement.dataset.mode = theme; }", theme)

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def violations(self) -> list[str]:
        """What axe finds serious."""
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [describe(v) for v in found["violations"] if v["impact"] in ("serious", "critical")]


pytestmark = pytest.mark.timeout(600)    # a long page takes its time on a busy machine


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(reduced_motion="reduce")
    yield context
    context.close()


def describe(violation: dict[str, Any]) -> str:
    """What axe found, short enough to act on."""
    places = "; ".join(" ".join(map(str, node["target"])) for node in violation["nodes"][:3])
    return f"{violation['impact']}: {violation['id']}, {violation['help']} ({len(violation['nodes'])} places: {places})"


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, site: str, context: BrowserContext, request: pytest.FixtureRequest) -> None:
    for _ in range(5):
        opened = Opened(context, site, name)
        if not any("ERR_NETWORK_CHANGED" in error for error in opened.errors):
            break   # Docker made or removed a network meanwhile, and Chromium noticed: not the page's fault
    assert opened.page.locator("article h1").count() == 1, "a page has one title"
    assert not opened.errors, "the console has errors"
    assert not opened.foreign, "the page asks somebody else for something"
    assert not opened.missing, "something that the page asks for is not there"
    opened.page.add_script_tag(path=bring(AXE, ROOT / "_build" / "vendor") / "axe.min.js")
    folder = request.config.getoption("--pages-screenshots")
    wrong = []
    for window in WIDTHS:
        for theme in ("light", "dark"):
            opened.wear(window, theme)
            if folder:
                target = ROOT / folder / f"{Path(name).name}-{window}-{theme}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                opened.page.screenshot(path=target, full_page=True, timeout=120_000)
            if opened.overflow() > 0:
                wrong.append(f"{window}: the page is {opened.overflow()}px wider than its window")
            if window == "desk":
                wrong += [f"{theme}: {found}" for found in opened.violations()]
    assert not wrong, "\n".join(wrong)


def test_widgets_work_without_a_kernel(site: str, browser: Browser) -> None:
    """A slider in a saved page turns its frames."""
    notebooks = [ROOT / f"{name}.ipynb" for name in PAGES]
    names = [f"book/{n.stem}" for n in notebooks if n.exists() and "widget-view" in n.read_text()]
    assert names, "no chapter has a widget"
    page = browser.new_page()
    page.goto(f"{site}/{names[0]}.html", wait_until="networkidle")
    handle = page.locator(".noUi-handle, input[type=range]").first
    handle.wait_for(timeout=10_000)
    before = page.locator(STACK).first.inner_html()
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    after = page.locator(STACK).first.inner_html()
    page.close()
    assert before != after, "the slider moved, and nothing changed"
