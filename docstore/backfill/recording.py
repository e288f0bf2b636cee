"""
What a run keeps of its counts: below which versions no row stands, for the retirement that comes one day.
"""

from contextlib import suppress

from bson.timestamp import Timestamp

from docstore.backfill.patience import patiently
from docstore.core.coverage import Coverage
from docstore.core.direction import Direction
from docstore.core.run_scope import RunScope
from docstore.errors import RecordFormatError, StoreRejectedError
from docstore.mongo.coverage_history import committed_time, record_counts
from docstore.mongo.driver import AnyDatabase


async def time_before(database: AnyDatabase) -> Timestamp | None:
    """
    Return the time before which nothing is counted that is counted from now on.
    """
    return await patiently(lambda: committed_time(database))


async def record_left(database: AnyDatabase, scope: RunScope, coverage: Coverage, *, before: Timestamp | None) -> None:
    """
    Keep what a count of all rows that a run upwards is about has shown; other runs tell nothing of what is below.

    A run does not fail for it: where it cannot be kept, the time begins with the next count.
    """
    if scope.direction is Direction.UP:
        with suppress(StoreRejectedError, RecordFormatError):
            await patiently(lambda: record_counts(database, scope.kind, coverage, before=before, up_to=scope.target))
