"""
Since when no row of a kind stands below a version, as exact counts have shown; in `docstore_coverage`.
"""

import datetime
import uuid
from typing import Any, Final

from bson.binary import Binary
from bson.timestamp import Timestamp

from docstore.core.coverage import Coverage
from docstore.core.kind import Kind
from docstore.core.record_format import COVERAGE as FORMAT
from docstore.core.soak import lowest_standing, retirable_versions
from docstore.mongo.coverage_samples import add_sample
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, newest, settled
from docstore.mongo.failures import translated
from docstore.mongo.own_records import COVERAGE, NOW, literal, open_records

_ABOUT: Final = "soak"


async def committed_time(database: AnyDatabase) -> Timestamp | None:
    """
    Return the time of the newest write that a majority has acknowledged; None on a standalone server and the mock.

    Whatever is counted exactly afterwards is of that time or a later one.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return None
    # The answer to a read with this concern carries the time of what such reads see.
    question = {"find": COVERAGE, "limit": 1, "projection": {"_id": 1}, "readConcern": {"level": "majority"}}
    with translated():
        answer = await newest(database).command(question)
    time: Timestamp | None = answer.get("operationTime")
    return time


async def record_counts(
    database: AnyDatabase, kind: Kind[Any], coverage: Coverage, *, before: Timestamp | None, up_to: int | None = None
) -> None:
    """
    Record what a count has shown: below which versions no row stands, and a sample for the history.

    The first exact zero below a version begins a time, by the server's clock; later zeros keep it, and rows that were
    counted there end it. A zero that was counted before rows were, and is recorded after, begins nothing. A count that
    is not exact ends times and begins none. Where the rows' collection is another one than it was (dropped, renamed
    over, restored), every time begins anew.

    The times are one atomic update, safe beside any number of others; the sample is another one, and the last of its
    minute stays. Does nothing on the mock.

    Args:
        database: Where the rows and the records are.
        kind: Whose rows were counted.
        coverage: What was found.
        before: What `committed_time` said before the count.
        up_to: Only rows below this version were looked for; such a count is no sample.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: The record has a format that this release does not know; nothing was recorded.
    """
    if driver_of(database) is Driver.MOCK:
        return
    after = await committed_time(database)
    records = open_records(database, COVERAGE)
    record_id = _id(kind.name)
    with translated():
        strange = await records.find_one({"_id": record_id, **FORMAT.unknown})
        if strange is not None:
            FORMAT.check(f"{COVERAGE} of {kind.name}", strange)
        fresh = {
            str(version): {"below": version, "since": None, "counted": None, "rows": None}
            for version in retirable_versions(kind, up_to=up_to)
        }
        looked = _Looked(
            lowest=lowest_standing(kind, coverage), up_to=up_to, zero=before if coverage.exact else None, rows=after
        )
        update = looked.update(kind.name, fresh, home=await _home(database, kind.collection))
        await records.update_one({"_id": record_id}, update, upsert=True)
    if up_to is None:
        await add_sample(database, coverage, at=coverage.counted_at if after is None else after.as_datetime())


async def clear_since(database: AnyDatabase, kind: str, below: int) -> datetime.datetime | None:
    """
    Return since when counts have shown no row of a kind below a version, by the server's clock; None if they do not.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: The record has a format that this release does not know.
    """
    since = (await _clear(database, kind, below)).get("since")
    return since if isinstance(since, datetime.datetime) else None


async def clear_for(database: AnyDatabase, kind: str, below: int) -> float | None:
    """
    Return for how many seconds counts have shown no row of a kind below a version; None if they do not.

    By the server's clock, at both ends.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: The record has a format that this release does not know.
    """
    milliseconds = (await _clear(database, kind, below)).get("milliseconds")
    return None if milliseconds is None else float(milliseconds) / 1000


class _Looked:
    """
    What a count has shown, as expressions over what is recorded of one version (`$$each.v`).

    Args:
        lowest: The lowest version at which a row stands; None where there is no row.
        up_to: Nothing is known of rows at this version or above.
        zero: A time that is not after that of the count; None where what is not there proves nothing.
        rows: A time that is not before that of the count.
    """

    def __init__(
        self, *, lowest: int | None, up_to: int | None, zero: Timestamp | None, rows: Timestamp | None
    ) -> None:
        self._lowest = lowest
        self._up_to = up_to
        self._zero = zero
        self._rows = rows

    def update(self, kind: str, fresh: dict[str, Any], *, home: Any) -> list[dict[str, Any]]:
        known: dict[str, Any] = {"$ifNull": ["$clear_below", {}]}
        if home is not None:
            same = {"$eq": [{"$ifNull": ["$home", literal(home)]}, literal(home)]}
            known = {"$cond": [same, known, {}]}
        every = {"$objectToArray": {"$mergeObjects": [literal(fresh), known]}}
        changed = {"k": "$$each.k", "v": {"$mergeObjects": ["$$each.v", self._changed()]}}
        return [
            {
                "$set": {
                    "schema_version": {"$ifNull": ["$schema_version", FORMAT.written]},
                    "kind": literal(kind),
                    "clear_below": {"$arrayToObject": {"$map": {"input": every, "as": "each", "in": changed}}},
                    **({} if home is None else {"home": literal(home)}),
                }
            }
        ]

    def _changed(self) -> dict[str, Any]:
        below: dict[str, Any] = {"$lte": ["$$each.v.below", self._up_to]} if self._up_to is not None else literal(True)
        zeros = {"$and": [below, self._zero is not None]}
        branches = [{"case": zeros, "then": self._found_none()}]
        if self._lowest is not None:
            branches.insert(0, {"case": {"$gt": ["$$each.v.below", self._lowest]}, "then": self._found_rows()})
        return {"$switch": {"branches": branches, "default": {}}}

    def _found_rows(self) -> dict[str, Any]:
        newest_rows = {"rows": {"$max": ["$$each.v.rows", self._rows]}}
        if self._rows is None:
            return {"since": None, "counted": None, **newest_rows}
        # A count that took long tells of rows that were gone when the first zero was counted.
        over = {"$gt": ["$$each.v.counted", self._rows]}
        return {"$mergeObjects": [newest_rows, {"$cond": [over, {}, {"since": None, "counted": None}]}]}

    def _found_none(self) -> dict[str, Any]:
        begun = {"$ne": ["$$each.v.since", None]}
        # Null is below every time.
        outdated = {"$gte": ["$$each.v.rows", self._zero]}
        return {"$cond": [{"$or": [begun, outdated]}, {}, {"since": NOW, "counted": self._zero}]}


async def _clear(database: AnyDatabase, kind: str, below: int) -> dict[str, Any]:
    records = open_records(database, COVERAGE)
    times = {"$objectToArray": {"$ifNull": ["$clear_below", {}]}}
    shown = [
        {"$match": {"_id": _id(kind)}},
        {"$set": {"times": times}},
        {"$unwind": "$times"},
        # Where none stands below a higher version, none stands below this one.
        {"$match": {"times.v.below": {"$gte": below}, "times.v.since": {"$type": "date"}}},
        {"$sort": {"times.v.since": 1}},
        {"$limit": 1},
        {
            "$project": {
                "schema_version": 1,
                "since": "$times.v.since",
                "milliseconds": {"$subtract": [NOW, "$times.v.since"]},
            }
        },
    ]
    with translated():
        async for found in await settled(records.aggregate(shown)):
            FORMAT.check(f"{COVERAGE} of {kind}", found)
            return dict(found)
    return {}


async def _home(database: AnyDatabase, collection: str) -> Any:
    """
    Return what tells the collection from another one of the same name; None where there is none.
    """
    answer = await newest(database).command({"listCollections": 1, "filter": {"name": collection}})
    found = answer["cursor"]["firstBatch"]
    home = found[0]["info"].get("uuid") if found else None
    return Binary.from_uuid(home) if isinstance(home, uuid.UUID) else home


def _id(kind: str) -> dict[str, Any]:
    return {"kind": kind, "about": _ABOUT}
