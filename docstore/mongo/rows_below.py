"""
How many rows stand below a version that code still reads.
"""

from docstore.mongo.driver import AnyDatabase, open_collection
from docstore.mongo.failures import translated


async def rows_below(database: AnyDatabase, *, collection: str, field: str, baseline: int, version: int) -> int:
    """
    Return how many rows are tagged below a version; those without a tag stand at the baseline.

    With the (tag, `_id`) index the server reads that only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    rows = open_collection(database, collection, primary=True)
    with translated():
        # Two questions: the server answers both from the index, and an `$or` of them from the rows.
        below = await rows.count_documents({field: {"$lt": version}})
        untagged = await rows.count_documents({field: None}) if baseline < version else 0
    return int(below) + int(untagged)
