"""
How many rows of a run each worker has rewritten.
"""

from docstore.mongo.driver import AnyDatabase, settled
from docstore.mongo.failures import translated
from docstore.mongo.own_records import BATCHES, open_records
from docstore.mongo.run_totals import keys_of


async def rows_by_worker(database: AnyDatabase, run: str) -> dict[str, int]:
    """
    Return the rows that each worker has rewritten, by the worker's id; a batch counts for who had it last.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    rewritten = {"$sum": {"$add": ["$tally.server", "$tally.client"]}}
    stages = [{"$match": {"_id": keys_of(run)}}, {"$group": {"_id": "$owner", "rows": rewritten}}]
    with translated():
        cursor = await settled(open_records(database, BATCHES).aggregate(stages))
        return {group["_id"]: group["rows"] async for group in cursor if group["_id"] is not None}
