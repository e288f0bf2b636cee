"""Reading rows as the bytes that are stored: one way over Motor, PyMongo Async and mongomock-motor."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from struct import Struct
from typing import Any, TypeAlias

from docstore.core.bson_values import encode
from docstore.mongo.driver import AnyCollection, AnyDatabase, AnySession, Driver, driver_of, open_collection, settled
from docstore.mongo.failures import translated

#: Sort keys in order: a path and 1 or -1 (or what else the server takes, such as a `$meta` document).
SortKeys: TypeAlias = Sequence[tuple[str, Any]]

_LENGTH = Struct("<i").unpack_from


class RowSource:
    """
    One collection, read as batches of stored bytes.

    A batch is the BSON of its rows one after another, as the server sent it; `pieces` takes it apart. At most one
    batch is held at a time, and nothing is asked of the server before the first one is wanted. Driver errors come
    out as `StoreUnavailableError` and `StoreRejectedError`.
    """

    def __init__(self, database: AnyDatabase, collection: str) -> None:
        self.database = database
        self.driver = driver_of(database)
        self.collection: AnyCollection = open_collection(database, collection)

    async def find(
        self,
        filter: Mapping[str, Any],
        *,
        projection: Mapping[str, Any] | None = None,
        sort: SortKeys | None = None,
        skip: int = 0,
        limit: int = 0,
        session: AnySession | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """
        Yield the rows that match *filter*, in batches.

        Args:
            filter: As the server takes it.
            projection: The fields to fetch; all of them without it.
            sort: In which order; unspecified without it.
            skip: How many rows to leave out at the beginning.
            limit: How many rows to read at most; 0 stands for all.
            session: The session to read in.
        """
        if self.driver is Driver.MOCK:
            cursor = self.collection.find(filter, projection, skip=skip, limit=limit)
            async for row in cursor if sort is None else cursor.sort(list(sort)):
                yield encode(row)
            return
        with translated():
            cursor = self.collection.find_raw_batches(
                filter,
                projection,
                sort=None if sort is None else list(sort),
                skip=skip,
                limit=limit,
                session=session,
            )
        async for batch in _drained(cursor):
            yield batch

    async def aggregate(
        self, pipeline: Sequence[Mapping[str, Any]], *, session: AnySession | None = None
    ) -> AsyncGenerator[bytes, None]:
        """
        Yield the documents that a pipeline gives, in batches; sorts may use the server's disk.

        Not on the mock, which lacks the stages that this is used with.
        """
        with translated():
            cursor = await settled(
                self.collection.aggregate_raw_batches(list(pipeline), session=session, allowDiskUse=True)
            )
        async for batch in _drained(cursor):
            yield batch

    async def count(self, filter: Mapping[str, Any], *, session: AnySession | None = None) -> int:
        """Return how many rows match *filter*, exactly."""
        with translated():
            number: int = await self.collection.count_documents(filter, session=session)
        return number

    async def one(self, id: Any, *, session: AnySession | None = None) -> bytes | None:
        """Return the stored bytes of the row with this `_id`, or None; *id* is a value, never an operator."""
        async for row in self.find({"_id": {"$eq": id}}, limit=-1, session=session):
            return row
        return None


def pieces(batch: bytes, size: int) -> Iterator[tuple[bytes, list[bytes]]]:
    """Cut a batch into parts of at most *size* rows: the part as one, and row by row."""
    position, end = 0, len(batch)
    while position < end:
        begin = position
        rows: list[bytes] = []
        while position < end and len(rows) < size:
            following = position + _LENGTH(batch, position)[0]
            rows.append(batch[position:following])
            position = following
        yield batch[begin:position], rows


async def _drained(cursor: Any) -> AsyncGenerator[bytes, None]:
    try:
        while True:
            with translated():
                try:
                    batch: bytes = await cursor.next()
                except StopAsyncIteration:
                    return
            yield batch
    finally:
        await cursor.close()
