"""
The bar of a kind: how its rows are spread over the versions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from docstore.cli.coverage_table import share
from docstore.cli.html_report.bands import Band, rows_in
from docstore.core.coverage import Coverage

_WHOLE: Final = 100.0  # percent of the bar's width
#: A single row among millions is still seen.
_NARROWEST: Final = 0.8


@dataclass(frozen=True, slots=True)
class Segment:
    """
    One piece of a bar, and the line of the legend that goes with it.
    """

    style: str
    label: str
    rows: int
    share: str
    #: Both in percent of the width.
    x: float
    width: float


def segments(report: Coverage, bands: Sequence[Band]) -> list[Segment]:
    """
    Return the pieces of a kind's bar from left to right; none for an empty collection.

    Widths are in proportion to the rows, but none is too narrow to be seen, and together they fill the bar.
    """
    counts = {count.version: count.rows for count in report.versions}
    filled = [
        (band, rows)
        for band in bands
        if (rows := rows_in(band, counts, untagged=report.untagged, unreadable=report.unreadable))
    ]
    found, x = [], 0.0
    for (band, rows), width in zip(filled, _widths([rows for _, rows in filled]), strict=True):
        found.append(Segment(band.style, band.label, rows, share(rows / report.total), round(x, 3), round(width, 3)))
        x += width
    return found


def _widths(rows: Sequence[int]) -> list[float]:
    total = sum(rows)
    small = [_WHOLE * number / total < _NARROWEST for number in rows]
    left = _WHOLE - _NARROWEST * sum(small)
    large = sum(number for number, is_small in zip(rows, small, strict=True) if not is_small)
    return [_NARROWEST if is_small else left * number / large for number, is_small in zip(rows, small, strict=True)]
