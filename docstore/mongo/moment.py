"""One moment: several reads that see the database as it was at one and the same time."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from docstore.errors import StoreRejectedError
from docstore.mongo.driver import AnyDatabase, AnySession, open_collection, settled, snapshot_session
from docstore.mongo.failures import translated
from docstore.mongo.reading import RowSource

T = TypeVar("T")

#: The server's "that moment cannot be read (any more)", just after an index was built for example. The next one can.
_MOMENT_GONE: Final = frozenset({239, 246})
_MOMENTS: Final = 3
#: IllegalOperation, NotAReplicaSet: a standalone server.
_NO_MOMENTS: Final = frozenset({20, 123})


class Reads(Enum):
    """What holds the reads together."""

    SNAPSHOT = "snapshot"
    #: A transaction of the user's; a transaction cannot run every stage.
    TRANSACTION = "transaction"
    #: Nothing: a standalone server, where each read sees what is there when it runs.
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Moment:
    """The session to read in, and what it guarantees."""

    session: AnySession | None
    reads: Reads


async def enter_moment(
    stack: AsyncExitStack,
    source: RowSource,
    session: AnySession | None,
    look: Callable[[AnySession | None], Awaitable[T]],
) -> tuple[Moment, T]:
    """
    Open a moment with a first look, and keep it open as long as *stack*.

    The user's session is the moment if it is in a transaction or reads a snapshot. Otherwise it is a snapshot of its
    own, which holds what a majority of the members has acknowledged; what the session has seen and written is waited
    for, and where writes are acknowledged by fewer members, so is the last write of all.

    Args:
        stack: Where the moment ends.
        source: The collection that is read.
        session: The user's session, if there is one.
        look: The first read. It is repeated where the server had to give a moment up.
    """
    if session is not None and session.in_transaction:
        return Moment(session, Reads.TRANSACTION), await look(session)
    if session is not None and session.options.snapshot:
        return Moment(session, Reads.SNAPSHOT), await look(session)
    await _wait_for_majority(source, session)
    for left in reversed(range(_MOMENTS)):
        async with AsyncExitStack() as opening:
            own = await opening.enter_async_context(snapshot_session(source.database))
            try:
                seen = await look(own)
            except StoreRejectedError as error:
                if error.code in _NO_MOMENTS:
                    break
                if error.code not in _MOMENT_GONE or not left:
                    raise
            else:
                await stack.enter_async_context(opening.pop_all())
                return Moment(own, Reads.SNAPSHOT), seen
    return Moment(session, Reads.NOTHING), await look(session)


async def _wait_for_majority(source: RowSource, session: AnySession | None) -> None:
    """Return when a snapshot shows what the caller may expect to see: its own writes."""
    concern = source.collection.write_concern.document.get("w", "majority")
    of_session = session is not None and session.options.causal_consistency and session.operation_time is not None
    if concern == "majority" and not of_session:
        return
    if not of_session:
        await wait_for_majority(source.database, source.name)
        return
    rows = open_collection(source.database, source.name, majority=True)
    with translated():
        await rows.find_one({}, {"_id": 1}, session=session)


async def wait_for_majority(database: AnyDatabase, collection: str) -> None:
    """
    Return when a majority of the members has acknowledged every write that was made before, whoever made it.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database, or it is no replica set.
    """
    rows = open_collection(database, collection, majority=True)
    with translated():
        async with await settled(database.client.start_session(causal_consistency=True)) as latest:
            # The answer carries the time of the last write; a majority read in the same session waits for it.
            await database.command("ping", session=latest)
            await rows.find_one({}, {"_id": 1}, session=latest)
