"""
A process as a node: it follows what is to be stored, says that it is alive, and stops writing when nobody hears it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, Final

import structlog

from docstore.core.absence import Absence
from docstore.core.control_view import ControlView
from docstore.core.fleet_facts import Lifetime, NodeKind, Policy
from docstore.core.kind import Kind
from docstore.core.write_version import ControlState
from docstore.errors import StaleNodeError
from docstore.fleet.canary_counting import CanaryCounting
from docstore.fleet.canary_watch import CanaryWatch
from docstore.fleet.clock import steady_seconds
from docstore.fleet.fence_watch import FenceWatch
from docstore.fleet.health import NodeHealth
from docstore.fleet.heard import Heard
from docstore.fleet.in_flight import InFlight, Session
from docstore.fleet.joining import PATIENCE, Joined, Joining
from docstore.fleet.listening import listen
from docstore.fleet.process_facts import Identity, node_kind_at_work
from docstore.fleet.step_exchange import StepExchange
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.leaving import ended, is_told_to_end, said
from docstore.mongo.node_records import NodeRecords

_log: Final = structlog.get_logger("docstore.fleet")

#: The share of its time after which a heartbeat is due.
_DUE: Final = 0.8
#: How long to wait after a call that failed, in seconds.
_RETRY: Final = 0.5
#: How long a node that closes tries to have itself forgotten, in seconds.
CLOSING: Final = 2.0
#: How long a heartbeat that was cancelled may take to end, in seconds, and how often it is told: drivers swallow it.
_CANCELLING: Final = 0.6
_CANCELLATIONS: Final = 2
#: The epoch of what is written while a kind has no control state.
_BEFORE_ALL: Final = -1


class Node:
    """
    A process that has the store open.

    Everything that the write path asks is answered from memory. What is to be stored is followed by heartbeats (every
    two seconds), and by a change stream where there is one.

    Args:
        database: A Motor or PyMongo Async database.
        kinds: What the process works with.
        service: What the process calls itself.
        instance: Names the place that the process fills in its service; the host by default.
        policy: What to do when the fleet does not admit it.
        life: How often it says that it is alive, and how long it is believed.
        patience: How long to wait for admission, in seconds.
        streams: Hear of changes by a change stream, too.
        begins: Settle the write version of kinds that have none. Whoever only does what operators ask for does not.
        closing: How long to try, when it closes, to have itself forgotten, in seconds.
        clock: A monotonic clock, in seconds.
        chance: Gives numbers from 0 to 1.
        steps: Gives and takes published steps, of the same kinds; one of its own by default.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kinds: Sequence[Kind[Any]],
        *,
        service: str,
        instance: str | None = None,
        policy: Policy = Policy.ENFORCE,
        life: Lifetime = Lifetime(),  # noqa: B008 - a value
        patience: float = PATIENCE,
        streams: bool = True,
        begins: bool = True,
        closing: float = CLOSING,
        clock: Callable[[], float] = steady_seconds,
        chance: Callable[[], float] = random.random,
        steps: StepExchange | None = None,
    ) -> None:
        self.who = Identity.of_this_process(service, instance)
        self._database = database
        self._kinds = tuple(kinds)
        self._life = life
        self._patience = patience
        self._streams = streams
        self._begins = begins
        self._closing = closing
        self._clock = clock
        self.steps = StepExchange(database, self._kinds, clock=clock) if steps is None else steps
        self._in_flight = InFlight(clock)
        self._joining = Joining(
            database,
            self.who,
            self._kinds,
            policy=policy,
            life=life,
            begins=begins,
            acknowledged=self._in_flight.acknowledged,
            clock=clock,
            chance=chance,
            steps=self.steps,
        )
        self._control = ControlRecords(database)
        self._nodes = NodeRecords(database)
        self._heard = Heard(self._kinds)
        # A write before anybody has settled what is stored is older than every control state.
        self._unsettled = {kind.name: ControlState(kind.name, kind.latest, _BEFORE_ALL) for kind in self._kinds}
        self._counting = CanaryCounting()
        self._watch = CanaryWatch(database, by=f"{self.who.service}/{self.who.instance}", patience=life.beat)
        self._fences = FenceWatch(database, self._heard, lambda: self.heartbeat_age, life.beat, clock)
        self._admitted = False
        self._sent = 0.0
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """
        Join the fleet; waits up to *patience* seconds for those that were killed to be dead.

        Raises:
            FloorMismatchError, FleetSkewError, NodeRefusedError, RecordFormatError: See `Store.open`.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        self._take(await self._joining.wait(patience=self._patience))
        self._tasks += [asyncio.create_task(self._live()), asyncio.create_task(self._fences.live())]
        if self._streams:
            self._tasks.append(asyncio.create_task(listen(self._database, self._wake, service=self.who.service)))
        try:
            # Not before: what a node knows that is not admitted is nothing that others read by.
            if await self.steps.publish():
                await self._control.count_join()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """
        Leave the fleet, in a few seconds at most; doing so twice is no mistake.

        While the database is away, or does not answer, others see the node vanish instead.
        """
        tasks, self._tasks = self._tasks, []
        if tasks:
            self._admitted = False
            # One that is still under way would bring the record back.
            if await ended(tasks, times=_CANCELLATIONS, seconds=_CANCELLING):
                await said(self._nodes.remove(self.who.id), seconds=self._closing)

    def writing(self, kind: str, session: Session | None = None) -> AbstractContextManager[ControlState]:
        """
        Return the context of one write, from the decision how to store it to the server's answer. Makes no call.

        It gives the control state to decide by. A change of it is acknowledged when the contexts are over that were
        entered before it, and the transaction of the *session* that it was written in, if there is one.

        Raises:
            StaleNodeError: The node was not heard of in time; reads go on.
        """
        self.may_write()
        return self._in_flight.one(self._heard.controls.get(kind) or self._unsettled[kind], session)

    def may_write(self) -> None:
        """
        Return if this node may write now. Makes no call.

        Raises:
            StaleNodeError: The node was not heard of in time; reads go on.
        """
        silent = self._clock() - self._sent
        if not self._admitted or silent >= self._life.fence_after:
            raise StaleNodeError(service=self.who.service, silent=silent, limit=self._life.fence_after)

    def version_for(self, kind: str, id: Any, *, standing: int | None = None) -> int:
        """
        Return the version at which a row is to be stored. Makes no call.

        Args:
            kind: The kind's name.
            id: The row's `_id`.
            standing: Where the row stands that is written over; None for a new one.
        """
        return self._heard.controls[kind].version_for(id, standing=standing)

    def control(self, kind: str) -> ControlState:
        """Return what this node stores of a kind, as far as it has heard. Makes no call."""
        return self._heard.controls[kind]

    def observed(self, kind: str, version: int, *, failed: bool) -> None:
        """
        Count an operation on a row that stands, or is to be stored, at a version. Makes no call.

        Only what is at a canary's version counts; `core.abort_rule.counts_as_error` says what failed.
        """
        control = self._heard.controls.get(kind)
        if control is not None:
            self._counting.observed(control, version, failed=failed)

    def absence(self, kind: str) -> Absence:
        """Return the versions at which no row of a kind can stand, by its fence, and why. Makes no call."""
        return self._fences.absence(kind)

    def ceiling(self, kind: str) -> int | None:
        """Return the version above which no row is rewritten: the write version, or None where there is none yet."""
        control = self._heard.controls.get(kind)
        return None if control is None else control.write_version

    def knob(self, name: str, default: Any, *, key: Any = None) -> Any:
        """
        Return a knob's value, or *default* where nobody has turned it. Makes no call.

        Args:
            name: The knob.
            default: Its value as long as it was not turned, and outside of its percentage.
            key: What the percentage divides; this node's instance by default.
        """
        return self._heard.knob(name, default, key=self.who.instance if key is None else key)

    @property
    def seconds_to_write(self) -> float:
        """How long a write may take that is sent now: until others take this node for dead. Makes no call."""
        return max(0.0, self._life.dead_after - self.heartbeat_age)

    @property
    def heartbeat_age(self) -> float:
        """Seconds since the last acknowledged heartbeat was sent."""
        return self._clock() - self._sent

    @property
    def health(self) -> NodeHealth | None:
        """How the node fares; None before it has joined, and after it has left."""
        if not self._tasks:
            return None
        return NodeHealth(self.heartbeat_age, self._life.fence_after, self._admitted, self._heard.controls.copy())

    async def _live(self) -> None:
        while not is_told_to_end():
            # Twice as often as heartbeats are due, so that changes are seen in time where there is no stream.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._life.beat / 2):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._look_and_beat()
            except Exception as error:  # noqa: BLE001 - nobody waits for this task, and without it no heartbeat is sent
                # Without an acknowledged heartbeat the node stops writing by itself.
                _log.warning("heartbeat failed", service=self.who.service, reason=type(error).__name__)
                await asyncio.sleep(min(_RETRY, self._life.beat))
                self._wake.set()

    async def _look_and_beat(self) -> None:
        if self._admitted:
            sent = self._clock()
            async with asyncio.timeout(self._life.fence_after):
                changed = await self._adopt_with_steps(await self._control.view())
                if not changed and sent - self._sent < self._life.beat * _DUE:
                    return
                heard = await self._nodes.beat(self.who.id, self._facts())
            if heard:
                self._sent = sent
                await self._watch.look(self._heard.controls.values())
                return
            # Others may have acted without it, so it has to ask again whether it fits.
            self._admitted = False
            _log.warning("taken for dead", service=self.who.service, silent=sent - self._sent)
        self._take(await self._joining.attempt())

    def _facts(self) -> dict[str, NodeKind]:
        controls = self._heard.controls
        return {
            kind.name: node_kind_at_work(kind, controls.get(kind.name), self._in_flight, self._counting)
            for kind in self._kinds
        }

    def _take(self, joined: Joined) -> None:
        # Whoever reads rows has to know; whoever only carries out what operators ask for leaves those rows alone.
        joined.tell(_log.warning if self._begins else _log.info, service=self.who.service)
        if joined.admitted:
            self._heard.adopt(joined.view)
            self._sent = joined.sent
            self._admitted = True

    async def _adopt_with_steps(self, view: ControlView) -> bool:
        """
        Work with what the records say; tell whether that is anything new of this node's kinds.

        Where anybody has joined, or anything was changed, others may have published steps, too.
        """
        learnt = self._heard.moves_with(view) and await self.steps.load(view.controls)
        return self._heard.adopt(view) or learnt
