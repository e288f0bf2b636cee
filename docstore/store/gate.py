"""
The gate that every write of a store passes: only a node writes, and only while others believe that it is alive.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final, TypeAlias

from docstore.core.write_version import ControlState
from docstore.errors import StoreClosedError, StoreUnavailableError
from docstore.fleet.membership import Membership

#: Opens one write of a kind: the context in which it is decided how a row is stored, sent, and answered.
OpenWrite: TypeAlias = Callable[[], AbstractAsyncContextManager[ControlState]]

_OPEN_FOR_EVER: Final = float("inf")


class WriteGate:
    """
    Lets the writes of one store through.

    The store joins the fleet before its first write, if that was not done before; whoever writes meanwhile waits. Once
    it has joined, passing the gate makes no call.

    Args:
        member: The store as a part of its fleet.
        service: What the process calls itself.
    """

    def __init__(self, member: Membership, service: str) -> None:
        self._member = member
        self._service = service
        self._joined = False
        self._closed = False
        self._joining = asyncio.Lock()
        self._under_way: set[_Bound] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def closed(self) -> bool:
        """
        Whether the store has left the fleet.
        """
        return self._closed

    async def open(self) -> None:
        """
        Join the fleet, if that was not done before; see `Node.open` for what is raised.
        """
        async with self._joining:
            if not self._joined:
                await self._member.open()
                self._joined, self._closed = True, False

    async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - a bound on good will, not on the call
        """
        Let no write through any more, give those that are under way up to *timeout* seconds, and leave the fleet.

        Those that take longer are broken off: whoever has left must not store anything. Doing so twice is no mistake.
        """
        async with self._joining:
            self._closed = True
            if not self._joined:
                return
            self._joined = False
            try:
                async with asyncio.timeout(timeout):
                    await self._idle.wait()
            except TimeoutError:
                for write in self._under_way:
                    write.break_off()
                await asyncio.sleep(0)
            await self._member.close()

    def of(self, kind: str) -> OpenWrite:
        """
        Return what opens the writes of one kind.
        """
        return partial(self.writing, kind)

    @asynccontextmanager
    async def writing(self, kind: str) -> AsyncIterator[ControlState]:
        """
        Give the control state to store by; the context lasts until the server has answered.

        Raises:
            StoreClosedError: The store is closed.
            StaleNodeError: The node was not heard of in time.
            NodeRefusedError: The store had not joined yet, and the fleet does not admit it.
            StoreUnavailableError: There was no answer before others may take the node for dead.
        """
        if not self._joined:
            if self._closed:
                raise StoreClosedError(service=self._service)
            await self.open()
        with self._member.writing(kind) as control:
            bound = _Bound(self._member)
            self._under_way.add(bound)
            self._idle.clear()
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
                self._under_way.discard(bound)
                if not self._under_way:
                    self._idle.set()


class _Bound:
    """
    Breaks a write off when others may take the node for dead. Heartbeats move that moment on while the write lasts.
    """

    __slots__ = ("_look_again", "_member", "timeout")

    def __init__(self, member: Membership) -> None:
        self._member = member
        self._look_again: asyncio.TimerHandle | None = None
        self.timeout = asyncio.timeout(None)

    def look(self) -> None:
        left = self._member.seconds_to_write
        if left <= 0:
            self.break_off()
        elif left != _OPEN_FOR_EVER:
            self._look_again = asyncio.get_running_loop().call_later(left, self.look)

    def break_off(self) -> None:
        self.timeout.reschedule(asyncio.get_running_loop().time())

    def end(self) -> None:
        if self._look_again is not None:
            self._look_again.cancel()
