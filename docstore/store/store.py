"""The store: the kinds that a service works with, on one database."""

from collections.abc import Sequence
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from docstore.core.document import Document
from docstore.core.fleet_facts import BEAT, DEAD_AFTER, Lifetime, Policy
from docstore.core.kind import Kind
from docstore.core.newer_steps import NewerSteps, reading
from docstore.errors import CollectionSharedError, StepContentError, UnknownKindError
from docstore.fleet.floors import Floors
from docstore.fleet.joining import PATIENCE
from docstore.fleet.membership import Alone, Membership
from docstore.fleet.node import Node
from docstore.fleet.step_exchange import StepExchange
from docstore.mongo.client_versions import ClientVersions
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.store.client_versions import AskedVersions
from docstore.store.collection import Collection
from docstore.store.gate import WriteGate
from docstore.store.observed_calls import observe_calls
from docstore.store.pauses import Pause, jittered
from docstore.store.write_back import WriteBack, WriteBackStatistics

if TYPE_CHECKING:
    # Prometheus' client takes as long to import as all of this; only who counts has it.
    from docstore.store.metrics import StoreMetrics

D = TypeVar("D", bound=Document)

#: How long `close` waits for rows that are still to be written back, in seconds.
CLOSE_TIMEOUT: Final = 5.0


class Store:
    """
    The kinds of one database, as a service uses them, and the process as a node of the fleet.

    Making a store makes no call. `async with`, or `open`, joins the fleet: others know from then on what this process
    reads, and it stores what they read (P6, P7). A store that was not opened joins before its first write, which then
    waits for it, and raises what `open` raises. Until then it is no node: it can be read through, but nobody waits for
    it, so a service that only reads has to open its store too.

    Whoever joined has to be closed: until then heartbeats go out in the background, and others count with this
    process. The database object stays the caller's: closing the store does not close its client. A store belongs to
    the event loop of that client. No index is built.

    On mongomock-motor, which cannot tell who is alive, every store works as with *fleet* false.

    Args:
        database: A database of Motor, PyMongo Async or mongomock-motor.
        kinds: The kinds; each has a collection of its own.
        service: What the process calls itself, for people who look at the fleet.
        instance: Names the place that the process fills in its service, which its successor takes over; the host by
            default.
        policy: "enforce": a node that the fleet does not admit is not opened. "warn": it says so in its log and opens
            all the same, for those who adopt docstore on a running system; others count with it like with any node.
            Neither opens on rows that its code has no steps for (`FloorMismatchError`).
        write_back: Store rows that a read has upgraded, in the background, under the guard, at the write version.
            Reads are not delayed and do not fail by it; under pressure such rows are left as they are.
        pause: How to wait before a write that met a conflict is tried again; up to 64 milliseconds by default.
        heartbeat: How often the node says that it is alive, in seconds.
        dead_after: How long after a heartbeat others take it for dead, in seconds. It stops writing by itself at 60 %
            of that.
        patience: How long to wait for admission, in seconds; those that were killed are only dead after their time.
        read_newer: What to do with a row above the latest version that the code knows. "published": it is read through
            the steps that newer releases have published in the database, and `modify` and `replace` change it where it
            stands, with everything that only the newer shape has. "refuse": reading it raises `NewerVersionError`.
            Always so on mongomock-motor.
        fleet: Whether to join. A store that does not stores the latest version whatever others read: P6 and P7 do not
            hold for it. `open` then only looks at the floor.
        metrics: Counts what is done, for Prometheus; without it nothing is counted.

    Raises:
        CollectionSharedError: Two kinds name the same collection.
        StepContentError: Two kinds have the same name.
        TypeError: *database* is none of the three (one of synchronous PyMongo, for example).
        ValueError: *policy* or *read_newer* is none of its two, or *heartbeat* is too long for *dead_after*.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kinds: Sequence[Kind[Any]],
        *,
        service: str,
        instance: str | None = None,
        policy: Literal["enforce", "warn"] = "enforce",
        write_back: bool = False,
        pause: Pause | None = None,
        heartbeat: float = BEAT,
        dead_after: float = DEAD_AFTER,
        patience: float = PATIENCE,
        read_newer: Literal["published", "refuse"] = "published",
        fleet: bool = True,
        metrics: "StoreMetrics | None" = None,
    ) -> None:
        driver = driver_of(database)
        self.service = service
        self._kinds = _by_name(kinds)
        if read_newer not in {"published", "refuse"}:
            msg = f"read_newer takes 'published' or 'refuse', not {read_newer!r}"
            raise ValueError(msg)
        steps = None
        if read_newer == "published" and driver is not Driver.MOCK:
            kinds = [reading(kind, NewerSteps()) for kind in kinds]
            steps = StepExchange(database, kinds)
        self._member: Membership = Alone(kinds)
        rules, life = Policy(policy), Lifetime(heartbeat, dead_after)
        if not life.lasts:
            msg = f"heartbeat has to be above 0 and below {life.fence_after:g} s (60 % of dead_after), not {heartbeat}"
            raise ValueError(msg)
        if fleet and driver is not Driver.MOCK:
            self._member = Node(
                database,
                kinds,
                service=service,
                instance=instance,
                policy=rules,
                life=life,
                patience=patience,
                # A stream takes one of the few threads in which Motor makes its calls, for as long as it is open.
                streams=driver is not Driver.MOTOR,
                steps=steps,
            )
        self._gate = WriteGate(self._member, service, kinds)
        #: Asked instead of the fleet, by a store that stays outside.
        self._floors = None if fleet or driver is Driver.MOCK else Floors(database, kinds, service=service)
        self._write_back = WriteBack(self._gate) if write_back else None
        self._asked = AskedVersions(ClientVersions(database))
        waiting = jittered(Random()) if pause is None else pause  # noqa: S311 - writers only have to drift apart
        self._collections = {
            kind.name: Collection(
                database,
                kind,
                gate=self._gate,
                pause=waiting,
                write_back=self._write_back,
                kinds=kinds,
                asked=self._asked,
                observer=None if metrics is None else metrics.of(service, kind),
                learn=None if steps is None else steps.learn,
            )
            for kind in kinds
        }
        if metrics is not None:
            metrics.node.watch(service, self._member, kinds)
            for kind in kinds:
                observe_calls(self._collections[kind.name], metrics.of(service, kind))

    @property
    def kinds(self) -> tuple[Kind[Any], ...]:
        """The kinds, in the order in which they were given."""
        return tuple(self._kinds.values())

    def collection(self, kind: Kind[D]) -> Collection[D]:
        """
        Return the rows of a kind; the same object every time.

        Raises:
            UnknownKindError: The store was not opened with this kind.
        """
        if self._kinds.get(kind.name) is not kind:
            raise UnknownKindError(kind=kind.name, known=tuple(self._kinds), where="this store")
        return self._collections[kind.name]

    def write_back_statistics(self) -> WriteBackStatistics | None:
        """Return what became of the rows that reads have upgraded so far; None without *write_back*."""
        return None if self._write_back is None else self._write_back.statistics()

    async def knob(self, name: str, *, default: Any, key: Any = None) -> Any:
        """
        Return what a knob is turned to, or *default* where nobody has turned it. Joins the fleet if need be.

        Once the store is open that makes no call. Changes arrive within two seconds; with PyMongo Async, on a replica
        set, in about a tenth of a second.

        Args:
            name: The knob; `docstore rollout knob` turns it.
            default: Its value as long as nobody has turned it, and for keys outside of its percentage.
            key: What the percentage divides, such as a user's id; this node's instance by default.

        Raises:
            NodeRefusedError, StoreUnavailableError, StoreRejectedError: See `open`.
        """
        if not self._gate.closed:
            await self._gate.open()
        return self._member.knob(name, default, key=key)

    async def open(self) -> None:
        """
        Join the fleet as a node; does nothing where that was done. Waits up to *patience* seconds for admission.

        The first store that ever works with a kind settles its write version: the highest version that is stored, the
        baseline where rows without a tag exist, and latest only where there are no rows.

        Where a kind's code begins above its baseline, and nothing is stored, its floor is recorded (`Kind.floor`).

        Raises:
            FloorMismatchError: The code lacks steps that rows need, or may come to need: rows stand below its floor,
                the recorded floor is lower, or none is recorded and there are rows.
            NodeRefusedError: The fleet does not admit this node (`FleetSkewError`: it is too far from another one).
            RecordFormatError: The records are those of another release of docstore.
            StoreUnavailableError, StoreRejectedError: The database.
        """
        if self._floors is not None:
            await self._floors.refuse()
        await self._gate.open()

    async def close(self) -> None:
        """
        Leave the fleet, and stop what runs in the background.

        Writes that are under way get up to five seconds, and so do rows that wait to be written back. Doing so twice
        is no mistake. Rows can be read afterwards; who was in a fleet does not write (`StoreClosedError`) until it is
        opened again, and nobody writes back. How often older versions were asked for is recorded up to here.
        """
        await self._asked.close(timeout=CLOSE_TIMEOUT)
        if self._write_back is not None:
            await self._write_back.close(timeout=CLOSE_TIMEOUT)
        if not isinstance(self._member, Alone):
            await self._gate.close(timeout=CLOSE_TIMEOUT)

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _by_name(kinds: Sequence[Kind[Any]]) -> dict[str, Kind[Any]]:
    by_name: dict[str, Kind[Any]] = {}
    by_collection: dict[str, Kind[Any]] = {}
    for kind in kinds:
        if kind.name in by_name:
            raise StepContentError(reason="has the name of another kind: names are unique", kind=kind.name)
        other = by_collection.get(kind.collection)
        if other is not None:
            raise CollectionSharedError(collection=kind.collection, first=other.name, second=kind.name)
        by_name[kind.name] = kind
        by_collection[kind.collection] = kind
    return by_name
