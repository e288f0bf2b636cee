"""
Hearing of changes of control records as they are made.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from docstore.core.control_view import FLEET
from docstore.mongo.driver import AnyDatabase, Driver, driver_of, settled
from docstore.mongo.failures import translated
from docstore.mongo.leaving import ended
from docstore.mongo.own_records import CONTROL, open_records

#: How long the server holds back an answer that has nothing new, in milliseconds.
_WAIT_MS: Final = 500
#: How long the server may take to drop the cursor of a stream, in seconds.
_DROPPING: Final = 0.2
#: Once for the call that waits for a change, and once for dropping its cursor.
_CANCELLATIONS: Final = 2


async def control_changes(database: AnyDatabase) -> AsyncIterator[None]:
    """
    Give a signal for each change of a kind's or a knob's record, about a hundredth of a second after it is made.

    What is newest has to be read then. Nodes that come raise the epoch of the fleet's record, which concerns nobody
    else, so that record gives none.

    Raises:
        StoreRejectedError: The server has no change streams (it is no replica set), or does not let this user watch.
        StoreUnavailableError: The stream broke; changes may have been missed.
    """
    records = open_records(database, CONTROL)
    others = [{"$match": {"documentKey._id": {"$ne": FLEET}}}]
    with translated():
        stream = await settled(records.watch(others, max_await_time_ms=_WAIT_MS))
        async with stream:
            # Whatever was changed before the stream began.
            yield
            while stream.alive:
                coming = asyncio.ensure_future(stream.try_next())
                try:
                    change = await asyncio.shield(coming)
                except asyncio.CancelledError:
                    if driver_of(database) is Driver.MOTOR:
                        # What runs in Motor's thread cannot be cancelled, and the cursor must not be closed under it.
                        await asyncio.wait({coming})
                    else:
                        # Once cancelled it tells the server to drop the cursor, which may not answer.
                        await ended([coming], times=_CANCELLATIONS, seconds=_DROPPING)
                    raise
                if change is not None:
                    yield
