"""Waiting: for a database that is away for a moment (an election, a restart), and for tasks that have to end."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import stamina

from docstore.backfill.waiting import waits_at_hand
from docstore.errors import StoreError
from docstore.mongo.failures import Reaction, reaction_to

T = TypeVar("T")

#: How long a run waits for the database to come back, in seconds. An election takes about twelve by default.
PATIENCE: Final = 60.0
#: How long a cancelled task may take to end, in seconds.
CANCELLING: Final = 0.4
#: How long a worker that is to end tries to give back what it holds, in seconds.
LAST_WORDS: Final = 0.5
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
                    if is_cancelled():
                        raise asyncio.CancelledError from None
                    if _is_for_later(error):
                        waits.put(token, str(error))
                    raise
    finally:
        waits.remove(token)
    raise AssertionError  # pragma: no cover - the loop ends by returning or raising


def is_cancelled() -> bool:
    """
    Tell whether the task at hand was cancelled; while no server is there, the driver may swallow a cancellation.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def cancelled(*tasks: "asyncio.Task[Any]") -> None:
    """
    Cancel tasks and wait until they have ended, but not for long: the driver may keep one that waits for a server.
    """
    for task in tasks:
        task.cancel()
    if tasks:
        ended, _ = await asyncio.wait(tasks, timeout=CANCELLING)
        for task in ended:
            if not task.cancelled():
                # Looked at, so that asyncio does not complain about an error that nobody asked for.
                task.exception()


async def briefly(call: Coroutine[Any, Any, Any], *, seconds: float = LAST_WORDS) -> None:
    """
    Make a call that is good to make before the end, and do without it if the database does not answer at once.
    """
    calling = asyncio.create_task(call)
    try:
        ended, _ = await asyncio.wait({calling}, timeout=seconds)
    finally:
        calling.cancel()
    for task in ended:
        with suppress(StoreError, asyncio.CancelledError):
            task.result()


def _is_for_later(error: Exception) -> bool:
    return reaction_to(error) is Reaction.RETRY
