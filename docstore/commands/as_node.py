"""
A process that carries out a command, as a node of the fleet: others see it, and it follows what is to be stored.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from docstore.backfill.ending import Ending
from docstore.backfill.patience import patiently
from docstore.backfill.throttling import Throttling
from docstore.core.fleet_facts import Policy
from docstore.core.kind import Kind
from docstore.fleet.membership import Alone, Membership
from docstore.fleet.node import Node
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.leaving import LAST_WORDS


def member_of(
    database: AnyDatabase, kinds: Sequence[Kind[Any]], *, service: str, rewrites: bool = False, begins: bool = False
) -> Membership:
    """
    Return this process as a node, not yet open.

    Who *rewrites* rows in masses hears of changes by heartbeats only: for a change stream the server would look at
    each of these writes.

    It settles no write version (unless it *begins*), which is for services to do, and it joins even where it is not
    admitted: it never reads rows that it cannot read, nor stores any above the write version. Others count with it
    like with any node. Where its code lacks steps that rows need it does not join either.
    """
    driver = driver_of(database)
    if driver is Driver.MOCK:
        return Alone(kinds)
    streams = driver is not Driver.MOTOR and not rewrites
    return Node(
        database,
        kinds,
        service=service,
        policy=Policy.WARN,
        patience=0.0,
        streams=streams,
        begins=begins,
        closing=LAST_WORDS,
    )


@asynccontextmanager
async def as_node(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    service: str,
    ending: Ending | None = None,
    throttling: Throttling | None = None,
    begins: bool = False,
) -> AsyncIterator[Membership]:
    """
    Be a node for the time of a command.

    Args:
        database: A Motor or PyMongo Async database.
        kind: What the command is about.
        service: What the process calls itself.
        ending: By when it has left where it is told to stop.
        throttling: Begins to look at the server when the node has joined, and is closed together with it. Only
            commands that rewrite rows have one.
        begins: Settle the write version of the kind where it has none.

    Raises:
        FloorMismatchError: The code lacks steps that rows need, or may come to need.
        BackfillInterruptedError: The process was told to stop before it had joined.
        StoreUnavailableError: The database stayed away for a minute.
        StoreRejectedError: It refuses what a node needs.
    """
    ending = ending or Ending()
    member = member_of(database, [kind], service=service, rewrites=throttling is not None, begins=begins)
    try:
        await ending.or_interrupted(_joined(member), kind=kind.name)
        if throttling is not None:
            throttling.begin()
        yield member
    finally:
        await ending.leave(member.close(), *([] if throttling is None else [throttling.close()]))


async def _joined(member: Membership) -> Membership:
    await patiently(member.open)
    return member
