"""The store: the kinds that a service works with, on one database."""

from collections.abc import Sequence
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from docstore.core.document import Document
from docstore.core.kind import Kind
from docstore.errors import CollectionSharedError, StepContentError, UnknownKindError
from docstore.mongo.client_versions import ClientVersions
from docstore.mongo.driver import AnyDatabase, driver_of
from docstore.store.client_versions import AskedVersions
from docstore.store.collection import Collection
from docstore.store.pauses import Pause, jittered
from docstore.store.write_back import WriteBack, WriteBackStatistics

D = TypeVar("D", bound=Document)

#: How long `close` waits for rows that are still to be written back, in seconds.
CLOSE_TIMEOUT: Final = 5.0


class Store:
    """
    The kinds of one database, as a service uses them.

    Opening a store makes no call and builds no index. The database object stays the caller's: closing the store does
    not close its client. A store belongs to the event loop of that client. Without *write_back*, and as long as nobody
    asks for documents in older versions, nothing runs in the background, and the store need not be closed.

    Args:
        database: A database of Motor, PyMongo Async or mongomock-motor.
        kinds: The kinds; each has a collection of its own.
        service: What the process calls itself, for people who look at the fleet.
        write_back: Store rows that a read has upgraded, in the background, under the guard. Reads are not delayed
            and do not fail by it; under pressure such rows are left as they are.
        pause: How to wait before a write that met a conflict is tried again; up to 64 milliseconds by default.

    Raises:
        CollectionSharedError: Two kinds name the same collection.
        StepContentError: Two kinds have the same name.
        TypeError: *database* is none of the three (one of synchronous PyMongo, for example).
    """

    def __init__(
        self,
        database: AnyDatabase,
        kinds: Sequence[Kind[Any]],
        *,
        service: str,
        write_back: bool = False,
        pause: Pause | None = None,
    ) -> None:
        driver_of(database)
        self.service = service
        self._kinds = _by_name(kinds)
        self._write_back = WriteBack() if write_back else None
        self._asked = AskedVersions(ClientVersions(database))
        waiting = jittered(Random()) if pause is None else pause  # noqa: S311 - writers only have to drift apart
        self._collections = {
            kind.name: Collection(
                database, kind, pause=waiting, write_back=self._write_back, kinds=kinds, asked=self._asked
            )
            for kind in kinds
        }

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

    async def close(self) -> None:
        """
        Stop what runs in the background; rows that wait to be written back get up to five seconds.

        Doing so twice is no mistake. Rows can be read and written afterwards, but are no longer written back. How
        often older versions were asked for is recorded up to here.
        """
        await self._asked.close(timeout=CLOSE_TIMEOUT)
        if self._write_back is not None:
            await self._write_back.close(timeout=CLOSE_TIMEOUT)

    async def __aenter__(self) -> Self:
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
