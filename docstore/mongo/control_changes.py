"""
Hearing of changes of control records as they are made.
"""

from collections.abc import AsyncIterator

from docstore.core.control_view import FLEET
from docstore.mongo.driver import AnyDatabase, settled
from docstore.mongo.failures import translated
from docstore.mongo.own_records import CONTROL, open_records


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
    with translated():
        stream = await settled(records.watch([{"$match": {"documentKey._id": {"$ne": FLEET}}}]))
        async with stream:
            # Whatever was changed before the stream began.
            yield
            async for _ in stream:
                yield
