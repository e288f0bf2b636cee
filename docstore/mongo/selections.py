"""
The ids of the rows that runs are limited to, in `docstore_selections`: one document for each id.

The server keeps them in the order of the ids, whatever their types, so the ranges of a limited run are ranges of
these ids. How many there are is bounded by nothing but the collection.
"""

import datetime
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from pymongo.errors import BulkWriteError

from docstore.core.id_range import BEGINNING
from docstore.core.record_format import SELECTION
from docstore.core.run_record import Stored
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import translated
from docstore.mongo.own_records import RUNS, SELECTIONS, open_records

#: Ids written or asked for at once.
IDS_AT_ONCE: Final = 1_000

_DUPLICATE_KEY: Final = 11000


class Selection:
    """
    The ids that one run is limited to. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.

    Args:
        database: Where the records are.
        id: The selection.
    """

    def __init__(self, database: AnyDatabase, id: ObjectId) -> None:
        self.id = id
        self._ids = open_records(database, SELECTIONS)

    async def add(self, ids: Sequence[Any]) -> None:
        """
        Add ids, at most `IDS_AT_ONCE`; those that are there already are there once. May be repeated.
        """
        with translated():
            try:
                await self._ids.insert_many(
                    [{"_id": self._key(each), "schema_version": SELECTION.written} for each in ids], ordered=False
                )
            except BulkWriteError as error:
                faults: list[dict[str, Any]] = (error.details or {}).get("writeErrors", [])
                others = [fault for fault in faults if fault.get("code") != _DUPLICATE_KEY]
                if others or (error.details or {}).get("writeConcernErrors"):
                    raise

    async def size(self) -> int:
        """
        Return how many ids there are.
        """
        with translated():
            return int(await self._ids.count_documents({"_id": self._between(BEGINNING, BEGINNING)}))

    async def ids(self, after: Any = BEGINNING, upto: Any = BEGINNING, *, limit: int = 0) -> list[Any]:
        """
        Return the ids after one and up to another, in their order; at most *limit* of them, unless that is 0.

        Raises:
            RecordFormatError: A record has a format that this release does not know.
        """
        with translated():
            found = self._ids.find({"_id": self._between(after, upto)}, sort=[("_id", 1)], limit=limit)
            records = [record async for record in found]
        for record in records:
            SELECTION.check(f"selection {self.id}", record)
        return [record["_id"]["id"] for record in records]

    async def pages(self) -> AsyncGenerator[list[Any], None]:
        """
        Yield all ids in their order, at most `IDS_AT_ONCE` at a time.
        """
        after: Any = BEGINNING
        while ids := await self.ids(after, limit=IDS_AT_ONCE):
            yield ids
            after = ids[-1]

    async def forget(self) -> None:
        """
        Remove the ids.
        """
        with translated():
            await self._ids.delete_many({"_id": self._between(BEGINNING, BEGINNING)})

    def _key(self, row_id: Any) -> Stored:
        return {"selection": self.id, "id": row_id}

    def _between(self, after: Any, upto: Any) -> Stored:
        # A range of the `_id`, whose parts are compared in their order and across types.
        lower = {"$gte": self._key(MinKey())} if after is BEGINNING else {"$gt": self._key(after)}
        return {**lower, "$lte": self._key(MaxKey() if upto is BEGINNING else upto)}


async def forget_abandoned(database: AnyDatabase, *, older_than: datetime.datetime) -> None:
    """
    Remove selections that no run names: the process that made them died before it asked for its run.

    Args:
        database: Where the records are.
        older_than: Younger ones may belong to a run that is being asked for at the moment.
    """
    records, runs = open_records(database, SELECTIONS), open_records(database, RUNS)
    upto = {"selection": ObjectId.from_datetime(older_than), "id": MinKey()}
    with translated():
        named = await runs.distinct("selection.id")
        await records.delete_many({"_id": {"$lt": upto}, "_id.selection": {"$nin": named}, **SELECTION.known})
