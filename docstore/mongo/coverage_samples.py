"""
Where the rows of a kind stood over time: samples in `docstore_coverage`, one for each minute in which somebody counted.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from docstore.core.coverage import Coverage
from docstore.core.record_format import COVERAGE as FORMAT
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, settled
from docstore.mongo.failures import translated
from docstore.mongo.own_records import COVERAGE, open_records

#: How long samples are kept.
KEPT: Final = datetime.timedelta(days=180)
_SHORTEST_SPAN: Final = 60.0
_EVER: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_END: Final = datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class CoverageSample:
    """
    Where the rows of a kind stood at one moment.
    """

    at: datetime.datetime
    latest: int
    #: Tagged rows by version, in order.
    versions: tuple[tuple[int, int], ...]
    untagged: int
    unreadable: int
    quarantined: int

    @property
    def total(self) -> int:
        """
        All rows.
        """
        return sum(rows for _, rows in self.versions) + self.untagged + self.unreadable


async def add_sample(database: AnyDatabase, coverage: Coverage, *, at: datetime.datetime) -> None:
    """
    Keep a sample, in the place of an earlier one of the same minute; forget those that are older than `KEPT`.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    records = open_records(database, COVERAGE)
    sample = {
        "schema_version": FORMAT.written,
        "kind": coverage.kind,
        "at": at,
        "latest": coverage.latest,
        "versions": [{"version": count.version, "rows": count.rows} for count in coverage.versions],
        "untagged": coverage.untagged,
        "unreadable": coverage.unreadable,
        "quarantined": coverage.quarantined,
    }
    minute = at.replace(second=0, microsecond=0)
    with translated():
        await records.replace_one({"_id": {"kind": coverage.kind, "minute": minute}}, sample, upsert=True)
        await records.delete_many(_between(coverage.kind, _EVER, at - KEPT))


async def coverage_samples(
    database: AnyDatabase, kind: str, *, since: datetime.datetime = _EVER, at_most: int = 400
) -> Sequence[CoverageSample]:
    """
    Return the samples of a kind, oldest first; where there are more than *at_most*, one of each equal span of time.

    Those of a format that this release does not know are left out. There are none on the mock.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return []
    records = open_records(database, COVERAGE)
    wanted = {**_between(kind, since, _END), **FORMAT.known}
    with translated():
        ends = [await records.find_one(wanted, sort=[("_id", way)]) for way in (1, -1)]
        if ends[0] is None or ends[1] is None:
            return []
        first, last = (end["at"] for end in ends)
        # One span less than may be returned: the last one is cut off by the end.
        span = max((last - first).total_seconds() / max(at_most - 1, 1), _SHORTEST_SPAN)
        number = {"$floor": {"$divide": [{"$subtract": ["$at", first]}, span * 1000]}}
        thinned: list[dict[str, Any]] = [
            {"$match": wanted},
            {"$sort": {"_id": 1}},
            {"$group": {"_id": number, "sample": {"$last": "$$ROOT"}}},
            {"$sort": {"_id": 1}},
        ]
        found = await settled(records.aggregate(thinned))
        return [_sample(group["sample"]) async for group in found]


def _between(kind: str, low: datetime.datetime, high: datetime.datetime) -> dict[str, Any]:
    # A range of the `_id`, which begins with the kind, needs no index of its own.
    return {"_id": {"$gte": {"kind": kind, "minute": low}, "$lte": {"kind": kind, "minute": high}}}


def _sample(stored: dict[str, Any]) -> CoverageSample:
    return CoverageSample(
        at=stored["at"],
        latest=stored["latest"],
        versions=tuple((count["version"], count["rows"]) for count in stored["versions"]),
        untagged=stored["untagged"],
        unreadable=stored["unreadable"],
        quarantined=stored["quarantined"],
    )
