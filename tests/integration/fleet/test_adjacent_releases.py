"""
The records of the fleet, as the next release of docstore would write them: what it adds is left alone, and what it
changes is refused by name.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from docstore.core.fleet_facts import DeclaredReader, Lifetime
from docstore.core.write_version import StoredRows, VersionRange
from docstore.errors import RecordFormatError, StaleNodeError, StoreUnavailableError
from docstore.fleet.controls import FleetControls
from docstore.fleet.rollout_status import rollout_statuses
from docstore.fleet.status import fleet_status
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.node_records import NodeRecords
from tests.integration.fleet.conftest import Nodes, until
from tests.kinds import place_kind

NEW = place_kind(latest=3)
ADDED = {"of_the_next_release": {"a": 1}}


async def at_two() -> StoredRows:
    return StoredRows(2, 2)


def reader(service: str) -> DeclaredReader:
    return DeclaredReader(service, "place", VersionRange(1, 3), by="me")


async def control(nodes: Nodes, record: str) -> dict[str, Any]:
    found: dict[str, Any] = await nodes.database.docstore_control.find_one({"_id": record})
    return found


async def test_operators_and_nodes_keep_what_the_next_release_adds(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3)
    controls = FleetControls(nodes.database, by="operator")
    await controls.declare(reader("nightly"), at_two)
    await controls.declare(reader("java"), at_two)
    await controls.turn("search", {"a.b": 1, "$c": [2]})
    await controls.freeze("incident")
    database = nodes.database
    await database.docstore_control.update_many({}, {"$set": ADDED})
    await database.docstore_control.update_one(
        {"_id": "fleet"}, {"$set": {"freeze.of_the_next_release": 1, "readers.$[].of_the_next_release": 1}}
    )
    await database.docstore_nodes.update_many({}, {"$set": ADDED})
    await database.docstore_history.update_many({}, {"$set": ADDED})
    await database.docstore_control.insert_one({"_id": "another:record", "format": 7})

    assert len((await fleet_status(database)).nodes) == 1
    assert (await ControlRecords(database).view()).freeze is not None
    await controls.unfreeze()
    await controls.forget("java")
    await controls.declare(reader("weekly"), at_two)
    await controls.turn("search", {"a.b": 2, "$c": []})
    await nodes.rollouts().canary(NEW, 5.0)
    await nodes.rollouts().advance(NEW)
    await until(lambda: _stores(node, 3))
    await NodeRecords(database).put((await NodeRecords(database).all())[0])
    await nodes.open(3, instance="another")

    assert node.knob("search", None) == {"a.b": 2, "$c": []}
    assert (await control(nodes, "knob:search")).items() >= {**ADDED, "value": {"a.b": 2, "$c": []}}.items()
    assert (await control(nodes, "kind:place")).items() >= {**ADDED, "write_version": 3, "canary": None}.items()
    fleet = await control(nodes, "fleet")
    assert fleet["of_the_next_release"] == {"a": 1}
    assert [(each["service"], each.get("of_the_next_release")) for each in fleet["readers"]] == [
        ("nightly", 1),
        ("weekly", None),
    ]
    assert (await database.docstore_nodes.find_one({"_id": node.who.id})).keys() >= ADDED.keys()
    assert len(await ControlRecords(database).history(limit=50)) == 11


async def test_a_change_that_the_next_release_left_half_done_is_carried_out_as_it_wrote_it(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await nodes.rows(2)
    await nodes.open(3)
    await nodes.database.docstore_control.update_many({}, {"$set": ADDED})

    async def died(*_: Any) -> None:
        raise StoreUnavailableError(reason="died")

    with monkeypatch.context() as patch:
        patch.setattr(ControlRecords, "_carry_out", died)
        with pytest.raises(StoreUnavailableError):
            await nodes.rollouts().advance(NEW)
    more = {"pending.of_the_next_release": 1, "pending.document.added_later": 2, "pending.entry.added_later": 3}
    await nodes.database.docstore_control.update_one({"_id": "fleet"}, {"$set": more})

    (before,) = await rollout_statuses(nodes.database, [NEW])
    entries = await ControlRecords(nodes.database).history(kind="place", limit=5)

    assert before.write_version == 3
    assert entries[-1]["added_later"] == 3
    assert (await control(nodes, "kind:place")).items() >= {**ADDED, "write_version": 3, "added_later": 2}.items()


Ask = Callable[[Nodes], Awaitable[object]]
CONTROL: dict[str, Ask] = {
    "status": lambda nodes: fleet_status(nodes.database),
    "advance": lambda nodes: nodes.rollouts().advance(NEW),
    "turn": lambda nodes: FleetControls(nodes.database, by="me").turn("search", 2),
    "declare": lambda nodes: FleetControls(nodes.database, by="me").declare(reader("nightly"), at_two),
    "open": lambda nodes: nodes.open(3, instance="another"),
    "history": lambda nodes: ControlRecords(nodes.database).history(limit=5),
}
NODES: dict[str, Ask] = {
    "all": lambda nodes: NodeRecords(nodes.database).all(),
    "status": lambda nodes: fleet_status(nodes.database),
    "advance": lambda nodes: nodes.rollouts().advance(NEW),
    "open": lambda nodes: nodes.open(3, instance="another"),
}
UNKNOWN = [
    pytest.param(f"docstore_{collection}", only, ask, id=f"{record}-{name}")
    for record, collection, only, asks in (
        ("fleet", "control", {"_id": "fleet"}, CONTROL),
        ("kind", "control", {"_id": "kind:place"}, CONTROL),
        ("knob", "control", {"_id": "knob:search"}, CONTROL),
        ("node", "nodes", {}, NODES),
        ("entry", "history", {}, {"history": CONTROL["history"]}),
    )
    for name, ask in asks.items()
]


@pytest.mark.parametrize("found", [2, None])
@pytest.mark.parametrize(("collection", "only", "ask"), UNKNOWN)
async def test_a_record_of_an_unknown_format_is_refused_by_name_and_left_as_it_is(
    nodes: Nodes, collection: str, only: dict[str, Any], ask: Ask, found: int | None
) -> None:
    await nodes.rows(2)
    # Its heartbeats would change its own record.
    await nodes.open(3, life=Lifetime(beat=60.0, dead_after=300.0))
    await FleetControls(nodes.database, by="me").turn("search", 1)
    records = nodes.database[collection]
    field = "schema_version" if collection == "docstore_history" else "format"
    await records.update_many(only, {"$set": {field: found}})
    before = [each async for each in records.find(only, sort=[("_id", 1)])]

    with pytest.raises(RecordFormatError) as caught:
        await ask(nodes)

    assert (caught.value.found, caught.value.known) == (found, 1)
    those = {"_id": {"$in": [each["_id"] for each in before]}}
    assert [each async for each in records.find(those, sort=[("_id", 1)])] == before


async def test_a_node_whose_control_record_it_does_not_know_any_more_says_so_and_stops_writing(nodes: Nodes) -> None:
    await nodes.rows(2)
    node = await nodes.open(3, life=Lifetime(beat=0.1, dead_after=1.0))

    with capture_logs() as logs:
        await nodes.database.docstore_control.update_one({"_id": "kind:place"}, {"$set": {"format": 2}})
        await until(lambda: _refused(node))

    assert {"event": "heartbeat failed", "reason": "RecordFormatError"}.items() <= logs[0].items()
    await nodes.database.docstore_control.update_one({"_id": "kind:place"}, {"$set": {"format": 1}})
    await until(lambda: _writes(node))


async def _stores(node: Any, version: int) -> bool:
    await asyncio.sleep(0)
    return bool(node.control("place").write_version == version)


async def _refused(node: Any) -> bool:
    return not await _writes(node)


async def _writes(node: Any) -> bool:
    try:
        node.may_write()
    except StaleNodeError:
        return False
    return True
