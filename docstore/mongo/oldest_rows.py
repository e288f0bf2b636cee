"""
When the oldest row below a version was made, as far as its id tells, or a field that an index is on.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Final

from bson.objectid import ObjectId
from pymongo import ASCENDING, DESCENDING

from docstore.core.coverage import OldestRow
from docstore.core.version import tag_version
from docstore.errors import StoreTimeoutError
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.tag_index import find_tag_index, finished_indexes

#: No `ObjectId` is below it; compared with ids of that type only.
_FIRST = ObjectId(b"\0" * 12)
#: How long to look for the row by a field, in milliseconds: rows at other versions may come first, any number of them.
_LOOK: Final = 1000
#: What keeps an index from holding every row, or from having times in their order.
_PARTIAL: Final = ("partialFilterExpression", "sparse", "hidden")


async def oldest_row(
    database: AnyDatabase, collection: str, field: str, versions: Iterable[int], *, untagged: int | None
) -> OldestRow | None:
    """
    Return the oldest of the rows at some versions whose id is an `ObjectId`, which holds the time when it was made.

    Looks at the first such id of each version in the (tag, `_id`) index, so at a key or two for each; without that
    index nothing is looked at, and None returned. Other types of ids tell no time that could be found without reading
    every row.

    Args:
        database: Where the rows are.
        collection: Their collection.
        field: The tag.
        versions: The versions to look at.
        untagged: The version of rows without a tag, if they are to be looked at too.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return None
    index = await find_tag_index(database, collection, field)
    if index is None:
        return None
    rows = open_collection(database, collection)
    wanted: list[tuple[int, Any]] = [(version, version) for version in versions]
    if untagged is not None:
        wanted.append((untagged, None))
    found: list[OldestRow] = []
    with translated():
        for version, tag in wanted:
            first = rows.find({field: tag, "_id": {"$gte": _FIRST}}, {"_id": 1}, hint=index)
            ordered = first.sort([(field, 1), ("_id", 1)]).limit(1).collation(SIMPLE_COLLATION)
            ids = [row["_id"] async for row in ordered]
            found += [OldestRow(version=version, created=each.generation_time) for each in ids]
    return min(found, key=lambda row: row.created, default=None)


async def oldest_row_by(
    database: AnyDatabase, collection: str, field: str, versions: Iterable[int], *, untagged: int | None, created: str
) -> OldestRow | None:
    """
    Return the oldest of the rows at some versions by the time in a field.

    Only where an index begins with that field, from whose beginning on it is looked at; None where there is no such
    index, or the first such row is not found within a second.

    Args:
        database: Where the rows are.
        collection: Their collection.
        field: The tag.
        versions: The versions to look at.
        untagged: The version of rows without a tag, if they are to be looked at too.
        created: The field that holds the time.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    if driver_of(database) is Driver.MOCK:
        return None
    tags: list[int | None] = [*versions, *([] if untagged is None else [None])]
    with translated():
        indexes = await finished_indexes(database, collection)
    index = next((str(each["name"]) for each in indexes if _begins_with(each, created)), None)
    if index is None or not tags:
        return None
    rows = open_collection(database, collection).find(
        {field: {"$in": tags}, created: {"$type": "date"}}, {field: 1, created: 1}
    )
    oldest = rows.sort(created, ASCENDING).hint(index).limit(1).max_time_ms(_LOOK)
    try:
        with translated():
            for row in await oldest.to_list(1):
                version = tag_version(row.get(field)) or untagged
                if version is not None:
                    time = row[created]
                    at = time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)
                    return OldestRow(version=version, created=at, by=created)
    except StoreTimeoutError:
        return None
    return None


def _begins_with(index: Mapping[str, Any], field: str) -> bool:
    first = next(iter(index["key"].items()))
    return first in ((field, ASCENDING), (field, DESCENDING)) and not any(name in index for name in _PARTIAL)
