"""
Elections, pauses, and records that are gone: what must not make nodes store different things.
"""

from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from docstore.core.fleet_facts import DeclaredReader
from docstore.core.rollout_gates import Overrides
from docstore.core.rollout_state import RolloutState
from docstore.core.write_version import StoredRows, VersionRange
from docstore.errors import ReaderRefusedError
from docstore.fleet.controls import FleetControls
from docstore.fleet.node import Node
from docstore.mongo.control_records import ControlRecords
from tests.integration.fleet.conftest import STEADY, Nodes, until
from tests.kinds import place_kind

NEW = place_kind(latest=3)


class Finds(CommandListener):
    """
    How a client has read the control records.
    """

    def __init__(self) -> None:
        self.levels: list[str | None] = []

    def started(self, event: CommandStartedEvent) -> None:
        if event.command.get("find") == "docstore_control":
            self.levels.append(event.command.get("readConcern", {}).get("level"))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """
        Nothing to note.
        """

    def failed(self, event: CommandFailedEvent) -> None:
        """
        Nothing to note.
        """


async def test_nodes_follow_only_what_no_election_can_take_back(nodes: Nodes, mongod_uri: str) -> None:
    # Else a node holds on to a state that an election has undone, and takes the next state of that epoch for known.
    await nodes.rows(2)
    finds = Finds()
    async with AsyncMongoClient[dict[str, Any]](mongod_uri, event_listeners=[finds]) as client:
        node = Node(client[nodes.database.name], [NEW], service="api", life=STEADY, streams=False)
        await node.open()
        try:
            await nodes.rollouts().canary(NEW, 10.0)
            await until(lambda: _canaried(node))
        finally:
            await node.close()

    assert finds.levels
    assert set(finds.levels) == {"majority"}


async def _canaried(node: Node) -> bool:
    return node.control("place").canary is not None


async def test_a_node_outlives_an_error_that_nobody_foresaw(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    asked = 0

    async def broken(_: ControlRecords) -> Any:
        nonlocal asked
        asked += 1
        raise KeyError("a field that is not there")

    async def has_met_it() -> bool:
        return asked > 0

    with monkeypatch.context() as patch:
        patch.setattr(ControlRecords, "view", broken)
        await until(has_met_it)

    await nodes.rollouts().advance(NEW)
    await until(lambda: _stores(node, 3))


async def _stores(node: Node, version: int) -> bool:
    return node.version_for("place", 1) == version


async def test_a_node_that_comes_back_has_not_acknowledged_what_its_writes_were_not_decided_by(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    await nodes.rollouts().advance(NEW)
    await until(lambda: _stores(node, 3))

    with node.writing("place") as decided:
        assert decided.write_version == 3
        # As when others took it for dead: it has to ask for admission anew.
        await nodes.database.docstore_nodes.delete_many({})
        await nodes.rollouts().rollback("place", overrides=Overrides(no_fleet=True))
        await until(lambda: _live_at(nodes, node, 2))
        assert [late.id for late in (await nodes.fleet()).late(await nodes.control())] == [node.who.id]

    await until(lambda: _settled(nodes))


async def _live_at(nodes: Nodes, node: Node, version: int) -> bool:
    live = [each.id for each in (await nodes.fleet()).live()]
    return live == [node.who.id] and await _stores(node, version)


async def _settled(nodes: Nodes) -> bool:
    return (await nodes.fleet()).settled(await nodes.control())


async def test_a_reader_is_held_against_rows_that_came_while_it_was_declared(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    looked = 0

    async def look() -> StoredRows:
        nonlocal looked
        looked += 1
        seen = await nodes.ends()
        if looked == 1:
            # A whole rollout and its rollback, after the rows were looked at.
            await nodes.rollouts().canary(NEW, 100.0)
            await until(lambda: _stores(node, 3))
            await nodes.rows(3)
            await nodes.rollouts().rollback("place")
            await until(lambda: _settled(nodes))
        return seen

    reader = DeclaredReader("nightly", "place", VersionRange(1, 2), by="me")
    with pytest.raises(ReaderRefusedError) as caught:
        await FleetControls(nodes.database, by="operator").declare(reader, look)

    assert [blocker["facts"]["row"] for blocker in caught.value.blockers] == [3]


async def test_a_change_is_made_also_where_the_record_of_the_fleet_was_lost(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    for percent in (1.0, 2.0, 3.0):
        await nodes.rollouts().canary(NEW, percent)
    await nodes.database.docstore_control.delete_one({"_id": "fleet"})

    advanced = await nodes.rollouts().advance(NEW)

    assert advanced == await nodes.control()
    assert advanced.state is RolloutState.OPEN
    await until(lambda: _stores(node, 3))
