"""
Rows picked by their ids, whatever version they stand at.
"""

from collections.abc import Sequence
from typing import Any, Final

from docstore.core.bson_values import encode
from docstore.core.row_faults import id_of
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, open_collection
from docstore.mongo.failures import translated
from docstore.mongo.reading import RowSource, rows_of

#: Ids asked for at once.
CHOSEN_AT_ONCE: Final = 500


async def chosen_rows(database: AnyDatabase, collection: str, ids: Sequence[Any]) -> list[bytes]:
    """
    Return the stored bytes of the rows with these ids, as the primary has them; those that are gone are left out.

    Args:
        database: Where the rows are.
        collection: The collection.
        ids: At most `CHOSEN_AT_ONCE` of them, so that what is held in memory is bounded.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    wanted = {"_id": {"$in": list(ids)}}
    if driver_of(database) is Driver.MOCK:
        found = [row async for row in RowSource(database, collection).find(wanted)]
    else:
        rows = open_collection(database, collection, primary=True)
        with translated():
            found = [row async for batch in rows.find_raw_batches(wanted) for row in rows_of(batch)]
    # A collection with a collation of its own finds texts that are only similar.
    asked = {encode({"": row_id}) for row_id in ids}
    return [row for row in found if encode({"": id_of(row)}) in asked]
