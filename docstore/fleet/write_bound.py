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
    Breaks a write off when others may take the node for dead. Heartbeats move that moment on while the write lasts.
    """

    __slots__ = ("_look_again", "_member", "timeout")

    def __init__(self, member: Membership) -> None:
        self._member = member
        self._look_again: asyncio.TimerHandle | None = None
        self.timeout = asyncio.timeout(None)

    def look(self) -> None:
        """
        Break the write off if it is time, else look again when it may be.
        """
        left = self._member.seconds_to_write
        if left <= 0:
            self.break_off()
        elif left != _FOR_EVER:
            self._look_again = asyncio.get_running_loop().call_later(left, self.look)

    def break_off(self) -> None:
        """
        End the write now; nobody knows whether it took effect.
        """
        self.timeout.reschedule(asyncio.get_running_loop().time())

    def end(self) -> None:
        """
        Look no more.
        """
        if self._look_again is not None:
            self._look_again.cancel()


@asynccontextmanager
async def bounded_write(
    member: Membership, kind: str, bound: WriteBound | None = None, *, session: Session | None = None
) -> AsyncIterator[ControlState]:
    """
    Give the control state to store by; the context is that of one write, until the server has answered.

    What is written in a transaction of the *session* counts as under way until that is over.

    Raises:
        StaleNodeError: The node was not heard of in time; nothing was begun.
        StoreUnavailableError: There was no answer before others may take the node for dead.
    """
    bound = bound or WriteBound(member)
    with member.writing(kind, session) as control:
        try:
            async with bound.timeout:
                bound.look()
                yield control
        except TimeoutError:
            if not bound.timeout.expired():
                raise
            reason = "it did not answer before others may take this node for dead"
            raise StoreUnavailableError(reason=reason) from None
        finally:
            bound.end()
