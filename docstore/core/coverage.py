"""From counted tags to the coverage report: how many rows stand at which version, and what that allows."""

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from docstore.core.kind import Kind
from docstore.core.version import TAG_TYPES, tag_version

#: BSON types of a tag that say nothing about the version (`undefined` is a null that old drivers wrote).
UNTAGGED_TYPES: Final = frozenset({"missing", "null", "undefined"})


@dataclass(frozen=True, slots=True)
class TagCount:
    """How many rows have a tag of this BSON type (as the server's `$type` calls it) and, for numbers, this value."""

    type: str
    value: Any
    rows: int


class VersionCount(BaseModel):
    """How many tagged rows stand at one version."""

    model_config = ConfigDict(frozen=True)

    version: int
    rows: int


class ClientVersion(BaseModel):
    """How often clients asked for documents in an older version, within the days that were looked at."""

    model_config = ConfigDict(frozen=True)

    version: int
    asks: int
    last_asked: datetime.datetime


class OldestRow(BaseModel):
    """
    The oldest row below latest, as far as its id or a field of it tells.
    """

    model_config = ConfigDict(frozen=True)

    #: The version at which it stands.
    version: int
    #: When it was made, by the clock of whoever made it.
    created: datetime.datetime
    #: The field that tells.
    by: str = "_id"


class Coverage(BaseModel):
    """
    How many rows of a kind stand at which version.

    Every row is in exactly one of *versions*, *untagged* and *unreadable*.
    """

    model_config = ConfigDict(frozen=True)

    #: The kind's name.
    kind: str
    #: Where its rows are.
    collection: str
    #: The highest version that the code knows.
    latest: int
    #: The lowest version that the code still reads.
    floor: int
    #: The version that nodes store; null as long as the database holds none.
    write_version: int | None
    #: All rows.
    total: int
    #: Tagged rows by version, in order; also those below the floor and above latest.
    versions: tuple[VersionCount, ...]
    #: Rows whose tag is missing or null.
    untagged: int
    #: Rows whose tag is no positive integer.
    unreadable: int
    #: Those of *versions* above latest.
    newer: int
    #: Rows that were put aside by a backfill.
    quarantined: int
    #: The share of rows at latest, 0 to 1; 1 for an empty collection.
    coverage: float
    #: When the rows were counted.
    counted_at: datetime.datetime
    #: Whether all counts are of one and the same moment, and cannot be rolled back.
    exact: bool
    #: The highest V for which nothing stands in the way of `retire --below V`, or null.
    retirable_below: int | None
    #: What stands in the way of retiring every version below latest, in words.
    blockers: tuple[str, ...]
    #: The versions below latest that clients have asked for lately (`as_version`), in order.
    client_versions: tuple[ClientVersion, ...] = ()
    #: The floor that is recorded in the database; null where none is.
    recorded_floor: int | None = None
    #: What was done to the rows behind the back of that floor, in words: restored, dropped, written past the fence.
    bypassed: tuple[str, ...] = ()
    #: Rows below latest, and those of which nobody can say that they are not.
    remaining: int = 0
    #: Those of *versions* whose tag is a double: docstore reads them, and a fence keeps them out.
    doubles: int = 0
    #: Null where neither the id of a row below latest nor a field tells when it was made, or no index finds it.
    oldest_below: OldestRow | None = None


@dataclass(frozen=True, slots=True)
class _Tally:
    versions: Counter[int]
    untagged: int
    unreadable: int
    doubles: int

    @property
    def total(self) -> int:
        return self.versions.total() + self.untagged + self.unreadable


def coverage_of(
    kind: Kind[Any],
    counts: Sequence[TagCount],
    *,
    quarantined: int,
    counted_at: datetime.datetime,
    exact: bool,
    write_version: int | None = None,
    client_versions: Sequence[ClientVersion] = (),
) -> Coverage:
    """
    Return the report for a kind.

    Args:
        kind: Whose rows were counted.
        counts: Every row's tag, counted.
        quarantined: How many rows are put aside.
        counted_at: When.
        exact: Whether all of this is of one moment.
        write_version: The version that nodes store, if the database holds one.
        client_versions: Which older versions clients have asked for lately.
    """
    known = [client for client in client_versions if kind.floor <= client.version < kind.latest]
    asked = sorted(known, key=lambda client: client.version)
    tally = _tally(counts)
    total = tally.total
    at_latest = tally.versions[kind.latest]
    if untagged_version(kind) == kind.latest:
        at_latest += tally.untagged
    newer = sum(rows for version, rows in tally.versions.items() if version > kind.latest)
    return Coverage(
        kind=kind.name,
        collection=kind.collection,
        latest=kind.latest,
        floor=kind.floor,
        write_version=write_version,
        total=total,
        versions=tuple(VersionCount(version=version, rows=rows) for version, rows in sorted(tally.versions.items())),
        untagged=tally.untagged,
        unreadable=tally.unreadable,
        newer=newer,
        quarantined=quarantined,
        coverage=at_latest / total if total else 1.0,
        counted_at=counted_at,
        exact=exact,
        retirable_below=_retirable_below(kind, tally, quarantined, asked),
        blockers=tuple(_blockers(kind, tally, quarantined, asked)),
        client_versions=tuple(asked),
        remaining=total - at_latest - newer,
        doubles=tally.doubles,
    )


def rows_below(kind: Kind[Any], coverage: Coverage, version: int) -> int:
    """
    Return how many rows stand, or may stand, below a version.

    Rows whose tag cannot be read count, and so do untagged rows whose version only `detect` could tell.
    """
    tagged = sum(count.rows for count in coverage.versions if count.version < version)
    untagged_at = untagged_version(kind)
    untagged = coverage.untagged if untagged_at is None or untagged_at < version else 0
    return tagged + untagged + coverage.unreadable


def untagged_version(kind: Kind[Any]) -> int | None:
    """
    Return the version of a row without a tag; None where only `detect` could tell.
    """
    return kind.baseline if kind.detect is None else None


def _tally(counts: Sequence[TagCount]) -> _Tally:
    versions: Counter[int] = Counter()
    untagged = unreadable = doubles = 0
    for count in counts:
        version = tag_version(count.value) if count.type in TAG_TYPES else None
        if version is not None:
            versions[version] += count.rows
            doubles += count.rows if count.type == "double" else 0
        elif count.type in UNTAGGED_TYPES:
            untagged += count.rows
        else:
            unreadable += count.rows
    return _Tally(versions=versions, untagged=untagged, unreadable=unreadable, doubles=doubles)


def _retirable_below(kind: Kind[Any], tally: _Tally, quarantined: int, asked: Sequence[ClientVersion]) -> int | None:
    # An untagged row is never above the baseline for sure, and no version at or below the floor can be retired again.
    if tally.unreadable or tally.untagged or quarantined:
        return None
    # A version that clients ask for is made by the steps above it, and has to be one that the code still has.
    lowest = min([*tally.versions, kind.latest, *(client.version for client in asked)])
    return lowest if lowest > kind.floor else None


def _blockers(kind: Kind[Any], tally: _Tally, quarantined: int, asked: Sequence[ClientVersion]) -> Iterator[str]:
    for version, rows in sorted(tally.versions.items()):
        if version < kind.latest:
            below_floor = ", below the floor" if version < kind.floor else ""
            yield f"{_rows(rows)} at version {version}{below_floor}"
    if tally.untagged and kind.floor < kind.latest:
        yield f"{_rows(tally.untagged)} without a tag"
    if tally.unreadable:
        yield f"{_rows(tally.unreadable)} whose tag is no positive integer"
    if quarantined:
        yield f"{_rows(quarantined)} in quarantine"
    for client in asked:
        yield f"clients asked for version {client.version}, last on {client.last_asked.date().isoformat()}"


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number:,} rows"
