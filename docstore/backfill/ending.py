"""
Ending in time: what is at hand is finished or given back, and whatever does not answer is left behind.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from docstore.backfill.patience import cancelled

#: How long batches in flight may take to be finished or given back when a process is to stop, in seconds.
GRACE: Final = 1.5
#: How long a process takes at most from being told to stop to having said its last word, in seconds.
TIME_TO_END: Final = 3.8
#: Each call that waits for the database may need to be told once: to give back what is held, and to say good-bye.
_CANCELLATIONS: Final = 3

T = TypeVar("T")


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """
    Cancel tasks until they have ended, for a little more than a second at most.
    """
    for _ in range(_CANCELLATIONS):
        await cancelled(*(task for task in tasks if not task.done()))


async def until_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> float | None:
    """
    Do some work that looks at *stop* itself, and end it when it does not return soon after that was set.

    Returns:
        By when everything else has to be over, by the event loop's clock; None if there is no hurry.
    """
    loop, by = asyncio.get_running_loop(), None
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            by = loop.time() + TIME_TO_END
        if not working.done():
            await asyncio.wait({working}, timeout=GRACE)
        if working.done():
            working.result()
    finally:
        stopping.cancel()
        await end(working)
    return by


async def unless_stopped(call: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """
    Return what a call gives, or None if it does not return soon after *stop* was set: it is ended then.
    """
    calling, stopping = asyncio.create_task(call), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({calling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not calling.done():
            await asyncio.wait({calling}, timeout=GRACE)
        return calling.result() if calling.done() else None
    finally:
        stopping.cancel()
        await end(calling)


async def in_time(call: Coroutine[Any, Any, T], *, by: float | None) -> T | None:
    """
    Return what a call gives, or None if it does not return by then.
    """
    if by is None:
        return await call
    calling = asyncio.create_task(call)
    try:
        ended, _ = await asyncio.wait({calling}, timeout=max(0.0, by - asyncio.get_running_loop().time()))
    finally:
        calling.cancel()
    return calling.result() if ended else None


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """
    Return the error that came first to a group of tasks, which ended the others.
    """
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
