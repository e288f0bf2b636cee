"""
Whether there are rows whose tag is no version: a quick look, by the indexes on the tag.
"""

from typing import Any

from docstore.mongo.driver import AnyDatabase, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.guard import SIMPLE_COLLATION
from docstore.mongo.odd_tags import odd_tags
from docstore.mongo.row_ends import is_integer
from docstore.mongo.tag_index import find_tag_indexes


async def holds_unreadable_tags(database: AnyDatabase, *, collection: str, field: str) -> bool:
    """
    Tell whether a row has a tag that is no positive integer; rows without a tag are not meant.

    One look at each of the two indexes on the tag. What only an index that is missing could tell is not found.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    rows = open_collection(database, collection, primary=True)
    indexes = await find_tag_indexes(database, collection, field)
    with translated():
        for index, found in ((indexes.tag, {field: {"$lt": 1}}), (indexes.odd, odd_tags(field))):
            if index is None:
                continue
            looked = rows.find(found, {"_id": 1}).hint(index).collation(SIMPLE_COLLATION).limit(1)
            if await looked.to_list(1):
                return True
    return False


async def holds_nothing_else(database: AnyDatabase, *, collection: str, field: str) -> bool:
    """
    Tell whether a row has such a tag, where no row was found at any version: without an index, by the rows.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    is_version = {"$and": [is_integer(field), {"$gte": [f"${field}", 1]}]}
    unreadable: dict[str, Any] = {field: {"$ne": None}, "$expr": {"$not": [is_version]}}
    with translated():
        return await open_collection(database, collection, primary=True).find_one(unreadable, {"_id": 1}) is not None
