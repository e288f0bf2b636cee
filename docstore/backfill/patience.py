"""Waiting: for a database that is away for a moment (an election, a restart), and for tasks that have to end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import stamina

from docstore.mongo.failures import Reaction, reaction_to

T = TypeVar("T")

#: How long a run waits for the database to come back, in seconds. An election takes about twelve by default.
PATIENCE: Final = 60.0
_LONGEST_WAIT: Final = 5.0  # seconds


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """
    Make a call that may be repeated, again and again while the database is away.

    Raises:
        StoreUnavailableError: It stayed away.
        StoreTimeoutError: The call took longer than it was allowed to; it is not made again.
    """
    async for attempt in stamina.retry_context(
        on=_is_for_later, attempts=None, timeout=PATIENCE, wait_max=_LONGEST_WAIT
    ):
        with attempt:
            return await call()
    raise AssertionError  # pragma: no cover - the loop ends by returning or raising


def _is_for_later(error: Exception) -> bool:
    return reaction_to(error) is Reaction.RETRY


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Return when none of the tasks runs any more; what they raise is lost."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
