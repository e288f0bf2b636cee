"""
Several reads and writes as one: all of them happen, at one moment, or none.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from docstore.mongo.driver import AnyDatabase, AnySession, settled

T = TypeVar("T")

#: What a standalone server says of every transaction.
NO_TRANSACTIONS: Final = 20


async def in_transaction(
    database: AnyDatabase, session: AnySession | None, work: Callable[[AnySession], Awaitable[T]]
) -> T:
    """
    Run *work* in a transaction that reads a snapshot, again from its start if another writer was quicker.

    Args:
        database: Where; on a real server. A standalone one has no transactions.
        session: The user's session. Where it is in a transaction already, *work* is part of that one, and runs once.
        work: Gets the session to read and write in. It may run more than once.

    Raises:
        PyMongoError: As the driver raises it; the caller translates it.
    """
    if session is not None and session.in_transaction:
        return await work(session)
    if session is not None:
        return await _run(session, work)
    async with await settled(database.client.start_session()) as own:
        return await _run(own, work)


async def _run(session: AnySession, work: Callable[[AnySession], Awaitable[T]]) -> T:
    result: T = await session.with_transaction(
        work,
        read_concern=ReadConcern("snapshot"),
        write_concern=WriteConcern("majority"),
        read_preference=ReadPreference.PRIMARY,
    )
    return result
