"""
What operators do, and how it reaches the nodes.
"""

import asyncio
import time
from typing import Any

import pytest

from docstore.core.blocker import Cause
from docstore.core.control_view import Change
from docstore.core.fleet_facts import DeclaredReader, Lifetime, NodeFacts
from docstore.core.rollout_state import RolloutState
from docstore.core.write_version import ControlState, StoredRows, VersionRange
from docstore.errors import (
    IllegalTransitionError,
    NodeRefusedError,
    NotInFleetError,
    ReaderRefusedError,
    RolloutRefusedError,
    StoreUnavailableError,
)
from docstore.fleet.controls import FleetControls
from docstore.fleet.node import Node
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.row_ends import row_ends
from docstore.mongo.tag_index import build_tag_index
from tests.integration.fleet.conftest import Nodes, until
from tests.kinds import place_kind

NEW = place_kind(latest=3)


def causes(refused: "pytest.ExceptionInfo[RolloutRefusedError]") -> list[str]:
    return [blocker["cause"] for blocker in refused.value.blockers]


async def test_a_rollout_goes_its_way_and_every_node_follows(nodes: Nodes) -> None:
    await nodes.rows(2)
    first, second = await nodes.open(3), await nodes.open(3)
    rollouts = nodes.rollouts()

    await rollouts.canary(NEW, 100.0)
    await until(lambda: _stores([first, second], 3))
    await rollouts.advance(NEW)
    await rollouts.begin_backfill("place")
    await until(lambda: _settled(nodes))
    with pytest.raises(RolloutRefusedError) as caught:
        await rollouts.complete("place", StoredRows(2, 3))
    assert causes(caught) == [Cause.ROWS_LEFT]
    done = await rollouts.complete("place", StoredRows(3, 3))
    assert (done.state, done.write_version) == (RolloutState.COMPLETE, 3)

    await rollouts.rollback("place")
    await until(lambda: _stores([first, second], 2))
    await until(lambda: _settled(nodes))
    assert (await rollouts.complete("place", StoredRows(2, 2))).state is RolloutState.STABLE
    history = await ControlRecords(nodes.database).history(kind="place", limit=10)
    states = [entry["after"] for entry in history]
    assert states == ["stable", "canary", "open", "backfilling", "complete", "rolling_back", "stable"]
    assert all(entry["at"] and entry["reason"] for entry in history)


async def _stores(nodes: list[Any], version: int) -> bool:
    return all(node.version_for("place", 1) == version for node in nodes)


async def _settled(nodes: Nodes) -> bool:
    return (await nodes.fleet()).settled(await nodes.control())


async def test_of_two_operators_at_once_one_wins_and_the_other_is_told(nodes: Nodes) -> None:
    await nodes.rows(1)
    await nodes.open(3)
    kind = place_kind(latest=3)

    outcomes = await asyncio.gather(*(nodes.rollouts().advance(kind) for _ in range(4)), return_exceptions=True)

    refused = [outcome for outcome in outcomes if isinstance(outcome, RolloutRefusedError)]
    assert len(refused) == 3
    assert (await nodes.control()).write_version == 2


async def test_no_node_slips_in_while_an_operator_advances(nodes: Nodes) -> None:
    kind = place_kind(latest=3)
    await nodes.rows(2)
    keeper = await nodes.open(3)
    for _ in range(8):
        opened, moved = await asyncio.gather(nodes.open(2), nodes.rollouts().advance(kind), return_exceptions=True)

        if isinstance(opened, Node):
            assert isinstance(moved, RolloutRefusedError)
            await opened.close()
        else:
            assert isinstance(opened, NodeRefusedError)
            assert isinstance(moved, ControlState)
            await nodes.rollouts().rollback("place")
            await until(lambda: _settled(nodes))
            await nodes.rollouts().complete("place", StoredRows(2, 2))
    keeper.may_write()


async def test_an_operator_who_looked_before_a_node_joined_looks_again(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    real = ControlRecords.change

    async def late(self: ControlRecords, *seen: Any, **change: Any) -> bool:
        monkeypatch.setattr(ControlRecords, "change", real)
        await nodes.open(2)
        return await real(self, *seen, **change)

    monkeypatch.setattr(ControlRecords, "change", late)

    with pytest.raises(RolloutRefusedError) as caught:
        await nodes.rollouts().advance(NEW)

    assert causes(caught) == [Cause.NODE_CANNOT_READ]
    assert (await nodes.control()).write_version == 2


async def test_a_node_that_looked_before_an_operator_advanced_looks_again(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    real = NodeRecords.put

    async def late(self: NodeRecords, node: NodeFacts) -> None:
        monkeypatch.setattr(NodeRecords, "put", real)
        await nodes.rollouts().advance(NEW)
        await real(self, node)

    monkeypatch.setattr(NodeRecords, "put", late)

    with pytest.raises(NodeRefusedError) as caught:
        await nodes.open(2)

    assert [blocker["cause"] for blocker in caught.value.blockers] == [Cause.CANNOT_READ_WRITES]


async def test_a_change_whose_operator_died_half_way_is_carried_out_by_whoever_comes_next(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)

    async def died(*_: Any) -> None:
        raise StoreUnavailableError(reason="died")

    with monkeypatch.context() as patch:
        patch.setattr(ControlRecords, "_carry_out", died)
        with pytest.raises(StoreUnavailableError):
            await nodes.rollouts().advance(NEW)
        assert (await nodes.database.docstore_control.find_one({"_id": "kind:place"}))["write_version"] == 2
        # Nodes see it already.
        await until(lambda: _stores([node], 3))

    assert [entry["after"] for entry in await ControlRecords(nodes.database).history(kind="place", limit=5)] == [
        "stable",
        "open",
    ]
    assert (await nodes.database.docstore_control.find_one({"_id": "kind:place"}))["write_version"] == 3
    assert (await nodes.database.docstore_control.find_one({"_id": "fleet"}))["pending"] is None


async def test_a_change_that_is_carried_out_again_late_changes_nothing(nodes: Nodes) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    records = ControlRecords(nodes.database)
    await nodes.rollouts().canary(NEW, 10.0)
    document = await nodes.database.docstore_control.find_one({"_id": "kind:place"})
    change = Change(document["epoch"], "kind:place", document, {"about": "place"})
    await nodes.rollouts().canary(NEW, 20.0)
    await records._carry_out(change)

    control = await nodes.control()
    assert control.canary is not None
    assert control.canary.percent == 20.0


async def test_a_write_that_is_under_way_holds_back_the_acknowledgement(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    await nodes.rollouts().advance(NEW)
    await until(lambda: _stores([node], 3))

    with node.writing("place") as decided:
        assert decided.write_version == 3
        await nodes.rollouts().rollback("place")
        await until(lambda: _stores([node], 2))
        await asyncio.sleep(0.5)
        assert [late.id for late in (await nodes.fleet()).late(await nodes.control())] == [node.who.id]

    await until(lambda: _settled(nodes))


async def test_a_flip_reaches_every_node_by_a_change_stream_long_before_its_next_heartbeat(nodes: Nodes) -> None:
    await nodes.rows(2)
    slow = Lifetime(beat=30.0, dead_after=100.0)
    opened = [await nodes.open(3, streams=True, life=slow) for _ in range(5)]
    await asyncio.sleep(0.3)

    began = time.monotonic()
    await nodes.rollouts().advance(NEW)
    await until(lambda: _stores(opened, 3))

    assert time.monotonic() - began < slow.beat
    await until(lambda: _settled(nodes))


async def test_a_freeze_stops_everything_but_a_rollback(nodes: Nodes) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    await nodes.rollouts().canary(NEW, 1.0)
    controls = FleetControls(nodes.database, by="operator")
    await controls.turn("search", value=1)

    await controls.freeze("incident")
    await controls.freeze("again")

    with pytest.raises(RolloutRefusedError) as caught:
        await nodes.rollouts().advance(NEW)
    assert causes(caught) == [Cause.FROZEN]
    with pytest.raises(RolloutRefusedError):
        await controls.turn("search", value=2)
    await nodes.rollouts().rollback("place")
    await controls.unfreeze()
    await controls.turn("search", value=2)
    about = [entry["_id"]["control"] for entry in await ControlRecords(nodes.database).history(limit=20)]
    assert about == ["place", "place", "knob:search", "freeze", "place", "freeze", "knob:search"]


async def test_a_declared_reader_blocks_until_it_is_forgotten(nodes: Nodes) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    controls = FleetControls(nodes.database, by="operator")
    await controls.declare(DeclaredReader("nightly", "place", VersionRange(1, 2), by="me"), nodes.ends)
    with pytest.raises(ReaderRefusedError):
        await controls.declare(DeclaredReader("java", "place", VersionRange(1, 1), by="me"), nodes.ends)

    with pytest.raises(RolloutRefusedError) as caught:
        await nodes.rollouts().advance(NEW)
    assert causes(caught) == [Cause.READER_CANNOT_READ]
    await controls.forget("nightly")

    assert (await nodes.rollouts().advance(NEW)).write_version == 3
    with pytest.raises(NotInFleetError):
        await controls.forget("nightly")


async def test_knobs_are_pushed_and_divide_keys(nodes: Nodes) -> None:
    node = await nodes.open(3)
    controls = FleetControls(nodes.database, by="operator")
    assert node.knob("search", default=False) is False

    await controls.turn("search", value=True)
    await until(lambda: _knob(node))
    await controls.turn("search", value=True, percent=50.0)
    await until(lambda: _divided(node))


async def _knob(node: Any) -> bool:
    return bool(node.knob("search", default=False))


async def _divided(node: Any) -> bool:
    return {node.knob("search", default=False, key=key) for key in range(50)} == {True, False}


async def test_what_cannot_follow_is_refused(nodes: Nodes) -> None:
    with pytest.raises(NotInFleetError):
        await nodes.rollouts().rollback("place")
    await nodes.open(3)
    with pytest.raises(RolloutRefusedError) as caught:
        await nodes.rollouts().rollback("place")
    assert causes(caught) == [Cause.WRONG_STATE]
    with pytest.raises(IllegalTransitionError):
        await nodes.rollouts().begin_backfill("place")
    with pytest.raises(RolloutRefusedError) as caught:
        await nodes.rollouts().advance(NEW)
    # Nobody reads version 4, and nobody here has the step.
    assert causes(caught) == [Cause.NODE_CANNOT_READ, Cause.UNKNOWN_STEP]


@pytest.mark.parametrize("indexed", [False, True])
async def test_the_ends_of_the_rows_are_found(nodes: Nodes, *, indexed: bool) -> None:
    if indexed:
        await build_tag_index(nodes.database, "places", "schema_version")
    odd: list[Any] = [4.5, "9", [7], float("inf"), 0, -1, True]
    await nodes.database.places.insert_many([{"schema_version": tag} for tag in [2, 3.0, *odd]])

    async def ends() -> StoredRows:
        return await row_ends(nodes.database, collection="places", field="schema_version", baseline=1)

    assert await ends() == StoredRows(2, 3)
    await nodes.rows(None)
    assert await ends() == StoredRows(1, 3, untagged=True)


@pytest.mark.parametrize("percent", [-0.1, 100.1, float("nan"), float("inf")])
async def test_what_is_no_share_of_the_ids_is_refused(nodes: Nodes, percent: float) -> None:
    await nodes.rows(2)
    await nodes.open(3)

    with pytest.raises(ValueError, match="0 to 100"):
        await nodes.rollouts().canary(NEW, percent)
    with pytest.raises(ValueError, match="0 to 100"):
        await FleetControls(nodes.database, by="operator").turn("search", value=True, percent=percent)
    assert (await nodes.control()).state is RolloutState.STABLE
