"""
Tagging rows that have no tag.
"""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

from docstore.backfill.adopting import Adoption, AdoptResult
from docstore.backfill.throttling import Throttling
from docstore.commands.process import utc_now
from docstore.core.kind import Kind
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.signals import open_signals


async def adopt(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    stop: asyncio.Event | None = None,
    throttled: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> AdoptResult:
    """
    Tag every row that has no tag, with the kind's baseline or what its `detect` function says.

    Nothing but the tag is written, each row atomically: no change of any other writer is lost. May be stopped, killed
    and repeated at any time. Builds the (tag, `_id`) index if it is missing.

    Args:
        database: A Motor or PyMongo Async database (or the mock).
        kind: Whose rows.
        stop: Once it is set, the batch in flight is finished and the call ends.
        throttled: Hold back when the server shows the load.
        now: The clock.

    Raises:
        VersionRangeError: The kind's floor is above its baseline.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    throttling = Throttling(open_signals(database) if throttled else ())
    try:
        adoption = Adoption(database, kind, throttling=throttling, stop=stop or asyncio.Event(), now=now)
        return await adoption.adopt()
    finally:
        await throttling.close()
