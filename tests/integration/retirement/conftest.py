"""
A kind whose rows may be retired below version 2, and processes that die in the midst of it.
"""

import datetime
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from docstore import commands
from docstore.core.coverage import ClientVersion
from docstore.core.floor_state import FloorState, Validation
from docstore.fleet.node import Node
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.fence import read_fence
from docstore.retirement.act import Retirements
from docstore.retirement.looking import Look, Looking
from tests.integration.fleet.conftest import STEADY
from tests.kinds import place_kind, stored

Database = AsyncDatabase[dict[str, Any]]
KIND: Final = place_kind(latest=2)
#: Calls that change something at the server.
_WRITES: Final = frozenset(
    {"insert", "update", "delete", "findAndModify", "collMod", "create", "drop", "createIndexes"}
)


class Died(BaseException):
    """
    The process is gone: nothing of it runs on.
    """


class Dying(CommandListener):
    """
    Ends whoever uses a client once the server has done so many of its writes.
    """

    def __init__(self, after: int) -> None:
        self.left = after

    def started(self, event: CommandStartedEvent) -> None:
        del event
        if self.left <= 0:
            raise Died

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self.left -= event.command_name in _WRITES
        if self.left <= 0:
            raise Died

    def failed(self, event: CommandFailedEvent) -> None:
        """
        A call that failed has written nothing.
        """


async def nobody(now: datetime.datetime) -> Sequence[ClientVersion]:
    """
    No client asks for an older version.
    """
    del now
    return ()


class Watched(Looking):
    """
    Does something after each look, before anything follows from it.
    """

    def __init__(self, database: Any, *then: Callable[[], Any] | None) -> None:
        super().__init__(database, KIND, asked=nobody)
        self.then = list(then)

    async def look(self, below: int) -> Look:
        """
        Look, then do what is next.
        """
        seen = await super().look(below)
        if self.then and (act := self.then.pop(0)) is not None:
            await act()
        return seen


def retirements(database: Any, *then: Callable[[], Any] | None, max_time_ms: int = 5_000) -> Retirements:
    """
    Return an operator's hands that do something after each look.
    """
    return Retirements(database, KIND, looking=Watched(database, *then), by="ann", max_time_ms=max_time_ms)


@dataclass
class Places:
    """
    The rows, the records and the nodes of the kind.
    """

    database: Database
    uri: str
    opened: list[Node] = field(default_factory=list)

    async def open(self, latest: int = 2, **options: Any) -> Node:
        """
        Open a node.
        """
        kind = place_kind(latest=latest)
        node = Node(
            self.database, [kind], **{"service": "api", "life": STEADY, "streams": False, "patience": 0.0, **options}
        )
        self.opened.append(node)
        await node.open()
        return node

    async def close(self) -> None:
        """
        Close every node.
        """
        while self.opened:
            await self.opened.pop().close()

    async def add(self, *versions: int | None) -> None:
        """
        Store rows, as somebody does who has never heard of docstore.
        """
        rows = [stored(version, name="Oslo") for version in versions]
        for row in rows:
            del row["_id"]
        await self.database["places"].insert_many(rows)

    async def floor(self) -> FloorState:
        """
        Return what is recorded.
        """
        return (await ControlRecords(self.database).settled_view()).floor_of("place")

    async def validation(self) -> Validation:
        """
        Return how the rows' collection is validated.
        """
        return (await read_fence(self.database, "places")).validation

    async def retire(self, **options: Any) -> commands.RetirementResult:
        """
        Retire what is below version 2, without a soak time unless one is given.
        """
        return await commands.retire(self.database, KIND, 2, **{"by": "ann", "soak": 0.0, **options})

    @asynccontextmanager
    async def dying(self, after: int) -> AsyncIterator[tuple[Database, Dying]]:
        """
        Give the same database to a process that dies after so many writes.
        """
        dying = Dying(after)
        client = AsyncMongoClient[dict[str, Any]](self.uri, event_listeners=[dying])
        try:
            yield client[self.database.name], dying
        finally:
            dying.left = 10**9
            await client.close()


@pytest.fixture
async def places(database: Database, mongod_uri: str) -> AsyncIterator[Places]:
    """
    Rows at version 2, and a node that stores them so.
    """
    made = Places(database, mongod_uri)
    await made.add(2, 2, 2)
    await made.open()
    yield made
    await made.close()
