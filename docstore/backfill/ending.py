"""
Ending in time: one moment, at which a process was told to stop, from which everything that it still does is measured.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from docstore.errors import BackfillInterruptedError
from docstore.mongo.leaving import CANCELLING, ended, said

#: By when batches in flight are to be finished, in seconds after a process was told to stop; then they are given back.
GRACE: Final = 1.2
#: By when it has asked all that it still wants to know.
TIME_TO_ASK: Final = 2.4
#: By when it has said its last word. Closing the client takes a little more where the database is silent.
TIME_TO_END: Final = 2.8
#: Where nobody is in a hurry, how long a process takes at most to leave, in seconds.
_LEAVING: Final = 2.0
#: What is said even by a process that is late has this many seconds, so that what runs in the background is ended.
_AT_LEAST: Final = 0.1
#: Each call that waits for the database may need to be told once: to give back what is held, and to say good-bye.
_CANCELLATIONS: Final = 3

T = TypeVar("T")


class Ending:
    """
    The deadline of a process: it begins to run when *stop* is set, and everything keeps to the same one.

    Args:
        stop: What tells the process to stop.
        clock: Seconds that never go back; the event loop's by default.
    """

    def __init__(self, stop: asyncio.Event | None = None, *, clock: Callable[[], float] | None = None) -> None:
        self.stop = stop or asyncio.Event()
        self._clock = clock
        #: When the process was told to stop.
        self._told: float | None = None

    def left(self, of: float = TIME_TO_END) -> float | None:
        """
        Return how many of so many seconds are left since *stop* was set; None if it is not.
        """
        if not self.stop.is_set():
            return None
        now = asyncio.get_running_loop().time() if self._clock is None else self._clock()
        if self._told is None:
            self._told = now
        return max(0.0, self._told + of - now)

    async def unless_stopped(self, call: Coroutine[Any, Any, T], *, grace: float = GRACE) -> T | None:
        """
        Return what a call gives, or None if it has not returned *grace* seconds after *stop* was set: it is ended then.
        """
        calling, stopping = asyncio.create_task(call), asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({calling, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                await asyncio.wait({calling}, timeout=self.left(grace))
            return calling.result() if calling.done() else None
        finally:
            stopping.cancel()
            await self.end(calling)

    async def or_interrupted(self, call: Coroutine[Any, Any, T], *, kind: str) -> T:
        """
        Return what a call gives that comes before the work of a run.

        Raises:
            BackfillInterruptedError: *stop* was set, and it did not return soon after.
        """
        found = await self.unless_stopped(call)
        if found is None:
            raise BackfillInterruptedError(kind=kind)
        return found

    async def end(self, *tasks: "asyncio.Task[Any]") -> None:
        """
        Cancel tasks until they have ended, for a little more than a second at most.
        """
        left = self.left(TIME_TO_ASK)
        seconds = CANCELLING if left is None else min(CANCELLING, left / _CANCELLATIONS)
        await ended(tasks, times=_CANCELLATIONS, seconds=seconds)

    async def in_time(self, call: Coroutine[Any, Any, T]) -> T | None:
        """
        Return what a call gives, or None if that is not there in time; without a hurry there is no limit.
        """
        calling = asyncio.create_task(call)
        try:
            over, _ = await asyncio.wait({calling}, timeout=self.left(TIME_TO_ASK))
        finally:
            calling.cancel()
        return calling.result() if over else None

    async def leave(self, *partings: Coroutine[Any, Any, Any]) -> None:
        """
        Do what is good to do before the end, all of it at once, and do without what the database does not answer.
        """
        left = self.left()
        seconds = _LEAVING if left is None else max(left, _AT_LEAST)
        await asyncio.gather(*(said(parting, seconds=seconds) for parting in partings))


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """
    Return the error that came first to a group of tasks, which ended the others.
    """
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first
