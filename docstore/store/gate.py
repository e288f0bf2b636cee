"""
The gate that every write of a store passes: only a node writes, and only while others believe that it is alive.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Protocol

from docstore.core.abort_rule import counts_as_error
from docstore.core.absence import Absence
from docstore.core.kind import Kind
from docstore.core.write_version import ControlState
from docstore.errors import DocumentError, StoreClosedError
from docstore.fleet.in_flight import Session
from docstore.fleet.membership import Membership
from docstore.fleet.write_bound import BoundedWrites, bounded_write
from docstore.store import events
from docstore.store.observed_control import ObservedControl


class OpenWrite(Protocol):
    """
    Opens one write of a kind: the context in which it is decided how a row is stored, sent, and answered.
    """

    def __call__(self, session: Session | None = None) -> AbstractAsyncContextManager[ControlState]:
        """
        Return the context of a write in a session, or without one.
        """
        ...


class WriteGate:
    """
    Lets the writes of one store through.

    The store joins the fleet before its first write, if that was not done before; whoever writes meanwhile waits. Once
    it has joined, passing the gate makes no call.

    Args:
        member: The store as a part of its fleet.
        service: What the process calls itself.
        kinds: What the store works with.
    """

    def __init__(self, member: Membership, service: str, kinds: Sequence[Kind[Any]] = ()) -> None:
        self._member = member
        self._service = service
        self._kinds = tuple(kinds)
        self._joined = False
        self._closed = False
        self._joining = asyncio.Lock()
        self._writes = BoundedWrites(member)

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
                self._tell_of_read_only()

    def _tell_of_read_only(self) -> None:
        for kind in self._kinds:
            version = self._member.control(kind.name).write_version
            # Another release may store what this one does not know.
            steps = kind.chain.one_way(version, kind.latest) if kind.floor <= version < kind.latest else ()
            if steps:
                events.kind_is_read_only(kind=kind.name, write_version=version, latest=kind.latest, step=steps[0].to)

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
                    await self._writes.over()
            except TimeoutError:
                self._writes.break_off()
                await asyncio.sleep(0)
            self._writes.rest()
            await self._member.close()

    def of(self, kind: str) -> OpenWrite:
        """
        Return what opens the writes of one kind.
        """
        return partial(self.writing, kind)

    @asynccontextmanager
    async def writing(self, kind: str, session: Session | None = None) -> AsyncIterator[ControlState]:
        """
        Give the control state to store by; the context lasts until the server has answered.

        What is written in a transaction of the *session* is under way until that is over.

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
        async with bounded_write(self._member, kind, among=self._writes, session=session) as control:
            if control.canary is None:
                yield control
            else:
                with self._counted(control) as observed:
                    yield observed

    def absence(self, kind: str) -> Absence:
        """
        Return at which versions no row of a kind can stand, as far as that is known without a look. Makes no call.
        """
        return self._member.absence(kind)

    def failed_reads_of(self, kind: str) -> Callable[[DocumentError], None]:
        """
        Return what counts, for the rule of a canary, that a row of a kind could not be read.
        """

        def failed(error: DocumentError) -> None:
            version = getattr(error, "version", None)
            if version is not None and counts_as_error(error):
                self._member.observed(kind, version, failed=True)

        return failed

    @contextmanager
    def _counted(self, control: ControlState) -> Iterator[ControlState]:
        """
        Give a control state to store by, and count the rows that it decides about once their write has ended.
        """
        observed = ObservedControl.of_one_write(control)
        try:
            yield observed
        except BaseException as error:
            if counts_as_error(error):
                self._count(observed, failed=True)
            raise
        self._count(observed, failed=False)

    def _count(self, observed: ObservedControl, *, failed: bool) -> None:
        for version in observed.decided.values():
            self._member.observed(observed.kind, version, failed=failed)
