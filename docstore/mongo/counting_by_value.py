"""
Counting rows by tag without looking at each key: which values there are, and how often each.
"""

import asyncio
from collections import Counter
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
    in_threads = driver_of(rows.database) is Driver.MOTOR
    if below is None and not in_threads:
        values = await _with_ends(rows, field, indexes, session, values)
    integers = {integer: value for value in values if (integer := _integer(value.tag)) is not None}
    # The highest first: most rows stand there, and what is quickly counted fills the gap while the last part is.
    wanted = [
        _Wanted(field, Int64(integer), id_cuts(value.first, value.last, _PARTS))
        for integer, value in sorted(integers.items(), reverse=True)
        if integer in _INT64
    ]
    wanted.append(_Wanted(field, None))
    # What runs in threads must not share a session at the same time.
    numbers = await _numbers(rows, wanted, indexes, session, at_once=1 if in_threads else _AT_ONCE)
    found = [count for count in odd if not _is_version_from(count, below)]
    for each, number in zip(wanted, numbers, strict=True):
        if each.tag is None:
            found.append(TagCount("missing", None, number))
        else:
            # Numbers of other types that equal it have the same key.
            equal = sum(count.rows for count in odd if _integer(count.value) == each.tag)
            found.append(TagCount("int", int(each.tag), number - equal))
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
    # What the server keeps in its head: not exact, and this decides nothing but the way.
    if await rows.estimated_document_count() < LARGE:
        return values
    last = await _values(rows, field, indexes, session, None, backward=True)
    ends = {_integer(value.tag): value.first for value in last}
    return [_Value(value.tag, value.first, ends.get(_integer(value.tag))) for value in values]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """
    A tag whose rows are to be counted, in several parts where its ids are cut.
    """

    field: str
    tag: Any
    cuts: Sequence[Any] = ()

    def filters(self) -> list[RawDocument]:
        cuts = self.cuts
        if not cuts:
            return [{self.field: self.tag}]
        ranges = [{"$lt": cuts[0]}, *({"$gte": low, "$lt": high} for low, high in pairwise(cuts)), {"$gte": cuts[-1]}]
        return [{self.field: self.tag, "_id": each} for each in ranges]


async def _numbers(
    rows: AnyCollection,
    wanted: Sequence[_Wanted],
    indexes: TagIndexes,
    session: AnySession | None,
    *,
    at_once: int,
) -> list[int]:
    free = asyncio.Semaphore(at_once)
    options: dict[str, Any] = {"hint": indexes.tag, "collation": SIMPLE_COLLATION, "session": session}

    async def number(matching: RawDocument) -> int:
        async with free:
            found = await settled(rows.aggregate([{"$match": matching}, {"$count": "rows"}], **options))
            return sum([int(each["rows"]) async for each in found])

    parts = [(each.tag, part) for each in wanted for part in each.filters()]
    # All of them to the end: none may use the session after whoever opened it has gone.
    counted = await asyncio.gather(*(number(part) for _, part in parts), return_exceptions=True)
    sums: Counter[Any] = Counter()
    for (tag, _), result in zip(parts, counted, strict=True):
        if isinstance(result, BaseException):
            raise result
        sums[tag] += result
    return [sums[each.tag] for each in wanted]


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
