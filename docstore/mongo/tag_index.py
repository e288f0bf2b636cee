"""The index on (tag, _id) that makes coverage and backfill cheap."""

from typing import Any, Final

from pymongo import ASCENDING
from pymongo.collation import Collation

from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection, settled
from docstore.mongo.failures import translated

#: What makes an index on the right keys useless for counting every row.
_PARTIAL: Final = ("partialFilterExpression", "sparse", "hidden", "collation")


async def find_tag_index(database: AnyDatabase, collection: str, field: str) -> str | None:
    """
    Return the name of the index on exactly (*field*, `_id`) that holds every row, or None.

    An index with a collation does not count: it holds collation keys instead of text ids.
    """
    rows = open_collection(database, collection)
    with translated():
        async for index in await settled(rows.list_indexes()):
            keys = list(index["key"].items())
            if keys == [(field, ASCENDING), ("_id", ASCENDING)] and not any(name in index for name in _PARTIAL):
                return str(index["name"])
    return None


async def build_tag_index(database: AnyDatabase, collection: str, field: str) -> str:
    """
    Build the index on (*field*, `_id`) and return its name; idempotent.

    Returns when the index is ready to be used. Readers and writers go on meanwhile.
    """
    rows = open_collection(database, collection)
    # Said explicitly, because a collection may have another collation as its default.
    options: dict[str, Any] = {} if driver_of(database) is Driver.MOCK else {"collation": Collation("simple")}
    with translated():
        name: str = await rows.create_index(
            [(field, ASCENDING), ("_id", ASCENDING)], name=f"docstore_{field}", **options
        )
    return name
