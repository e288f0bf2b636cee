"""
Hearing of changes by a change stream, where there is one.
"""

import asyncio
from typing import Final

import structlog

from docstore.errors import StoreError, StoreRejectedError
from docstore.mongo.control_changes import control_changes
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.leaving import is_told_to_end

_log: Final = structlog.get_logger("docstore.fleet")

#: How long to wait after a stream broke, in seconds.
_RETRY: Final = 0.5


async def listen(database: AnyDatabase, wake: asyncio.Event, *, service: str) -> None:
    """
    Set *wake* at each change, until cancelled; returns where the server has no change streams.
    """
    while not is_told_to_end():
        try:
            async for _ in control_changes(database):
                wake.set()
        except StoreRejectedError as error:
            _log.info("changes are polled", service=service, reason=error.reason)
            return
        except StoreError:
            await asyncio.sleep(_RETRY)
