"""
Leaving in time: what is under way is ended, and what does not answer is left behind.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

from docstore.errors import StoreError

#: How long a task that was cancelled may take to end, in seconds.
CANCELLING: Final = 0.4
#: How long to try to say what is good to say before the end, in seconds.
LAST_WORDS: Final = 0.5


def is_told_to_end() -> bool:
    """
    Tell whether the task at hand was cancelled; the driver may have made another error of that.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def ended(tasks: Iterable["asyncio.Future[Any]"], *, times: int = 1, seconds: float = CANCELLING) -> bool:
    """
    Cancel tasks, so many times at most and so many seconds apart, until they have ended; tell whether all have.

    The driver may swallow a cancellation, and then the next call waits for the database: once is not enough for a task
    that makes several calls, its last words among them.
    """
    left = {task for task in tasks if not task.done()}
    for _ in range(times):
        if not left:
            break
        for task in left:
            task.cancel()
        over, left = await asyncio.wait(left, timeout=seconds)
        for task in over:
            if not task.cancelled():
                # Looked at, so that asyncio does not complain about an error that nobody asked for.
                task.exception()
    return not left


async def said(call: Coroutine[Any, Any, Any], *, seconds: float = LAST_WORDS) -> None:
    """
    Make a call that is good to make before the end, and do without it if the database does not answer in time.
    """
    calling = asyncio.create_task(call)
    try:
        over, _ = await asyncio.wait({calling}, timeout=seconds)
    finally:
        calling.cancel()
    for task in over:
        with suppress(StoreError, asyncio.CancelledError):
            task.result()
