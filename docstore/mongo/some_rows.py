"""
Some rows of a collection, to see what they are like.
"""

from collections.abc import Sequence
from typing import Any

from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection, settled
from docstore.mongo.failures import translated
from docstore.mongo.reading import RowSource, rows_of


async def rows_at(database: AnyDatabase, collection: str, field: str, version: int | None, size: int) -> list[bytes]:
    """
    Return rows whose tag is *version* (None: without a tag), at most *size* and as many as fit into one answer.
    """
    tagged = {field: version}
    if driver_of(database) is Driver.MOCK:
        return [row async for row in RowSource(database, collection).find(tagged, limit=size)]
    rows = open_collection(database, collection, primary=True)
    with translated():
        found = rows.find_raw_batches(tagged, limit=-size, batch_size=size)
        return [row async for batch in found for row in rows_of(batch)]


async def random_rows(database: AnyDatabase, collection: str, size: int) -> list[bytes]:
    """
    Return rows picked at random, of all versions; not on the mock.
    """
    rows = open_collection(database, collection, primary=True)
    with translated():
        cursor = await settled(rows.aggregate_raw_batches([{"$sample": {"size": size}}]))
        return [row async for batch in cursor for row in rows_of(batch)]


async def is_there(database: AnyDatabase, collection: str) -> bool:
    """
    Tell whether there is such a collection, or view; an empty one is there, too.
    """
    with translated():
        return collection in await database.list_collection_names(filter={"name": collection})


async def random_ids(
    database: AnyDatabase, collection: str, field: str, versions: Sequence[int | None], size: int
) -> list[Any]:
    """
    Return the ids of rows picked at random among those whose tag is one of *versions* (None: without a tag).

    Reads the tags and ids of all of these rows, from the (tag, `_id`) index where it is there.
    """
    rows = open_collection(database, collection, primary=True)
    wanted = {field: {"$in": list(versions)}}
    stages = [{"$match": wanted}, {"$project": {"_id": 1}}, {"$sample": {"size": size}}]
    with translated():
        return [row["_id"] async for row in await settled(rows.aggregate(stages, allowDiskUse=True))]
