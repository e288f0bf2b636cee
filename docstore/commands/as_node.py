"""
A process that carries out a command, as a node of the fleet: others see it, and it follows what is to be stored.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from docstore.backfill.patience import LAST_WORDS, patiently
from docstore.core.fleet_facts import Policy
from docstore.core.kind import Kind
from docstore.fleet.membership import Alone, Membership
from docstore.fleet.node import Node
from docstore.mongo.driver import AnyDatabase, Driver, driver_of


def member_of(
    database: AnyDatabase, kinds: Sequence[Kind[Any]], *, service: str, rewrites: bool = False
) -> Membership:
    """
    Return this process as a node, not yet open.

    Who *rewrites* rows in masses hears of changes by heartbeats only: for a change stream the server looks at every
    write that is made, so it would cost about a quarter of what each rewrite costs.

    It settles no write version, which is for services to do, and it joins even where it is not admitted: it never
    reads rows that it cannot read, nor stores any above the write version. Others count with it like with any node.
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
        begins=False,
        closing=LAST_WORDS,
    )


@asynccontextmanager
async def as_node(
    database: AnyDatabase, kind: Kind[Any], *, service: str, rewrites: bool = False
) -> AsyncIterator[Membership]:
    """
    Be a node for the time of a command; of one that *rewrites* rows in masses, for example.

    Raises:
        StoreUnavailableError: The database stayed away for a minute.
        StoreRejectedError: It refuses what a node needs.
    """
    member = member_of(database, [kind], service=service, rewrites=rewrites)
    try:
        await patiently(member.open)
        yield member
    finally:
        await member.close()
