"""
What it costs that the (tag, `_id`) index is not there, and what it would cost to have it.
"""

from dataclasses import dataclass
from typing import Any, Final

from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.failures import translated

#: The tag and the id need a little more than the id alone; measured with ids of several types.
_WITH_TAG: Final = 1.25


@dataclass(frozen=True, slots=True)
class MissingIndexCost:
    """
    Estimates, from what the server keeps about the collection.
    """

    #: Rows that are read to count them.
    rows: int
    #: Bytes of those rows, uncompressed.
    bytes_read: int
    #: Bytes that the index would take, on disk.
    index_bytes: int


async def missing_index_cost(database: AnyDatabase, collection: str) -> MissingIndexCost | None:
    """
    Return what reading every row means for a collection; None on the mock, and where the collection is not there.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database, or the user may not ask.
    """
    if driver_of(database) is Driver.MOCK:
        return None
    with translated():
        stats: dict[str, Any] = await database.command({"collStats": collection})
    sizes = stats.get("indexSizes", {})
    if not stats.get("count") or "_id_" not in sizes:
        return None
    return MissingIndexCost(int(stats["count"]), int(stats["size"]), round(sizes["_id_"] * _WITH_TAG))
