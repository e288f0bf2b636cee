"""
The history of a kind: bands of its rows over time, as shares of all rows.
"""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from docstore.cli.coverage_table import share
from docstore.cli.html_report.bands import Band, rows_in
from docstore.core.coverage import Coverage
from docstore.mongo.coverage_samples import CoverageSample

#: The plot's own units; the page stretches it.
WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
#: Samples that are drawn, and those that the table beside it lists.
_DRAWN: Final = 120
_LISTED: Final = 12
#: A plot is of more than one moment.
_TWO: Final = 2


@dataclass(frozen=True, slots=True)
class Area:
    """
    One band of the plot.
    """

    style: str
    label: str
    #: What the `d` of an SVG path says.
    path: str


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """
    One line of the table that says the same as the plot.
    """

    at: datetime.datetime
    total: int
    at_latest: str
    below: int
    untagged: int
    unreadable: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class History:
    """
    What is drawn of a kind's history.
    """

    areas: tuple[Area, ...]
    first: datetime.datetime
    last: datetime.datetime
    #: The plot in a sentence.
    summary: str
    rows: tuple[HistoryRow, ...]
    samples: int


def with_now(samples: Sequence[CoverageSample], report: Coverage) -> list[CoverageSample]:
    """
    Return samples in the order of time, the last of which says what was counted now.
    """
    found = sorted(samples, key=lambda each: each.at)
    now = CoverageSample(
        at=report.counted_at,
        latest=report.latest,
        versions=tuple((count.version, count.rows) for count in report.versions),
        untagged=report.untagged,
        unreadable=report.unreadable,
        quarantined=report.quarantined,
    )
    if found and found[-1].at >= now.at:
        # The count itself leaves a sample; its time is the server's, to which another clock may have any relation.
        return found if replace(now, at=found[-1].at) == found[-1] else [*found, replace(now, at=found[-1].at)]
    return [*found, now]


def history_of(samples: Sequence[CoverageSample], bands: Sequence[Band], *, latest: int) -> History | None:
    """
    Return what to draw of samples in the order of time; None where they are all of one moment.

    Args:
        samples: At least one.
        bands: How versions are grouped.
        latest: The version that is latest now; older samples may have had another one.
    """
    if len(samples) < _TWO or samples[0].at == samples[-1].at:
        return None
    drawn = _thinned(samples, _DRAWN)
    first, last = samples[0], samples[-1]
    return History(
        areas=tuple(_areas(drawn, bands)),
        first=first.at,
        last=last.at,
        summary=f"{_at_latest(first, latest)} of {first.total:,} rows stood at version {latest} on "
        f"{first.at:%Y-%m-%d %H:%M} UTC, and {_at_latest(last, latest)} of {last.total:,} on "
        f"{last.at:%Y-%m-%d %H:%M} UTC.",
        rows=tuple(_row(sample, latest) for sample in reversed(_thinned(samples, _LISTED))),
        samples=len(samples),
    )


def _areas(samples: Sequence[CoverageSample], bands: Sequence[Band]) -> list[Area]:
    begin = samples[0].at
    span = (samples[-1].at - begin).total_seconds()
    xs = [WIDTH * (sample.at - begin).total_seconds() / span for sample in samples]
    counts = [dict(sample.versions) for sample in samples]
    floor = [0.0] * len(samples)
    found = []
    # From the bottom up: what is done, then what is left to do, the oldest on top.
    for band in sorted(bands, key=_from_the_bottom, reverse=True):
        shares = [_share(sample, band, held) for sample, held in zip(samples, counts, strict=True)]
        if any(shares):
            top = [low + each for low, each in zip(floor, shares, strict=True)]
            found.append(Area(band.style, band.label, _path(xs, floor, top)))
            floor = top
    return found


def _from_the_bottom(band: Band) -> tuple[bool, int]:
    return bool(band.versions), max(band.versions, default=0)


def _share(sample: CoverageSample, band: Band, versions: Mapping[int, int]) -> float:
    rows = rows_in(band, versions, untagged=sample.untagged, unreadable=sample.unreadable)
    total = sample.total
    return rows / total if total else 0.0


def _path(xs: Sequence[float], low: Sequence[float], high: Sequence[float]) -> str:
    upper = [f"{x:.1f},{HEIGHT * (1 - y):.2f}" for x, y in zip(xs, high, strict=True)]
    lower = [f"{x:.1f},{HEIGHT * (1 - y):.2f}" for x, y in zip(xs, low, strict=True)]
    return f"M{' L'.join([*upper, *reversed(lower)])}Z"


def _thinned(samples: Sequence[CoverageSample], at_most: int) -> list[CoverageSample]:
    """
    Pick samples evenly, the first and the last among them.
    """
    if len(samples) <= at_most:
        return list(samples)
    places = sorted({round(place * (len(samples) - 1) / (at_most - 1)) for place in range(at_most)})
    return [samples[place] for place in places]


def _at_latest(sample: CoverageSample, latest: int) -> str:
    return share(dict(sample.versions).get(latest, 0) / sample.total if sample.total else 1.0)


def _row(sample: CoverageSample, latest: int) -> HistoryRow:
    return HistoryRow(
        at=sample.at,
        total=sample.total,
        at_latest=_at_latest(sample, latest),
        below=sum(rows for version, rows in sample.versions if version < latest),
        untagged=sample.untagged,
        unreadable=sample.unreadable,
        quarantined=sample.quarantined,
    )
