"""
Nodes on a real server, which beat ten times in a second. Those that have to die are dead after two seconds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from docstore.core.fleet_facts import Fleet, Lifetime
from docstore.core.write_version import ControlState, StoredRows
from docstore.fleet.node import Node
from docstore.fleet.operating import Rollouts
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.row_ends import row_ends
from tests.kinds import place_kind

#: A busy machine does not make such a node seem dead.
STEADY: Final = Lifetime(beat=0.1, dead_after=30.0)
FAST: Final = Lifetime(beat=0.1, dead_after=2.0)


@dataclass
class Nodes:
    """
    Opens nodes of any release on one database, and looks at the records.
    """

    database: Any
    opened: list[Node] = field(default_factory=list)

    async def open(self, latest: int, *, floor: int = 1, patience: float = 0.0, **options: Any) -> Node:
        """
        Open a node whose code ends at *latest*.
        """
        node = Node(
            self.database,
            [place_kind(floor=floor, latest=latest)],
            **{"service": "api", "life": STEADY, "streams": False, "patience": patience, **options},
        )
        self.opened.append(node)
        await node.open()
        return node

    async def fleet(self) -> Fleet:
        """
        Return who is there.
        """
        view = await ControlRecords(self.database).settled_view()
        return Fleet(await NodeRecords(self.database).all(), view.readers)

    async def control(self) -> ControlState:
        """
        Return what the kind is stored at.
        """
        return (await ControlRecords(self.database).settled_view()).controls["place"]

    async def ends(self) -> StoredRows:
        """
        Return where rows stand.
        """
        return await row_ends(self.database, collection="places", field="schema_version", baseline=1)

    def rollouts(self) -> Rollouts:
        """
        Return an operator's hands.
        """
        return Rollouts(self.database, by="operator")

    async def rows(self, *versions: int | None) -> None:
        """
        Store rows at versions; None stands for one without a tag.
        """
        rows = [{"name": "x"} if version is None else {"schema_version": version} for version in versions]
        await self.database.places.insert_many(rows)


def vanish(node: Node) -> None:
    """
    Stop a node's heartbeats, as a process does that hangs or was killed.
    """
    for task in node._tasks:
        task.cancel()


async def silent(database: Any, node: Node, seconds: float) -> None:
    """
    Have a node send no heartbeat any more, and have so much time passed since its last one.

    Its clock is moved on, and then its record: nobody waits, and no slow machine makes anybody else seem dead.
    """
    vanish(node)
    await asyncio.gather(*node._tasks, return_exceptions=True)
    move_clock(node, seconds)
    await move_record(database, node, seconds)


def move_clock(node: Node, seconds: float) -> None:
    """
    Have time passed for a node.
    """
    clock = node._clock
    node._clock = node._joining._clock = lambda: clock() + seconds


async def move_record(database: Any, node: Node, seconds: float) -> None:
    """
    Have time passed for others since they heard of a node.
    """
    earlier = {"$subtract": ["$seen", round(seconds * 1000)]}
    await database.docstore_nodes.update_one({"_id": node.who.id}, [{"$set": {"seen": earlier}}])


async def until(holds: Callable[[], Awaitable[Any]], *, seconds: float = 60.0) -> Any:
    """
    Wait until something holds, and return what it gave.
    """
    end = time.monotonic() + seconds
    while not (found := await holds()):
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)
    return found


@pytest.fixture
async def nodes(database: Any) -> AsyncIterator[Nodes]:
    """
    Nodes on the test's own database; those that are open at the end are closed.
    """
    made = Nodes(database)
    yield made
    for node in made.opened:
        await node.close()
