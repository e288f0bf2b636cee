"""
Counting rows by tag without looking at each key: which values there are, and how often each.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from docstore.core.bson_values import RawDocument
from docstore.core.coverage import TagCount
from docstore.core.version import TAG_TYPES, tag_version
from docstore.mongo.driver import AnyCollection, AnySession, settled
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.odd_tags import odd_tags
from docstore.mongo.tag_index import TagIndexes

#: With more values than this, or more rows whose tag is no integer, one pass over all keys is quicker.
MANY_VALUES: Final = 100
MANY_ODD: Final = 5000

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
    untagged = await _number(rows, {field: None}, indexes, session)
    found = [count for count in odd if not _is_version_from(count, below)]
    found.append(TagCount("missing", None, untagged))
    for value in _integers(values):
        number = await _number(rows, {field: Int64(value)}, indexes, session)
        # Numbers of other types that equal it have the same key.
        number -= sum(count.rows for count in odd if _integer(count.value) == value)
        found.append(TagCount("int", value, number))
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


async def _values(
    rows: AnyCollection, field: str, indexes: TagIndexes, session: AnySession | None, below: int | None
) -> list[Any]:
    """
    Return the numbers among the tags, one of those that are equal: a jump from key to key.
    """
    end = {"$lte": float("inf")} if below is None else {"$lt": below}
    pipeline: list[RawDocument] = [
        {"$match": {field: {"$gte": float("-inf"), **end}}},
        {"$sort": {field: 1, "_id": 1}},
        {"$group": {"_id": f"${field}", "any": {"$first": "$_id"}}},
        {"$limit": MANY_VALUES + 1},
    ]
    found = await settled(rows.aggregate(pipeline, session=session, hint=indexes.tag, collation=SIMPLE_COLLATION))
    return [each["_id"] async for each in found]


async def _number(rows: AnyCollection, filter: RawDocument, indexes: TagIndexes, session: AnySession | None) -> int:
    pipeline: list[RawDocument] = [{"$match": filter}, {"$count": "rows"}]
    found = await settled(rows.aggregate(pipeline, session=session, hint=indexes.tag, collation=SIMPLE_COLLATION))
    return sum([int(each["rows"]) async for each in found])


def _integers(values: Sequence[Any]) -> Iterator[int]:
    for value in values:
        integer = _integer(value)
        if integer is not None and integer in _INT64:
            yield integer


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
