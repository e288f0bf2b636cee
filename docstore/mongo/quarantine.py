"""The records of rows that could not be upgraded, in `docstore_quarantine`. The rows themselves stay as they are."""

import datetime
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo import UpdateOne

from docstore.core.bson_values import RawDocument, encode
from docstore.core.direction import Direction
from docstore.core.record_format import QUARANTINE as FORMAT
from docstore.core.version import tag_version
from docstore.mongo.driver import AnyCollection, AnyDatabase, AnySession, Driver, driver_of, open_collection
from docstore.mongo.failures import translated

#: The collection that holds the records of every kind.
QUARANTINE: Final = "docstore_quarantine"

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """Why one row could not be upgraded. Nothing in it is a value of the row, unless *text* was asked for."""

    row_id: Any
    #: The version at which the row stands; None where that is not known.
    version: int | None
    #: The version that it was to be brought to, and by which kind of run.
    target: int
    direction: Direction
    #: The version that the step at fault produces; None where no step is (the model, the tag, the server).
    step: int | None
    #: The class of the error, and what it says about types and places.
    error: str
    reason: str
    #: The field at fault, where one is known.
    path: str | None
    #: What the user's own code said, which may hold values of the row.
    text: str | None = None
    #: A few bytes of a hash of the row as it failed, which tell whether it has been changed since.
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record as it is kept, with its history."""

    record: QuarantineRecord
    #: How many runs (and retries) failed on the row.
    tries: int
    first_seen: datetime.datetime
    last_seen: datetime.datetime


class Quarantine:
    """The records of one kind. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`."""

    def __init__(self, database: AnyDatabase, kind: str) -> None:
        self._database = database
        self.kind = kind
        self._records = open_collection(database, QUARANTINE, primary=True)

    async def put(self, records: Sequence[QuarantineRecord], *, run: datetime.datetime, now: datetime.datetime) -> None:
        """
        Write or renew the records of rows; a row has one, which counts the runs that failed on it.

        Args:
            records: What is known of each row.
            run: When the run began; tells one run's passes from another run.
            now: When the rows failed.

        Raises:
            RecordFormatError: A row has a record whose format this release does not know; nothing was written.
        """
        upserts = [(self._id(record.row_id), self._update(record, run, now)) for record in records]
        with translated():
            strange = await self._records.find_one({"_id": {"$in": [each for each, _ in upserts]}, **FORMAT.unknown})
            if strange is not None:
                _check(strange)
            if driver_of(self._database) is Driver.MOCK:
                for record_id, update in upserts:
                    await self._records.update_one({"_id": record_id}, update, upsert=True)
            elif upserts:
                await self._records.bulk_write(
                    [UpdateOne({"_id": record_id}, update, upsert=True) for record_id, update in upserts],
                    ordered=False,
                )

    async def kept(
        self, collection: str, field: str, *, ids: Sequence[Any] | None = None
    ) -> AsyncGenerator[KeptRecord, None]:
        """
        Yield the records of rows that are still at fault, in the order of their ids; reads only.

        Args:
            collection: Where the rows are.
            field: The tag.
            ids: Only the records of these rows.

        Raises:
            RecordFormatError: A record has a format that this release does not know.
        """
        rows = open_collection(self._database, collection, primary=True)
        wanted = _of(self._database, self.kind) if ids is None else {"_id": {"$in": [self._id(each) for each in ids]}}
        with translated():
            async for page in _pages(self._records.find(wanted, sort=[("_id", 1)])):
                settled = await _settled(rows, field, page)
                for record in page:
                    if record["_id"] not in settled:
                        yield _kept(record)

    async def settle(self, collection: str, field: str) -> int:
        """
        Remove the records of rows that are gone, or do not stand any more at the version where they failed.

        Returns:
            How many records are left.

        Raises:
            RecordFormatError: A record has a format that this release does not know.
        """
        rows = open_collection(self._database, collection, primary=True)
        left = 0
        with translated():
            async for page in _pages(self._records.find(_of(self._database, self.kind))):
                settled = await _settled(rows, field, page)
                if settled:
                    await self._records.delete_many({"_id": {"$in": settled}})
                left += len(page) - len(settled)
        return left

    async def count(self, collection: str, field: str) -> int:
        """
        Return how many rows are put aside; see `count_quarantined`.

        Raises:
            RecordFormatError: A record has a format that this release does not know.
        """
        with translated():
            return await count_quarantined(self._database, self.kind, collection=collection, field=field)

    def _id(self, row_id: Any) -> RawDocument:
        return {"kind": self.kind, "id": row_id}

    def _update(self, record: QuarantineRecord, run: datetime.datetime, now: datetime.datetime) -> list[RawDocument]:
        facts = {"kind": self.kind, **asdict(record)}
        facts["direction"] = record.direction.value
        same_run = {"$eq": [{"$ifNull": ["$run", None]}, run]}
        tries = {"$ifNull": ["$tries", 0]}
        return [
            {
                "$set": {
                    **{name: {"$literal": value} for name, value in facts.items()},
                    # A record of another format that this release reads holds more than what is written here.
                    FORMAT.field: {"$ifNull": [f"${FORMAT.field}", FORMAT.written]},
                    "tries": {"$cond": [same_run, tries, {"$add": [tries, 1]}]},
                    "first_seen": {"$ifNull": ["$first_seen", now]},
                    "last_seen": now,
                    "run": run,
                }
            }
        ]


async def count_quarantined(
    database: AnyDatabase, kind: str, *, collection: str, field: str, session: AnySession | None = None
) -> int:
    """
    Return how many rows of a kind are put aside. Driver errors come out as they are, for whoever asks in a session.

    Records of rows that are gone or have been brought further since, by hand for example, do not count.

    Raises:
        RecordFormatError: A record has a format that this release does not know.
    """
    records = open_collection(database, QUARANTINE)
    rows = open_collection(database, collection)
    number = 0
    async for page in _pages(records.find(_of(database, kind), session=session)):
        number += len(page) - len(await _settled(rows, field, page, session))
    return number


async def _pages(records: AsyncIterator[RawDocument]) -> AsyncGenerator[list[RawDocument], None]:
    page: list[RawDocument] = []
    async for record in records:
        _check(record)
        page.append(record)
        if len(page) == _AT_ONCE:
            yield page
            page = []
    if page:
        yield page


def _check(record: RawDocument) -> None:
    # The row's id is a value of the row.
    FORMAT.check(f"of a row of {record['_id']['kind']} in quarantine", record)


async def _settled(
    rows: AnyCollection, field: str, records: Sequence[RawDocument], session: AnySession | None = None
) -> list[RawDocument]:
    """Return the ids of those records whose rows need them no more."""
    ids = [record["row_id"] for record in records]
    found = rows.find({"_id": {"$in": ids}}, {field: 1}, session=session)
    tags = {_key(row["_id"]): row.get(field) async for row in found}
    return [record["_id"] for record in records if _is_settled(record, tags)]


def _of(database: AnyDatabase, kind: str) -> RawDocument:
    if driver_of(database) is Driver.MOCK:
        return {"kind": kind}
    # A range of the `_id`, which begins with the kind, needs no index of its own.
    return {"_id": {"$gte": {"kind": kind, "id": MinKey()}, "$lte": {"kind": kind, "id": MaxKey()}}}


def _key(row_id: Any) -> bytes:
    # Ids of some types cannot be keys of a dict, and 1 and 1.0 would be one key.
    return encode({"": row_id})


def _is_settled(record: RawDocument, tags: Mapping[bytes, Any]) -> bool:
    """
    Tell whether a row is gone, or stands elsewhere than where it failed.
    """
    key = _key(record["row_id"])
    if key not in tags:
        return True
    stands_at = tag_version(tags[key])
    return stands_at is not None and stands_at != record["version"]


def _kept(record: RawDocument) -> KeptRecord:
    facts: dict[str, Any] = {each.name: record.get(each.name) for each in fields(QuarantineRecord)}
    facts["direction"] = Direction(record["direction"])
    return KeptRecord(
        record=QuarantineRecord(**facts),
        tries=record["tries"],
        first_seen=_in_utc(record["first_seen"]),
        last_seen=_in_utc(record["last_seen"]),
    )


def _in_utc(time: datetime.datetime) -> datetime.datetime:
    """
    Return a time as one that says its zone; ids beside it stay as the rows have them, so the codec cannot.
    """
    return time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time
