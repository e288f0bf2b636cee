"""Counting rows by tag, exactly."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pymongo.errors import ConfigurationError, OperationFailure

from docstore.core.bson_values import RawDocument, type_name
from docstore.core.canonical_id import canonical
from docstore.core.coverage import TagCount
from docstore.core.direction import Direction
from docstore.core.version import TAG_TYPES
from docstore.mongo.counting_by_value import count_by_value, type_and_value
from docstore.mongo.driver import (
    AnyCollection,
    AnyDatabase,
    AnySession,
    Driver,
    driver_of,
    open_collection,
    settled,
    snapshot_session,
)
from docstore.mongo.failures import translated
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.quarantine import Quarantine, count_quarantined
from docstore.mongo.selections import Selection
from docstore.mongo.tag_filters import short_of
from docstore.mongo.tag_index import TagIndexes, find_tag_indexes, holds_arrays

#: The server's "that moment cannot be read (any more)", just after an index was built for example. The next one can.
_MOMENT_GONE: Final = frozenset({239, 246})
_MOMENTS: Final = 3


class Way(Enum):
    """
    What was read to count rows.
    """

    #: Each value of the tag, and as many index keys as it has rows: the quickest.
    VALUES = "values"
    #: The type and the value of every index key.
    KEYS = "keys"
    #: Every row.
    ROWS = "rows"


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The rows of one kind, counted; *one_moment* says whether all counts are of the same, durable moment."""

    tags: tuple[TagCount, ...]
    quarantined: int
    one_moment: bool
    way: Way = Way.ROWS


async def count_rows(
    database: AnyDatabase,
    *,
    kind: str,
    collection: str,
    field: str,
    selection: Selection | None = None,
    only: Mapping[str, Any] | None = None,
    below: int | None = None,
) -> RowCounts:
    """
    Count the rows of a collection by the type and value of their tag, and the kind's rows in quarantine.

    The counts are of one moment, as a majority of the members has acknowledged it, so they add up while others
    write. A standalone server and the mock cannot do that: there, a row that is rewritten meanwhile may be counted
    twice or missed, and `one_moment` is false.

    Asks the (tag, `_id`) index for each value and how often it is there, and the index on odd tags for the rest; where
    only the former is there, or a tag is or was an array, it is read key by key, and without it every row. Types "int"
    and "long" may be counted as one.

    With a *selection* only its rows are counted, a part at a time, so not all at one moment. With a condition on the
    tag (*only*) at least the rows that meet it are, and the index is read where they stand; where it cannot be relied
    on, because a tag is an array, all are. With *below* at least the rows are counted that are at no version from that
    one on, for the price of those; without the index on odd tags a Decimal128 or a fraction from there on may be left
    out.
    """

    async def count_aside(session: AnySession | None) -> int:
        return await count_quarantined(database, kind, collection=collection, field=field, session=session)

    if selection is not None:
        return await _selected(database, kind=kind, collection=collection, field=field, selection=selection)
    with translated():
        if driver_of(database) is Driver.MOCK:
            tags = await _tags_of_mock(database, collection, field)
            return RowCounts(tags, await count_aside(None), one_moment=False)
        indexes = await find_tag_indexes(database, collection, field)
        counting = _Counting(database, collection, field, indexes, only=only, below=below)
        for _ in range(_MOMENTS):
            try:
                async with snapshot_session(database) as session:
                    tags, way = await counting.tags(session)
                    return RowCounts(tags, await count_aside(session), one_moment=True, way=way)
            except ConfigurationError:
                break
            except OperationFailure as error:
                if error.code not in _MOMENT_GONE:
                    break
        tags, way = await counting.tags(None)
        return RowCounts(tags, await count_aside(None), one_moment=False, way=way)


class _Counting:
    """
    Counts the tags of one collection, in the quickest way that is exact.
    """

    def __init__(
        self,
        database: AnyDatabase,
        collection: str,
        field: str,
        indexes: TagIndexes,
        *,
        only: Mapping[str, Any] | None,
        below: int | None,
    ) -> None:
        self._database = database
        self._collection = collection
        self._field = field
        self._indexes = indexes
        self._only = only
        self._below = below

    async def tags(self, session: AnySession | None) -> tuple[tuple[TagCount, ...], Way]:
        rows = open_collection(self._database, self._collection, majority=session is None)
        indexes, only = self._indexes, self._only
        if indexes.tag is None:
            return await self._every_tag(rows, session, only=None), Way.ROWS
        if only is None and indexes.odd is not None:
            found = await count_by_value(rows, self._field, indexes, session, below=self._below)
            # Looked at afterwards: what becomes an array later was none at the moment of the counts.
            if found is not None and not await self._holds_arrays(indexes.tag):
                return found, Way.VALUES
        if self._below is not None:
            only = short_of(Direction.UP, self._below)
        if only is not None and await self._holds_arrays(indexes.tag):
            only = None
        return await self._every_tag(rows, session, only=only), Way.KEYS

    async def _every_tag(
        self, rows: AnyCollection, session: AnySession | None, *, only: Mapping[str, Any] | None
    ) -> tuple[TagCount, ...]:
        grouped: list[RawDocument] = [{"$group": {"_id": type_and_value(self._field), "rows": {"$sum": 1}}}]
        options: dict[str, Any] = {"collation": SIMPLE_COLLATION}
        if only is not None:
            grouped.insert(0, {"$match": {self._field: only}})
        if self._indexes.tag is not None:
            options["hint"] = self._indexes.tag
        cursor = await settled(rows.aggregate(grouped, session=session, **options))
        return tuple([TagCount(group["_id"]["type"], group["_id"]["value"], group["rows"]) async for group in cursor])

    async def _holds_arrays(self, index: str) -> bool:
        return await holds_arrays(self._database, self._collection, index)


async def _selected(
    database: AnyDatabase, *, kind: str, collection: str, field: str, selection: Selection
) -> RowCounts:
    quarantine = Quarantine(database, kind)
    tags: Counter[tuple[str, Any]] = Counter()
    aside = 0
    async with aclosing(selection.pages()) as pages:
        async for ids in pages:
            with translated():
                tags.update([each async for each in _tags_of(database, collection, field, ids)])
            async with aclosing(quarantine.kept(collection, field, ids=ids)) as records:
                async for _ in records:
                    aside += 1
    return RowCounts(
        tuple(TagCount(name, value, rows) for (name, value), rows in tags.items()), aside, one_moment=False
    )


async def _tags_of(
    database: AnyDatabase, collection: str, field: str, ids: Sequence[Any]
) -> AsyncGenerator[tuple[str, Any], None]:
    """
    Yield the type and the value of the tag of each of these rows.

    Found by the `_id` index, which has the collection's own collation, so texts that are only similar are found too.
    """
    wanted = {canonical(each) for each in ids}
    rows = open_collection(database, collection, majority=True)
    async for row in rows.find({"_id": {"$in": list(ids)}}, {"tag": type_and_value(field)}):
        if canonical(row["_id"]) in wanted:
            yield row["tag"]["type"], row["tag"]["value"]


async def _tags_of_mock(database: AnyDatabase, collection: str, field: str) -> tuple[TagCount, ...]:
    counted: Counter[tuple[str, Any]] = Counter()
    async for row in open_collection(database, collection).find({}, {field: 1}):
        name = type_name(row[field]) if field in row else "missing"
        counted[name, row[field] if name in TAG_TYPES else None] += 1
    return tuple(TagCount(name, value, rows) for (name, value), rows in counted.items())
