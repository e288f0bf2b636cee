"""Counting rows by tag, exactly."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import ConfigurationError, OperationFailure

from docstore.core.bson_values import RawDocument, type_name
from docstore.core.canonical_id import canonical
from docstore.core.coverage import TagCount
from docstore.core.version import TAG_TYPES
from docstore.mongo.driver import (
    AnyDatabase,
    AnySession,
    Driver,
    driver_of,
    open_collection,
    settled,
    snapshot_session,
)
from docstore.mongo.failures import translated
from docstore.mongo.quarantine import Quarantine, count_quarantined
from docstore.mongo.selections import Selection
from docstore.mongo.tag_index import find_tag_index, holds_arrays

#: The server's "that moment cannot be read (any more)", just after an index was built for example. The next one can.
_MOMENT_GONE: Final = frozenset({239, 246})
_MOMENTS: Final = 3


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The rows of one kind, counted; *one_moment* says whether all counts are of the same, durable moment."""

    tags: tuple[TagCount, ...]
    quarantined: int
    one_moment: bool


async def count_rows(
    database: AnyDatabase,
    *,
    kind: str,
    collection: str,
    field: str,
    selection: Selection | None = None,
    only: Mapping[str, Any] | None = None,
) -> RowCounts:
    """
    Count the rows of a collection by the type and value of their tag, and the kind's rows in quarantine.

    The counts are of one moment, as a majority of the members has acknowledged it, so they add up while others
    write. A standalone server and the mock cannot do that: there, a row that is rewritten meanwhile may be counted
    twice or missed, and `one_moment` is false.

    Reads the (tag, `_id`) index and no row, where there is such an index; else every row. One pass over all tags
    instead of a count for each value, because no equality match tells 1 from `Decimal128("1")` or `[1]`.

    With a *selection* only its rows are counted, a part at a time, so not all at one moment. With a condition on the
    tag (*only*) at least the rows that meet it are, and the index is read where they stand; where it cannot be relied
    on, because a tag is an array, all are.
    """

    async def count_aside(session: AnySession | None) -> int:
        return await count_quarantined(database, kind, collection=collection, field=field, session=session)

    if selection is not None:
        return await _selected(database, kind=kind, collection=collection, field=field, selection=selection)
    with translated():
        if driver_of(database) is Driver.MOCK:
            tags = await _tags_of_mock(database, collection, field)
            return RowCounts(tags, await count_aside(None), one_moment=False)
        hint = await find_tag_index(database, collection, field)
        if hint is None or (only is not None and await holds_arrays(database, collection, hint)):
            only = None
        for _ in range(_MOMENTS):
            try:
                async with snapshot_session(database) as session:
                    tags = await _tags(database, collection, field, hint, session, only=only)
                    return RowCounts(tags, await count_aside(session), one_moment=True)
            except ConfigurationError:
                break
            except OperationFailure as error:
                if error.code not in _MOMENT_GONE:
                    break
        tags = await _tags(database, collection, field, hint, None, only=only)
        return RowCounts(tags, await count_aside(None), one_moment=False)


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


async def _tags(
    database: AnyDatabase,
    collection: str,
    field: str,
    hint: str | None,
    session: AnySession | None,
    *,
    only: Mapping[str, Any] | None = None,
) -> tuple[TagCount, ...]:
    rows = open_collection(database, collection, majority=session is None)
    grouped: list[RawDocument] = [{"$group": {"_id": _type_and_value(field), "rows": {"$sum": 1}}}]
    options: dict[str, Any] = {"collation": {"locale": "simple"}}
    if only is not None:
        grouped.insert(0, {"$match": {field: only}})
    if hint is not None:
        options["hint"] = hint
    cursor = await settled(rows.aggregate(grouped, session=session, **options))
    return tuple([TagCount(group["_id"]["type"], group["_id"]["value"], group["rows"]) async for group in cursor])


async def _tags_of(
    database: AnyDatabase, collection: str, field: str, ids: Sequence[Any]
) -> AsyncGenerator[tuple[str, Any], None]:
    """
    Yield the type and the value of the tag of each of these rows.

    Found by the `_id` index, which has the collection's own collation, so texts that are only similar are found too.
    """
    wanted = {canonical(each) for each in ids}
    rows = open_collection(database, collection, majority=True)
    async for row in rows.find({"_id": {"$in": list(ids)}}, {"tag": _type_and_value(field)}):
        if canonical(row["_id"]) in wanted:
            yield row["tag"]["type"], row["tag"]["value"]


def _type_and_value(field: str) -> RawDocument:
    # Values that are no numbers are not told apart: an array or a document of any size is just unreadable.
    type_of = {"$type": f"${field}"}
    return {"type": type_of, "value": {"$cond": [{"$in": [type_of, list(TAG_TYPES)]}, f"${field}", None]}}


async def _tags_of_mock(database: AnyDatabase, collection: str, field: str) -> tuple[TagCount, ...]:
    counted: Counter[tuple[str, Any]] = Counter()
    async for row in open_collection(database, collection).find({}, {field: 1}):
        name = type_name(row[field]) if field in row else "missing"
        counted[name, row[field] if name in TAG_TYPES else None] += 1
    return tuple(TagCount(name, value, rows) for (name, value), rows in counted.items())
