"""
The HTML report as a real browser shows it: at two widths, light and dark, on a picture each in `build/browser`.

Run by `make browser`, which installs what it needs; not by `make test`, which needs no browser.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from docstore.cli.html_report import html_page
from docstore.commands import DatabaseReport
from tests.browser.browsers import installed
from tests.html_reports import coverage, database_report, everything, kind_report

PICTURES = Path(__file__).parents[2] / "build" / "browser"
REPORTS = {
    "everything": everything(),
    "one-empty-kind": database_report(kind_report(coverage("city", latest=1))),
    "no-kind": database_report(),
}
#: Milliseconds; a machine that is busy with other things may take its time.
PATIENCE = 240_000
#: What WCAG 2 asks of text.
CONTRAST = 4.5
PROBE = (Path(__file__).with_name("probe.js")).read_text(encoding="utf-8")


@dataclass
class Seen:
    """
    What a page did while it was looked at.
    """

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def asked(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = installed()
    assert path is not None, "no browser: `make browser` installs one"
    with sync_playwright() as playwright:
        # Nothing of elsewhere is opened, and as root Chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", REPORTS)
def test_the_report_is_readable(
    browser: Browser, tmp_path: Path, name: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    seen = Seen()
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    page.on("request", seen.asked)
    page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))

    opened = open_report(page, REPORTS[name], tmp_path)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}-{width}-{scheme}.png", full_page=True)
    closed = look(page)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    unfolded = look(page)
    page.close()

    assert seen.requests == [opened]
    assert seen.complaints == []
    for looked in (closed, unfolded):
        assert looked["width"] == width
        assert looked["outside"] == []
        assert looked["pale"] == []
        assert looked["hidden"] == []
        assert looked["texts"] > 10
        assert looked["sections"] >= 2


def test_the_probe_finds_what_it_looks_for(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 900})
    page.set_content(
        "<main style='background: #fff'><section><h2>one</h2><p style='color: #999'>pale</p></section>"
        "<section><h2>two</h2><div style='width: 900px; background: #fff'>wide</div></section>"
        "<section style='display: none'><h2>three</h2></section></main>"
    )

    looked = look(page)
    page.close()

    assert [each["text"] for each in looked["pale"]] == ["pale"]
    assert looked["outside"] != []
    assert looked["width"] > 400
    assert len(looked["hidden"]) == 1


def open_report(page: Page, report: DatabaseReport, folder: Path) -> str:
    """
    Open a report as somebody does who was sent the file, and return its address.
    """
    file = folder / "report.html"
    file.write_text(html_page(report), encoding="utf-8")
    page.goto(file.as_uri())
    page.wait_for_load_state("networkidle")
    return file.as_uri()


def look(page: Page) -> dict[str, Any]:
    """
    Return what the probe measures of a page.
    """
    looked: dict[str, Any] = page.evaluate(PROBE, CONTRAST)
    return looked
