"""
How versions are grouped and coloured: the same way in the bar, in the legend and in the history.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from docstore.core.coverage import Coverage

#: Shades for versions below latest, the first one for the oldest.
SHADES: Final = 5


@dataclass(frozen=True, slots=True)
class Band:
    """
    Rows that are drawn as one.
    """

    #: The class of the style sheet that colours it.
    style: str
    #: What it is called in the legend.
    label: str
    #: The versions in it, in order; none for rows without a version.
    versions: tuple[int, ...] = ()


UNTAGGED: Final = Band("untagged", "no tag")
UNREADABLE: Final = Band("unreadable", "unreadable tag")


def bands_of(report: Coverage, versions: Iterable[int]) -> list[Band]:
    """
    Return the bands of a kind, the oldest versions first.

    Args:
        report: Tells which version is latest, and which are below the floor.
        versions: Every version that is to be drawn, now or in the history.
    """
    known = {*versions, report.latest}
    standing = {count.version for count in report.versions if count.rows}
    below = sorted(version for version in standing if version < report.floor)
    older = sorted(version for version in known if version < report.latest and version not in below)
    newer = sorted(version for version in known if version > report.latest)
    found = [_band("below", below, "below the floor")] if below else []
    found += [_band(f"older-{shade}", group, "") for shade, group in _shaded(older)]
    found.append(_band("latest", [report.latest], "latest"))
    found += [_band("newer", newer, "newer")] if newer else []
    return [*found, UNTAGGED, UNREADABLE]


def rows_in(band: Band, versions: Mapping[int, int], *, untagged: int, unreadable: int) -> int:
    """
    Return how many rows a band holds.
    """
    if band is UNTAGGED:
        return untagged
    if band is UNREADABLE:
        return unreadable
    return sum(versions.get(version, 0) for version in band.versions)


def _shaded(older: list[int]) -> list[tuple[int, list[int]]]:
    """
    Give every version a shade: one of its own, or with many versions one that neighbours share.
    """
    if len(older) <= SHADES:
        # The newest of the old ones always has the palest shade.
        return [(SHADES - len(older) + place + 1, [version]) for place, version in enumerate(older)]
    groups: list[tuple[int, list[int]]] = []
    for shade in range(SHADES):
        first, last = (len(older) * edge // SHADES for edge in (shade, shade + 1))
        groups.append((shade + 1, older[first:last]))
    return groups


def _band(style: str, versions: list[int], remark: str) -> Band:
    first, last = versions[0], versions[-1]
    label = str(first) if first == last else f"{first} to {last}"
    return Band(style, f"{label} ({remark})" if remark else label, tuple(versions))
