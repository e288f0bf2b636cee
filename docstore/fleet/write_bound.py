"""
How long a write may take: until others may take its node for dead, and store what it cannot read.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from docstore.core.write_version import ControlState
from docstore.errors import StoreUnavailableError
from docstore.fleet.in_flight import Session
from docstore.fleet.membership import Membership

_FOR_EVER: Final = float("inf")


class WriteBound:
    """
    One write that can be broken off.
    """

    __slots__ = ("timeout",)

    def __init__(self) -> None:
        self.timeout = asyncio.timeout(None)

    def break_off(self) -> None:
        """
        End the write now; nobody knows whether it took effect. Doing so twice is no mistake.
        """
        if not self.timeout.expired():
            self.timeout.reschedule(asyncio.get_running_loop().time())


class BoundedWrites:
    """
    The writes of a process that are under way, all of which end at the moment when others may take it for dead.

    Heartbeats move that moment on while writes last. One timer serves all writes, and stays when they are over: to set
    one and to cancel it for each would be most of what a write costs more in a fleet than without.

    Args:
        member: The process as a part of its fleet.
    """

    def __init__(self, member: Membership) -> None:
        self._member = member
        self._bounds: set[WriteBound] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self, bound: WriteBound) -> None:
        """
        Watch a write.
        """
        self._bounds.add(bound)
        self._idle.clear()
        # The moment only ever moves on, so a timer that was set for an earlier write comes in time for this one.
        if self._timer is None:
            self.look()

    def end(self, bound: WriteBound) -> None:
        """
        Watch a write no more.
        """
        self._bounds.discard(bound)
        if not self._bounds:
            self._idle.set()

    def look(self) -> None:
        """
        Break off all that is under way if it is time, else look again when it may be; not if nothing is under way.
        """
        self.rest()
        if not self._bounds:
            return
        left = self._member.seconds_to_write
        if left <= 0:
            self.break_off()
        elif left != _FOR_EVER:
            self._timer = asyncio.get_running_loop().call_later(left, self.look)

    def break_off(self) -> None:
        """
        End all writes now; nobody knows which took effect.
        """
        for bound in self._bounds:
            bound.break_off()

    async def over(self) -> None:
        """
        Return when no write is under way.
        """
        await self._idle.wait()

    def rest(self) -> None:
        """
        Look no more until the next write begins.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@asynccontextmanager
async def bounded_write(
    member: Membership,
    kind: str,
    bound: WriteBound | None = None,
    *,
    among: BoundedWrites | None = None,
    session: Session | None = None,
) -> AsyncIterator[ControlState]:
    """
    Give the control state to store by; the context is that of one write, until the server has answered.

    What is written in a transaction of the *session* counts as under way until that is over.

    Args:
        member: The process as a part of its fleet.
        kind: The kind's name.
        bound: Breaks this write off; one of its own by default.
        among: The writes that it is watched with; it is watched by itself by default.
        session: The session to write in.

    Raises:
        StaleNodeError: The node was not heard of in time; nothing was begun.
        StoreUnavailableError: There was no answer before others may take the node for dead.
    """
    bound = bound or WriteBound()
    writes = BoundedWrites(member) if among is None else among
    with member.writing(kind, session) as control:
        try:
            async with bound.timeout:
                writes.begin(bound)
                yield control
        except TimeoutError:
            if not bound.timeout.expired():
                raise
            reason = "it did not answer before others may take this node for dead"
            raise StoreUnavailableError(reason=reason) from None
        finally:
            writes.end(bound)
            if among is None:
                writes.rest()
