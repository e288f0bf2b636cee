"""
A node over every driver and server, and what it does when something is away.
"""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from docstore.core.fleet_facts import Lifetime
from docstore.errors import StaleNodeError, StoreRejectedError, StoreUnavailableError
from docstore.fleet import listening
from docstore.fleet.membership import Alone, Membership
from docstore.fleet.node import Node
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.node_records import NodeRecords
from tests.integration.fleet.conftest import FAST, STEADY, Nodes, move_clock, until
from tests.kinds import place_kind

ROOT = Path(__file__).parents[3]

#: Opens a node that lives as long as the tests' own, says so, and stays.
PROCESS = """
import asyncio, sys
from pymongo import AsyncMongoClient
from docstore.fleet.node import Node
from tests.integration.fleet.conftest import FAST
from tests.kinds import place_kind

async def main():
    async with AsyncMongoClient(sys.argv[1]) as client:
        await Node(client[sys.argv[2]], [place_kind(latest=3)], service="jobs", instance="pod", life=FAST).open()
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_node_on_motor_follows_by_heartbeats_and_by_a_stream(nodes: Nodes, motor_database: Any) -> None:
    await nodes.rows(2)
    slow = Lifetime(beat=30.0, dead_after=100.0)
    polling = Node(motor_database, [place_kind(latest=3)], service="api", life=STEADY, streams=False)
    hearing = Node(motor_database, [place_kind(latest=3)], service="api", life=slow)
    async with AsyncExitStack() as closing:
        for node in (polling, hearing):
            closing.push_async_callback(node.close)
            await node.open()
        await nodes.rollouts().advance(place_kind(latest=3))

        await until(lambda: _stores([polling, hearing], 3))
    assert (await nodes.fleet()).nodes == ()


async def _stores(opened: list[Node], version: int) -> bool:
    return all(node.version_for("place", 1) == version for node in opened)


async def test_without_change_streams_a_node_polls(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none(_: Any) -> Any:
        raise StoreRejectedError(reason="not a replica set", code=40573)
        yield

    monkeypatch.setattr(listening, "control_changes", none)
    await nodes.rows(2)
    node = await nodes.open(3, streams=True)

    await nodes.rollouts().advance(place_kind(latest=3))

    await until(lambda: _stores([node], 3))


async def test_a_node_that_loses_the_database_stops_writing_and_returns_by_itself(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.rows(2)
    node = await nodes.open(3, life=FAST)

    async def away(_: ControlRecords) -> Any:
        raise StoreUnavailableError(reason="away")

    with monkeypatch.context() as patch:
        patch.setattr(ControlRecords, "view", away)
        await until(lambda: _fenced(node))
        with pytest.raises(StaleNodeError) as caught:
            node.writing("place")
        assert caught.value.silent >= FAST.fence_after
        assert node.seconds_to_write < FAST.dead_after - FAST.fence_after
        await asyncio.sleep(FAST.dead_after)

    await until(lambda: _free(node))
    await until(lambda: _live(nodes))


async def _fenced(node: Node) -> bool:
    return not await _free(node)


async def _free(node: Node) -> bool:
    try:
        node.may_write()
    except StaleNodeError:
        return False
    return True


async def test_a_heartbeat_counts_from_when_it_was_sent(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    await nodes.rows(2)
    node = await nodes.open(3, life=Lifetime(beat=60.0, dead_after=300.0))
    beat = NodeRecords.beat

    async def late(records: NodeRecords, *what: Any) -> bool:
        move_clock(node, 100.0)
        return await beat(records, *what)

    monkeypatch.setattr(NodeRecords, "beat", late)
    move_clock(node, 60.0)
    await node._look_and_beat()

    # It was 160 before.
    assert 100.0 <= node.heartbeat_age < 160.0


async def test_a_process_that_is_stopped_and_goes_on_is_admitted_anew_and_one_that_is_killed_is_named(
    nodes: Nodes, mongod_uri: str
) -> None:
    await nodes.rows(2)
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, mongod_uri, nodes.database.name],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "open\n"
        await until(lambda: _live(nodes))
        process.send_signal(signal.SIGSTOP)
        await until(lambda: _none_live(nodes))
        process.send_signal(signal.SIGCONT)
        await until(lambda: _live(nodes))
    finally:
        process.kill()
        process.communicate()

    await until(lambda: _none_live(nodes))
    assert [(node.service, node.instance) for node in (await nodes.fleet()).unclean("place")] == [("jobs", "pod")]


async def _live(nodes: Nodes) -> bool:
    return any((await nodes.fleet()).live())


async def _none_live(nodes: Nodes) -> bool:
    return not await _live(nodes)


async def test_a_node_that_gives_up_opening_leaves_no_trace(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: ControlRecords) -> None:
        raise StoreUnavailableError(reason="away")

    monkeypatch.setattr(ControlRecords, "count_join", away)

    with pytest.raises(StoreUnavailableError):
        await nodes.open(3)

    assert (await nodes.fleet()).nodes == ()


async def test_a_process_alone_stores_the_latest_version(nodes: Nodes) -> None:
    alone: Membership = Alone([place_kind(latest=3)])
    member: Membership = await nodes.open(3)

    await alone.open()
    alone.may_write()
    with alone.writing("place") as control, member.writing("place") as same:
        assert control.version_for(1) == same.version_for(1) == alone.version_for("place", 1) == 3
    assert alone.knob("search", default=5) == 5
    assert alone.seconds_to_write > STEADY.dead_after >= member.seconds_to_write > 0
    await alone.close()
