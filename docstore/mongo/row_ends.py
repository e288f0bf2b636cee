"""
The lowest and the highest version at which rows of a kind are stored.
"""

from typing import Any, Final

from docstore.core.bson_values import RawDocument
from docstore.core.version import TAG_TYPES, tag_version
from docstore.core.write_version import StoredRows
from docstore.mongo.driver import AnyDatabase, open_collection, settled
from docstore.mongo.failures import translated
from docstore.mongo.tag_index import find_tag_index

_UP: Final = 1
_DOWN: Final = -1


async def row_ends(database: AnyDatabase, *, collection: str, field: str, baseline: int) -> StoredRows:
    """
    Return where the rows of a kind stand, at its ends; rows whose tag is no version are left out.

    With the (tag, `_id`) index that is one look at each end of it; without it every tag is read.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    rows = open_collection(database, collection, primary=True)
    tag = f"${field}"
    versions: RawDocument = {field: {"$gte": 1}, "$expr": is_integer(field)}
    with translated():
        untagged = await rows.find_one({field: None}, {"_id": 1}) is not None
        if await find_tag_index(database, collection, field) is not None:
            ends = [await _end(rows, versions, field, way) for way in (_UP, _DOWN)]
        else:
            extremes = {"_id": None, "low": {"$min": tag}, "high": {"$max": tag}}
            cursor = await settled(rows.aggregate([{"$match": versions}, {"$group": extremes}]))
            ends = [end async for group in cursor for end in (group["low"], group["high"])]
    found = [version for version in map(tag_version, ends) if version is not None]
    found += [baseline] if untagged else []
    return StoredRows(min(found, default=None), max(found, default=None), untagged=untagged)


def is_integer(field: str) -> RawDocument:
    """
    Return the expression that tells whether a tag is an integer, whatever its type.
    """
    # In a query an array matches by its elements, and 4.5 is a multiple of 1.
    tag = f"${field}"
    is_number = {"$in": [{"$type": tag}, list(TAG_TYPES)]}
    return {"$cond": [is_number, {"$eq": [{"$mod": [tag, 1]}, 0]}, False]}


async def _end(rows: Any, versions: RawDocument, field: str, way: int) -> Any:
    found = await rows.find(versions, {field: 1, "_id": 0}).sort([(field, way), ("_id", way)]).limit(1).to_list(1)
    return found[0][field] if found else None
