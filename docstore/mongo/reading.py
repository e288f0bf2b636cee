"""Reading rows as the bytes that are stored: one way over Motor, PyMongo Async and mongomock-motor."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from struct import Struct
from typing import Any, TypeAlias

from pymongo import ReadPreference

from docstore.core.bson_values import encode
from docstore.mongo.driver import AnyCollection, AnyDatabase, AnySession, Driver, driver_of, open_collection, settled
from docstore.mongo.failures import translated

#: Sort keys in order: a path and 1 or -1 (or what else the server takes, such as a `$meta` document).
SortKeys: TypeAlias = Sequence[tuple[str, Any]]

#: Batches of stored rows: in each, the BSON of its rows one after another, as the server sent it.
Batches: TypeAlias = AsyncGenerator[bytes, None]

_LENGTH = Struct("<i").unpack_from


class RowSource:
    """
    One collection, read as batches of stored bytes.

    At most one batch is held at a time, and nothing is asked of the server before the first one is wanted; `rows_of`
    takes one apart. Driver errors come out as `StoreUnavailableError` and `StoreRejectedError`.
    """

    def __init__(self, database: AnyDatabase, collection: str) -> None:
        self.database = database
        self.name = collection
        self.driver = driver_of(database)
        self.collection: AnyCollection = open_collection(database, collection)

    @property
    def reads_primary(self) -> bool:
        """Whether rows are read from the primary, where no other member was asked for."""
        return bool(self.collection.read_preference == ReadPreference.PRIMARY)

    def find(
        self,
        filter: Mapping[str, Any],
        *,
        projection: Mapping[str, Any] | None = None,
        sort: SortKeys = (),
        skip: int = 0,
        limit: int = 0,
        session: AnySession | None = None,
    ) -> Batches:
        """
        Read the rows that match *filter*, in batches.

        Args:
            filter: As the server takes it.
            projection: The fields to fetch; all of them without it.
            sort: In which order; unspecified without it.
            skip: How many rows to leave out at the beginning.
            limit: How many rows to read at most; 0 stands for all.
            session: The session to read in.
        """
        if self.driver is Driver.MOCK:
            return self._find_in_mock(filter, projection, sort, skip, limit)
        return _drained(
            lambda: self.collection.find_raw_batches(
                filter, projection, sort=list(sort) or None, skip=skip, limit=limit, session=session
            )
        )

    def aggregate(self, pipeline: Sequence[Mapping[str, Any]], *, session: AnySession | None = None) -> Batches:
        """
        Read the documents that a pipeline gives, in batches; sorts may use the server's disk.

        Not on the mock, which lacks the stages that this is used with.
        """
        return _drained(
            lambda: self.collection.aggregate_raw_batches(list(pipeline), session=session, allowDiskUse=True)
        )

    async def count(self, filter: Mapping[str, Any], *, session: AnySession | None = None) -> int:
        """Return how many rows match *filter*, exactly."""
        with translated():
            number: int = await self.collection.count_documents(filter, session=session)
        return number

    async def holds(self, filter: Mapping[str, Any], *, session: AnySession | None = None) -> bool:
        """Tell whether any row matches *filter*."""
        with translated():
            return await self.collection.find_one(filter, {"_id": 1}, session=session) is not None

    async def one(self, id: Any, *, session: AnySession | None = None) -> bytes | None:
        """Return the stored bytes of the row with this `_id`, or None; *id* is a value, never an operator."""
        async with aclosing(self.find({"_id": {"$eq": id}}, limit=-1, session=session)) as rows:
            return await anext(rows, None)

    async def has_collation(self) -> bool:
        """Tell whether the collection compares text otherwise than byte by byte, unless told to."""
        with translated():
            options = await self.collection.options()
        locale: str = options.get("collation", {}).get("locale", "simple")
        return locale != "simple"

    async def _find_in_mock(
        self,
        filter: Mapping[str, Any],
        projection: Mapping[str, Any] | None,
        sort: SortKeys,
        skip: int,
        limit: int,
    ) -> Batches:
        cursor = self.collection.find(filter, projection, skip=skip, limit=abs(limit))
        async for row in cursor.sort(list(sort)) if sort else cursor:
            yield encode(row)


def rows_of(batch: bytes) -> list[bytes]:
    """Take a batch apart, row by row."""
    return [row for _, rows in parts_of(batch, len(batch)) for row in rows]


def parts_of(batch: bytes, size: int) -> Iterator[tuple[bytes, list[bytes]]]:
    """Cut a batch into parts of at most *size* rows; yield each part as one, and row by row."""
    position, end = 0, len(batch)
    while position < end:
        begin = position
        rows: list[bytes] = []
        while position < end and len(rows) < size:
            following = position + _LENGTH(batch, position)[0]
            rows.append(batch[position:following])
            position = following
        yield batch[begin:position], rows


async def _drained(open_cursor: Callable[[], Any]) -> Batches:
    with translated():
        cursor = await settled(open_cursor())
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
