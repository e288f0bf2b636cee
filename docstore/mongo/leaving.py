"""
Leaving in time: what a node has under way is ended, and what does not answer is left behind.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

from docstore.errors import StoreError

#: How long a task that was cancelled may take to end before it is told again, in seconds.
CANCELLING: Final = 0.6
#: The driver may swallow a cancellation, and the next call waits for the database again.
_CANCELLATIONS: Final = 2


def is_told_to_end() -> bool:
    """
    Tell whether the task at hand was cancelled; the driver may have made another error of that.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def ended(tasks: Iterable["asyncio.Future[Any]"], *, seconds: float = CANCELLING) -> bool:
    """
    Cancel tasks until they have ended, but twice at most, so many seconds apart; tell whether all have.
    """
    left = set(tasks)
    for _ in range(_CANCELLATIONS):
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


async def said(call: Coroutine[Any, Any, None], *, seconds: float) -> None:
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
