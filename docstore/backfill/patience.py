"""
Waiting for a database that is away for a moment: an election, a restart.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import stamina

from docstore.backfill.waiting import waits_at_hand
from docstore.errors import StoreError
from docstore.mongo.failures import Reaction, reaction_to
from docstore.mongo.leaving import is_told_to_end

T = TypeVar("T")

#: How long a run waits for the database to come back, in seconds. An election takes about twelve by default.
PATIENCE: Final = 60.0
_LONGEST_WAIT: Final = 5.0  # seconds


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """
    Make a call that may be repeated, again and again while the database is away; `Waits` tells meanwhile why.

    Raises:
        StoreUnavailableError: It stayed away.
        StoreTimeoutError: The call took longer than it was allowed to; it is not made again.
    """
    waits, token = waits_at_hand(), object()
    try:
        async for attempt in stamina.retry_context(
            on=_is_for_later, attempts=None, timeout=PATIENCE, wait_max=_LONGEST_WAIT
        ):
            with attempt:
                try:
                    return await call()
                except StoreError as error:
                    if is_told_to_end():
                        raise asyncio.CancelledError from None
                    if _is_for_later(error):
                        waits.put(token, str(error))
                    raise
    finally:
        waits.remove(token)
    raise AssertionError  # pragma: no cover - the loop ends by returning or raising


def _is_for_later(error: Exception) -> bool:
    return reaction_to(error) is Reaction.RETRY
