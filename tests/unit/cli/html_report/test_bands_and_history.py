"""
Versions are coloured the same way in the bar and in the history, and the history is drawn as it was.
"""

import datetime
import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from docstore.cli.html_report.bands import UNREADABLE, UNTAGGED, bands_of, rows_in
from docstore.cli.html_report.history import HEIGHT, WIDTH, history_of, with_now
from docstore.mongo.coverage_samples import CoverageSample
from tests.html_reports import AT, coverage, migration


def sample(minutes: int, **versions: int) -> CoverageSample:
    found = tuple(sorted((int(name.removeprefix("v")), rows) for name, rows in versions.items()))
    at = AT + datetime.timedelta(minutes=minutes)
    return CoverageSample(at=at, latest=2, versions=found, untagged=0, unreadable=0, quarantined=0)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.-]+),([\d.-]+)", path)]


@given(versions=st.sets(st.integers(1, 80)), latest=st.integers(1, 80))
def test_every_version_is_in_one_band_and_neighbours_stay_together(versions: set[int], latest: int) -> None:
    bands = bands_of(coverage(latest=latest), versions)

    held = [version for band in bands for version in band.versions]
    assert held == sorted({*versions, latest})
    assert len(bands) <= 9
    assert len({band.style for band in bands}) == len(bands)
    assert bands[-2:] == [UNTAGGED, UNREADABLE]


def test_rows_below_the_floor_are_told_apart_only_while_they_are_there() -> None:
    there = bands_of(coverage(versions={1: 5, 4: 5}, floor=3), {1, 2, 4})
    gone = bands_of(coverage(versions={4: 5}, floor=3), {1, 2, 4})

    assert [(band.style, band.versions) for band in there[:2]] == [("below", (1,)), ("older-4", (2,))]
    assert "below" not in {band.style for band in gone}


def test_a_band_counts_its_rows() -> None:
    bands = bands_of(coverage(latest=3), {1, 2, 3})

    rows = [rows_in(band, {1: 4, 3: 2}, untagged=7, unreadable=9) for band in bands]

    assert rows == [4, 0, 2, 7, 9]


def test_areas_fill_the_plot_without_gap_or_overlap() -> None:
    samples = migration()
    history = history_of(samples, bands_of(coverage(), {4, 5, 6}), latest=6)

    assert history is not None
    drawn = [points(area.path) for area in history.areas]
    half = len(drawn[0]) // 2
    assert drawn[0][0][0] == 0
    assert max(x for x, _ in drawn[0]) == WIDTH
    for lower, upper in itertools.pairwise(drawn):
        # The top of one is the bottom of the next.
        assert lower[:half] == upper[half:][::-1]
    assert all(abs(y) <= 0.02 for _, y in drawn[-1][:half])
    assert all(y == HEIGHT for _, y in drawn[0][half:])


def test_what_is_done_is_at_the_bottom() -> None:
    history = history_of([sample(0, v1=3, v2=1), sample(5, v1=1, v2=3)], bands_of(coverage(latest=2), {1, 2}), latest=2)

    assert history is not None
    assert [area.label for area in history.areas] == ["2 (latest)", "1"]
    assert points(history.areas[0].path) == [(0, 75), (1000, 25), (1000, 100), (0, 100)]
    assert history.summary == (
        "25.0 % of 4 rows stood at version 2 on 2026-03-14 09:26 UTC, and 75.0 % of 4 on 2026-03-14 09:31 UTC."
    )
    assert [(row.at_latest, row.below) for row in history.rows] == [("75.0 %", 1), ("25.0 %", 3)]


def test_an_empty_collection_in_between_is_a_gap() -> None:
    samples = [sample(0, v2=1), sample(1), sample(2, v2=1)]

    history = history_of(samples, bands_of(coverage(latest=2), {2}), latest=2)

    assert history is not None
    assert [y for _, y in points(history.areas[0].path)[:3]] == [0, 100, 0]


def test_one_moment_is_no_history() -> None:
    bands = bands_of(coverage(latest=2), {2})

    assert history_of([sample(0, v2=1)], bands, latest=2) is None
    assert history_of([sample(0, v2=1), sample(0, v2=2)], bands, latest=2) is None


def test_many_samples_are_drawn_by_some_of_them_the_first_and_the_last_among_them() -> None:
    samples = [sample(minute, v1=minute, v2=1) for minute in range(4000)]

    history = history_of(samples, bands_of(coverage(latest=2), {1, 2}), latest=2)

    assert history is not None
    assert len(points(history.areas[0].path)) == 240
    assert (history.samples, len(history.rows)) == (4000, 12)
    assert (history.rows[0].at, history.rows[-1].at) == (samples[-1].at, samples[0].at)


def test_what_was_counted_now_ends_the_history_and_is_told_once() -> None:
    report = coverage(versions={1: 3, 2: 1}, latest=2)
    same = sample(0, v1=3, v2=1)

    assert with_now([], report) == [same]
    assert with_now([sample(-9, v1=4)], report) == [sample(-9, v1=4), same]
    # The server's clock is ahead of ours.
    ahead = sample(3, v1=3, v2=1)
    assert with_now([ahead, sample(-9, v1=4)], report) == [sample(-9, v1=4), ahead]
    assert with_now([sample(3, v1=4)], report) == [sample(3, v1=4), sample(3, v1=3, v2=1)]
