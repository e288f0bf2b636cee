"""
Who is admitted, as the records of a real database decide it.
"""

import asyncio
from typing import Any

import pytest

from docstore.core.blocker import Cause
from docstore.core.fleet_facts import DeclaredReader, Lifetime, Policy
from docstore.core.rollout_gates import Overrides
from docstore.core.write_version import VersionRange
from docstore.errors import FleetSkewError, NodeRefusedError, RecordFormatError, StaleNodeError
from docstore.fleet.controls import FleetControls
from docstore.fleet.node import Node
from tests.integration.fleet.conftest import STEADY, Nodes, silent, until, vanish

#: No machine hangs for so long.
LONG = Lifetime(beat=0.1, dead_after=300.0)


@pytest.mark.parametrize(
    ("rows", "expected"), [((), 3), ((1, 2), 2), ((3,), 3), ((None,), 1), ((None, 2), 1), ((2, 2), 2)]
)
async def test_the_first_node_takes_the_write_version_from_the_rows(
    nodes: Nodes, rows: tuple[int | None, ...], expected: int
) -> None:
    if rows:
        await nodes.rows(*rows)

    node = await nodes.open(3)

    assert node.version_for("place", 1) == expected
    assert (await nodes.control()).write_version == expected
    # What it takes it stays at, whatever is stored later.
    assert (await nodes.open(3)).version_for("place", 1) == expected


@pytest.mark.parametrize(("low", "high", "expected"), [(1, 2, 2), (2, 4, 3), (4, 4, None)])
async def test_the_first_node_stores_what_declared_readers_read(
    nodes: Nodes, low: int, high: int, expected: int | None
) -> None:
    reader = DeclaredReader("nightly", "place", VersionRange(low, high), by="me")
    await FleetControls(nodes.database, by="operator").declare(reader, nodes.ends)

    if expected is not None:
        assert (await nodes.open(3)).version_for("place", 1) == expected
        return
    with pytest.raises(NodeRefusedError) as caught:
        await nodes.open(3)
    assert [blocker["cause"] for blocker in caught.value.blockers] == [Cause.READER_CANNOT_READ]


async def test_many_nodes_that_open_at_once_are_all_admitted(nodes: Nodes) -> None:
    await nodes.rows(2)

    await asyncio.gather(*(nodes.open(2 + number % 2, patience=10.0) for number in range(10)))

    fleet = await nodes.fleet()
    assert len(list(fleet.live("place"))) == 10
    assert {node.kinds["place"].latest for node in fleet.live()} == {2, 3}


async def test_of_two_that_do_not_fit_together_only_one_is_admitted(nodes: Nodes) -> None:
    await nodes.rows(1)

    for _ in range(3):
        both = [asyncio.create_task(nodes.open(latest, patience=60.0)) for latest in (1, 3)]
        (first, *others), waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        # The other one asks again and again as long as the first is there.
        refused = await until(lambda: _waiting(nodes))
        assert (len(others), len(waiting), len(list((await nodes.fleet()).live()))) == (0, 1, 1)
        assert any("too far" in words for words in refused[0].waits_for)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        await first.result().close()
    await nodes.open(3)
    with pytest.raises(FleetSkewError):
        await nodes.open(1)


async def test_a_node_that_cannot_read_what_is_stored_is_refused_and_leaves_no_trace(nodes: Nodes) -> None:
    await nodes.rows(3)
    await nodes.open(3)

    with pytest.raises(NodeRefusedError) as caught:
        await nodes.open(2)

    assert {blocker["cause"] for blocker in caught.value.blockers} == {
        Cause.CANNOT_READ_WRITES,
        Cause.CANNOT_READ_ROWS,
    }
    assert len((await nodes.fleet()).nodes) == 1


async def test_a_floor_above_rows_without_a_tag_is_refused(nodes: Nodes) -> None:
    await nodes.rows(3, None)
    await nodes.open(3)

    with pytest.raises(NodeRefusedError) as caught:
        await nodes.open(3, floor=2)

    assert [blocker["cause"] for blocker in caught.value.blockers] == [Cause.FLOOR_ABOVE_ROWS]


async def test_a_node_waits_until_the_one_that_was_killed_is_dead(nodes: Nodes) -> None:
    await nodes.rows(1)
    gone = await nodes.open(3)
    vanish(gone)

    opening = asyncio.create_task(nodes.open(1, patience=60.0))
    waiting = await until(lambda: _waiting(nodes))
    assert "too far" in waiting[0].waits_for[0]
    await silent(nodes.database, gone, STEADY.dead_after)

    node = await opening
    assert node.version_for("place", 1) == 1


async def _waiting(nodes: Nodes) -> list[Any]:
    return [node for node in (await nodes.fleet()).nodes if not node.admitted]


async def test_a_node_that_only_warns_opens_all_the_same(nodes: Nodes) -> None:
    await nodes.rows(3)
    await nodes.open(3)

    await nodes.open(1, policy=Policy.WARN)

    assert len(list((await nodes.fleet()).live())) == 2


async def test_closing_removes_the_node_and_ends_its_writes(nodes: Nodes) -> None:
    node = await nodes.open(3)
    node.may_write()

    await node.close()
    await node.close()

    assert (await nodes.fleet()).nodes == ()
    with pytest.raises(StaleNodeError):
        node.may_write()


async def test_a_node_without_heartbeats_stops_writing_before_others_take_it_for_dead(nodes: Nodes) -> None:
    node = await nodes.open(3, life=LONG)

    await silent(nodes.database, node, LONG.fence_after)
    with pytest.raises(StaleNodeError) as caught:
        node.may_write()
    assert caught.value.limit == LONG.fence_after
    assert [facts.id for facts in (await nodes.fleet()).live()] == [node.who.id]
    await silent(nodes.database, node, LONG.dead_after - LONG.fence_after)
    assert [facts.id for facts in (await nodes.fleet()).live()] == []
    assert [facts.id for facts in (await nodes.fleet()).unclean()] == [node.who.id]


async def test_a_node_that_comes_back_is_admitted_anew(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3, life=LONG)
    await silent(nodes.database, node, LONG.dead_after)
    assert not list((await nodes.fleet()).live())

    await node._look_and_beat()

    node.may_write()
    assert len(list((await nodes.fleet()).live())) == 1


async def test_a_node_that_comes_back_too_old_reads_but_does_not_write_until_it_fits(nodes: Nodes) -> None:
    await nodes.rows(2)
    away = await nodes.open(2, instance="old", life=LONG)
    new = await nodes.open(3, instance="new")
    await silent(nodes.database, away, LONG.dead_after)
    await nodes.rollouts().advance(_kind(new), overrides=Overrides(ignored_nodes=frozenset({"old"})))

    await away._look_and_beat()

    with pytest.raises(StaleNodeError):
        away.may_write()
    await nodes.rollouts().rollback("place")
    await until(lambda: _settled(nodes))
    await away._look_and_beat()
    away.may_write()


async def _settled(nodes: Nodes) -> bool:
    return (await nodes.fleet()).settled(await nodes.control())


def _kind(node: Node) -> Any:
    return node._kinds[0]


async def test_records_of_an_unknown_format_are_neither_read_nor_written(nodes: Nodes, database: Any) -> None:
    await nodes.open(3)
    await database.docstore_control.update_one({"_id": "kind:place"}, {"$set": {"format": 2}})

    with pytest.raises(RecordFormatError) as caught:
        await nodes.open(3)

    assert (caught.value.record, caught.value.found) == ("kind:place", 2)
    await database.docstore_control.update_one({"_id": "kind:place"}, {"$set": {"format": 1}})
    await database.docstore_nodes.update_one({}, {"$set": {"format": 0}})
    with pytest.raises(RecordFormatError):
        await nodes.open(3)
