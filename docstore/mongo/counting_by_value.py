"""
Counting rows by tag without looking at each key: which values there are, and how often each.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from docstore.core.bson_values import RawDocument
from docstore.core.coverage import TagCount
from docstore.core.id_cuts import id_cuts
from docstore.core.version import TAG_TYPES, tag_version
from docstore.mongo.driver import AnyCollection, AnySession, Driver, driver_of, settled
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.odd_tags import odd_tags
from docstore.mongo.tag_index import TagIndexes

#: With more values than this, or more rows whose tag is no integer, one pass over all keys is quicker.
MANY_VALUES: Final = 100
MANY_ODD: Final = 5000

#: From so many rows on, the rows of a value are counted in parts, two at a time: a server has more than one processor,
#: and others need it too.
LARGE: Final = 100_000
_PARTS: Final = 8
_AT_ONCE: Final = 2

#: Those that an index does not keep apart from others.
_BLURRED: Final = frozenset({"array", "undefined"})
_INT64: Final = range(-(2**63), 2**63)


async def count_by_value(
    rows: AnyCollection,
    field: str,
    indexes: TagIndexes,
    session: AnySession | None,
    *,
    below: int | None = None,
) -> tuple[TagCount, ...] | None:
    """
    Return how many rows have which tag, or None where that is not told, or not quickly, by values.

    Exact where no tag is or was an array, which the caller has to look at **afterwards**. The types "int" and "long"
    are counted as "int", what is missing or null as "missing". Driver errors come out as they are.

    Reads as many keys as there are rows to count, and no row but those whose tag is no integer.

    Args:
        rows: The collection.
        field: The tag.
        indexes: Both of them have to be there.
        session: Where all reads are of one moment.
        below: Leave out versions from this one on.
    """
    odd = await _odd(rows, field, indexes, session)
    if sum(count.rows for count in odd) > MANY_ODD or any(count.type in _BLURRED for count in odd):
        return None
    values = await _values(rows, field, indexes, session, below)
    if len(values) > MANY_VALUES:
        return None
    number = _Number(rows, field, indexes, session)
    if below is None and driver_of(rows.database) is not Driver.MOTOR:
        # What the server keeps in its head: not exact, and this decides nothing but the way. (Motor works in threads,
        # which cannot share a session.)
        values = await _with_ends(rows, field, indexes, session, values)
    found = [count for count in odd if not _is_version_from(count, below)]
    found.append(TagCount("missing", None, await number.of(None)))
    for value in values:
        integer = _integer(value.tag)
        if integer is None or integer not in _INT64:
            continue
        rows_at = await number.of(Int64(integer), cuts=id_cuts(value.first, value.last, _PARTS))
        # Numbers of other types that equal it have the same key.
        rows_at -= sum(count.rows for count in odd if _integer(count.value) == integer)
        found.append(TagCount("int", integer, rows_at))
    return tuple(count for count in found if count.rows)


def type_and_value(field: str) -> RawDocument:
    """
    Return the expression for the type of a tag, and its value if it may be a version.

    Others are not told apart: an array or a document of any size is just unreadable.
    """
    type_of = {"$type": f"${field}"}
    return {"type": type_of, "value": {"$cond": [{"$in": [type_of, list(TAG_TYPES)]}, f"${field}", None]}}


async def _odd(rows: AnyCollection, field: str, indexes: TagIndexes, session: AnySession | None) -> Sequence[TagCount]:
    # Here the value of a Decimal128 is needed too: it may equal a version.
    group = {"type": {"$type": f"${field}"}, "value": {"$cond": [{"$isNumber": f"${field}"}, f"${field}", None]}}
    pipeline: list[RawDocument] = [
        {"$match": odd_tags(field)},
        {"$limit": MANY_ODD + 1},
        {"$group": {"_id": group, "rows": {"$sum": 1}}},
    ]
    found = await settled(rows.aggregate(pipeline, session=session, hint=indexes.odd, collation=SIMPLE_COLLATION))
    return [TagCount(each["_id"]["type"], each["_id"]["value"], each["rows"]) async for each in found]


@dataclass(frozen=True, slots=True)
class _Value:
    """
    A number among the tags, one of those that are equal, with the first and the last id of its rows.
    """

    tag: Any
    first: Any = None
    last: Any = None


async def _values(
    rows: AnyCollection,
    field: str,
    indexes: TagIndexes,
    session: AnySession | None,
    below: int | None,
    *,
    backward: bool = False,
) -> list[_Value]:
    """
    Return the numbers among the tags with one id each, the first or *backward* the last: a jump from key to key.
    """
    end = {"$lte": float("inf")} if below is None else {"$lt": below}
    way = -1 if backward else 1
    pipeline: list[RawDocument] = [
        {"$match": {field: {"$gte": float("-inf"), **end}}},
        {"$sort": {field: way, "_id": way}},
        {"$group": {"_id": f"${field}", "id": {"$first": "$_id"}}},
        {"$limit": MANY_VALUES + 1},
    ]
    found = await settled(rows.aggregate(pipeline, session=session, hint=indexes.tag, collation=SIMPLE_COLLATION))
    return [_Value(each["_id"], each["id"]) async for each in found]


async def _with_ends(
    rows: AnyCollection, field: str, indexes: TagIndexes, session: AnySession | None, values: list[_Value]
) -> list[_Value]:
    if await rows.estimated_document_count() < LARGE:
        return values
    last = await _values(rows, field, indexes, session, None, backward=True)
    ends = {_integer(value.tag): value.first for value in last}
    return [_Value(value.tag, value.first, ends.get(_integer(value.tag))) for value in values]


class _Number:
    """
    Counts the rows of one tag, where they are many in several parts.
    """

    def __init__(self, rows: AnyCollection, field: str, indexes: TagIndexes, session: AnySession | None) -> None:
        self._rows = rows
        self._field = field
        self._index = indexes.tag
        self._session = session
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def of(self, tag: Any, *, cuts: Sequence[Any] = ()) -> int:
        if not cuts:
            return await self._count({self._field: tag})
        ranges = [{"$lt": cuts[0]}, *({"$gte": low, "$lt": high} for low, high in pairwise(cuts)), {"$gte": cuts[-1]}]
        parts = [self._count({self._field: tag, "_id": each}) for each in ranges]
        # All of them to the end: none may use the session after whoever opened it has gone.
        counted = await asyncio.gather(*parts, return_exceptions=True)
        for each in counted:
            if isinstance(each, BaseException):
                raise each
        return sum(each for each in counted if isinstance(each, int))

    async def _count(self, filter: RawDocument) -> int:
        pipeline: list[RawDocument] = [{"$match": filter}, {"$count": "rows"}]
        options: dict[str, Any] = {"hint": self._index, "collation": SIMPLE_COLLATION}
        async with self._free:
            found = await settled(self._rows.aggregate(pipeline, session=self._session, **options))
            return sum([int(each["rows"]) async for each in found])


def _integer(value: Any) -> int | None:
    """
    Return the integer that a number equals, whatever its type; None where there is none.
    """
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return int(number) if number.is_finite() and number == number.to_integral_value() else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _is_version_from(count: TagCount, below: int | None) -> bool:
    version = tag_version(count.value) if count.type in TAG_TYPES else None
    return below is not None and version is not None and version >= below
