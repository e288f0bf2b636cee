"""
When the oldest row below a version was made, as far as its id tells.
"""

from collections.abc import Iterable
from typing import Any

from bson.objectid import ObjectId

from docstore.core.coverage import OldestRow
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.tag_index import find_tag_index

#: No `ObjectId` is below it; compared with ids of that type only.
_FIRST = ObjectId(b"\0" * 12)


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
