"""
The page as text: well-formed, sufficient to itself, and with every name as a name.
"""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docstore.cli.html_report import html_page
from docstore.cli.html_report.kind_part import kind_part
from docstore.commands import DatabaseReport
from docstore.core.control_view import Freeze
from docstore.fleet.status import FleetStatus
from tests.html_reports import (
    AT,
    HOSTILE,
    coverage,
    database_report,
    everything,
    kind_report,
    node,
    reason,
    rollout,
    run,
    works_with,
)

#: What makes a browser ask for something, or run something.
ASKING = {
    "src",
    "href",
    "srcset",
    "action",
    "formaction",
    "poster",
    "data",
    "background",
    "{http://www.w3.org/1999/xlink}href",
}
RUNNING = {"script", "iframe", "object", "embed", "form", "base", "img", "use", "image", "foreignObject"}


def parsed(page: str) -> ET.Element:
    """
    Return the page as a tree; it is XML, too, so that nothing is left open or nested wrongly.
    """
    assert page.startswith("<!DOCTYPE html>\n")
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314 - it was made here


def text_of(element: ET.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def section(tree: ET.Element, id: str) -> str:
    (found,) = (each for each in tree.iter("section") if each.get("id") == id)
    return text_of(found)


@pytest.fixture(scope="module")
def page() -> str:
    return html_page(everything())


@pytest.fixture(scope="module")
def tree(page: str) -> ET.Element:
    return parsed(page)


def test_nothing_is_loaded_and_nothing_runs(page: str, tree: ET.Element) -> None:
    asked = [
        value
        for element in tree.iter()
        for name, value in element.attrib.items()
        if name in ASKING and not value.startswith(("#", "data:,"))
    ]

    assert asked == []
    assert {element.tag for element in tree.iter()} & RUNNING == set()
    assert [name for element in tree.iter() for name in element.attrib if name.startswith("on")] == []
    style = text_of(next(tree.iter("style")))
    assert re.findall(r"url\((?!#)|@import|@font-face", style) == []
    assert "http:" not in page
    assert "https:" not in page
    assert "default-src 'none'" in [element.get("content", "").split(";")[0] for element in tree.iter("meta")]


def test_every_picture_is_told_in_words_and_every_id_is_there_once(tree: ET.Element) -> None:
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    told = {element.get("id") for element in tree.iter() if text_of(element)}
    pictures = [element for element in tree.iter("svg") if element.get("aria-hidden") != "true"]

    assert len(ids) == len(set(ids))
    assert len(pictures) > 20
    for picture in pictures:
        assert picture.get("role") == "img"
        assert set((picture.get("aria-labelledby") or "nothing").split()) <= told
    for element in tree.iter():
        assert set((element.get("aria-labelledby") or "").split()) <= told
        link = element.get("href") or ""
        assert not link.startswith("#") or link.removeprefix("#") in ids


def test_a_report_has_its_parts_in_this_order(tree: ET.Element) -> None:
    assert [each.get("id") for each in tree.iter("section") if each.get("id")] == [
        "next",
        "kinds",
        *(f"kind-{number}" for number in range(1, 11)),
        "fleet",
    ]
    assert [text_of(each) for each in tree.iter("h3")][:6] == [
        "Rows by version",
        "History",
        "Rollout",
        "Run to version 6 running",
        "Quarantine",
        "Floor, fence and retirement",
    ]


def test_a_kind_is_told_whole(tree: ET.Element) -> None:
    city = section(tree, "kind-1")

    for words in (
        "993,700 rows in cities, 66.5 % at version 6. The code reads versions 1 to 6; rows are stored at version 6.",
        "4: 1.2 % 5: 31.3 % 6 (latest): 66.5 % 7 (newer): <0.1 % no tag: 1.0 % unreadable tag: <0.1 %",
        "6 (latest, stored now) 661,211 66.5 %",
        "The oldest row below version 6 was made 412 d 5 h ago, and is at version 4.",
        "3 rows among these have a double as tag, which a fence does not let in.",
        "Not of one moment: the server is no replica set",
        "rows stood at version 6 on 2026-01-13 09:26 UTC",
        "640,000 of 1,000,000 (64.0 %)",
        "1,200 UpgradeError at location.lat in step 5; version 4 to 6",
        "recorded floor version 4 proved by",
        "1,000,000 rows counted, none below since 2026-03-14 09:26 UTC; soak time 2 d",
        "lets in versions 4 to 7 (moderate)",
        "1,204 rows in quarantine",
        "Asked for by clients: version 4 (1,204 times, last 2026-03-14 09:26 UTC)",
    ):
        assert words in city


def test_a_fence_that_is_gone_is_told_with_what_it_was_to_let_in(tree: ET.Element) -> None:
    huge = section(tree, "kind-4")

    assert "unproved the server did not refuse rows below it when it was recorded" in huge
    assert "northern_hemisphere is gone: the server does not refuse rows below version 1." in huge
    assert "fence is gone: the server lets everything in was to let in versions 1 to 60 (strict)" in huge


def test_the_fleet_is_told_the_dead_first(tree: ET.Element) -> None:
    fleet = section(tree, "fleet")

    assert fleet.index("reports cron-2 (4711) dead") < fleet.index("waits: it reads city up to version 5")
    assert fleet.index("waits: it reads city") < fleet.index("geo-api pod-1 (4711) alive city 4 to 6 6 1 s ago")
    assert "geo-api pod-3 (4711) alive city 4 to 6 5 1 s ago has not acknowledged the last change" in fleet
    assert "nightly-export declared city 3 to 6 5 declared by ada@ops" in fleet


def test_what_to_do_comes_with_its_command_the_worst_first(tree: ET.Element) -> None:
    todo = section(tree, "next")

    assert todo.startswith("What to do next city : 7 rows have a tag that is no version")
    commands = ["docstore quarantine list city", "docstore rollout unfreeze", "docstore rollout advance road"]
    places = [todo.index(command) for command in [*commands, "docstore backfill wait city"]]
    assert places == sorted(places)


def test_names_are_text_wherever_they_stand() -> None:
    report = database_report(
        kind_report(
            coverage(HOSTILE, {1: 5, 2: 3}, latest=2, quarantined=1, blockers=[HOSTILE], collection=HOSTILE),
            rollout=rollout(HOSTILE, late=[HOSTILE]),
            run=run(HOSTILE, reason=HOSTILE),
            quarantine=[reason(1, error=HOSTILE, path=HOSTILE)],
        ),
        fleet=FleetStatus(
            nodes=(node(HOSTILE, HOSTILE, works_with(HOSTILE, (1, 2), 1), waits_for=[HOSTILE]),), readers=()
        ),
        freeze=Freeze(by=HOSTILE, why=HOSTILE, at=AT),
        name=HOSTILE,
    )

    page = html_page(report)

    tree = parsed(page)
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\x00" not in page
    assert page.encode()
    shown = HOSTILE.translate(dict.fromkeys(map(ord, "\u202e\x00\ud800"), "\N{REPLACEMENT CHARACTER}"))
    assert text_of(tree).count(shown) > 12


@given(name=st.text(min_size=1, max_size=30))
def test_any_name_gives_a_page_that_holds_it(name: str) -> None:
    page = html_page(database_report(kind_report(coverage(name, {1: 2}, latest=2, collection=name)), name=name))

    assert page.encode()
    assert [each for each in parsed(page).iter() if each.tag == "script"] == []


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (database_report(), "There is no kind to report on."),
        (database_report(kind_report(coverage(latest=1))), "No rows in cities yet. The code reads version 1 alone."),
        (database_report(kind_report(coverage(latest=1))), "Nothing is left to do."),
        (database_report(kind_report(coverage(versions={6: 1}))), "Nobody works with this database"),
        (database_report(kind_report(coverage(versions={6: 1}))), "1 row in cities, 100.0 % at version 6."),
    ],
)
def test_where_there_is_nothing_that_is_said(report: DatabaseReport, words: str) -> None:
    page = html_page(report)

    assert words in text_of(parsed(page))


def test_the_same_report_gives_the_same_page(page: str) -> None:
    assert html_page(everything()) == page


def test_a_single_row_among_millions_is_seen_and_the_bar_is_full() -> None:
    part = kind_part(kind_report(coverage(versions={1: 1, 5: 10**9, 6: 10**12}, unreadable=1)), id="a")

    widths = {each.label: each.width for each in part.segments}
    assert widths["1"] == widths["unreadable tag"] == widths["5"] == 0.8
    assert sum(widths.values()) == pytest.approx(100.0, abs=0.01)
    assert part.segments[-1].x + part.segments[-1].width == pytest.approx(100.0, abs=0.01)


def test_a_page_of_many_versions_and_samples_stays_small(page: str) -> None:
    many = {version: version for version in range(1, 500)}
    part = html_page(database_report(kind_report(coverage(versions=many, latest=499))))

    assert len(page) < 150_000
    assert len(part) < 250_000
    assert part.count('<rect class="older-') < 510
