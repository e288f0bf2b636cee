"""
Which stores open on which floors, and what is recorded of them.
"""

import asyncio
import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from docstore import Store, commands
from docstore.core.blocker import Cause
from docstore.core.floor_state import FLOOR_PREFIX, FenceRecord, FloorState, Proof
from docstore.core.write_version import ControlState
from docstore.drill.stage import Stage
from docstore.errors import FleetError, FloorMismatchError, NodeRefusedError, StaleNodeError
from docstore.mongo.collection_identity import collection_uuid
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.tag_index import build_tag_index
from tests.integration.fleet.conftest import Nodes, silent, until
from tests.kinds import Place, place_kind, stored

ENTRY = {"about": "place", "kind": "place", "before": None, "after": None, "reason": "r", "by": "b", "why": "w"}


async def recorded(database: Any) -> FloorState:
    return (await ControlRecords(database).settled_view()).floor_of("place")


async def record(database: Any, floor: int | None, **fields: Any) -> None:
    """
    Record a floor as a retirement does.
    """
    records = ControlRecords(database)
    view = await records.settled_view()
    state = view.floor_of("place").after(view.epoch + 1, floor=floor, **fields)
    assert await records.change(view, entry=ENTRY, record=(FLOOR_PREFIX + "place", state.stored()))


def store(database: Any, floor: int, **options: Any) -> Store:
    return Store(database, [place_kind(floor=floor)], service="api", **{"patience": 0.0, **options})


async def test_a_store_opens_at_the_recorded_floor_and_below_it(database: Any) -> None:
    await database.places.insert_many([stored(2, 1), stored(3, 2)])
    await record(database, 2)

    for floor in (1, 2):
        async with store(database, floor):
            pass
    assert (await recorded(database)).floor == 2


async def test_the_floor_is_recorded_on_an_empty_collection_once(database: Any) -> None:
    async with store(database, 2), store(database, 2):
        first = await recorded(database)
    async with store(database, 2):
        assert await recorded(database) == first

    assert first.floor == 2
    reasons = [entry.reason for entry in await commands.rollout_history(database, "place")]
    assert reasons.count("a node worked with an empty collection") == 1


async def test_nothing_is_recorded_where_the_code_reads_the_baseline(database: Any) -> None:
    await database.places.insert_one(stored(1, 1))
    async with store(database, 1):
        assert "place" not in (await ControlRecords(database).settled_view()).floors


async def test_no_floor_is_recorded_while_somebody_may_store_rows_below_it(nodes: Nodes) -> None:
    await nodes.open(1)
    with pytest.raises(NodeRefusedError) as caught:
        await nodes.open(2, floor=2)

    assert not isinstance(caught.value, FloorMismatchError)
    assert (await recorded(nodes.database)).floor is None


@pytest.mark.parametrize("policy", ["enforce", "warn"])
@pytest.mark.parametrize(
    ("rows", "floor", "causes"),
    [
        ([1, 3], None, [Cause.FLOOR_ABOVE_ROWS]),
        ([None, 3], 2, [Cause.FLOOR_ABOVE_ROWS]),
        ([2, 3], None, [Cause.FLOOR_ABOVE_RECORD]),
        ([3], 1, [Cause.FLOOR_ABOVE_RECORD]),
        ([], 1, [Cause.FLOOR_ABOVE_RECORD]),
    ],
)
async def test_a_store_is_refused_at_once_whatever_its_policy(
    database: Any, rows: list[int | None], floor: int | None, causes: list[Cause], policy: str
) -> None:
    if rows:
        await database.places.insert_many([stored(version, number) for number, version in enumerate(rows)])
    if floor is not None:
        await record(database, floor)
    before = await database.places.find().to_list()

    with pytest.raises(FloorMismatchError) as caught:
        # As patient as it may be: there is nothing to wait for.
        await store(database, 2, policy=policy, patience=3600.0).open()

    error = caught.value
    assert isinstance(error, FleetError)
    assert (error.kind, error.floor, error.recorded) == ("place", 2, floor)
    assert error.rows_below == sum(version in {None, 1} for version in rows)
    assert [blocker["cause"] for blocker in error.blockers] == causes
    assert ("--with-retired" in str(error.advice)) is bool(error.rows_below)
    assert await database.places.find().to_list() == before
    assert await database.docstore_nodes.count_documents({}) == 0


async def test_a_store_outside_of_the_fleet_is_refused_as_well_and_records_nothing(database: Any) -> None:
    async with store(database, 2, fleet=False):
        pass
    assert "docstore_control" not in await database.list_collection_names()
    await database.places.insert_one(stored(1, 1))
    with pytest.raises(FloorMismatchError):
        await store(database, 2, fleet=False).open()


async def test_the_first_write_of_a_store_that_was_not_opened_is_refused(database: Any) -> None:
    await database.places.insert_one(stored(1, 1))
    unopened = store(database, 2)
    with pytest.raises(FloorMismatchError):
        await unopened.collection(unopened.kinds[0]).insert(Place(id=2, name="x"))
    assert await database.places.count_documents({}) == 1


async def test_a_node_that_comes_back_from_a_gap_does_not_write_on_rows_below_its_floor(nodes: Nodes) -> None:
    database = nodes.database
    await record(database, 2)
    node = await nodes.open(3, floor=2)
    await silent(database, node, 60.0)
    await database.places.insert_one(stored(1, 1))

    with capture_logs() as logs:
        beating = asyncio.create_task(node._live())
        waiting = await until(lambda: database.docstore_nodes.find_one({"admitted": False}))
        with pytest.raises(StaleNodeError):
            node.may_write()
        assert "below the floor 2" in waiting["waits_for"][0]
        await database.places.delete_one({"_id": 1})
        await until(lambda: database.docstore_nodes.find_one({"admitted": True}))
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
    assert Cause.FLOOR_ABOVE_ROWS in {log.get("cause") for log in logs}


async def test_workers_and_commands_that_write_are_refused_and_the_others_go_on(database: Any) -> None:
    await database.places.insert_many([stored(1, 1), stored(2, 2)])
    kind = place_kind(floor=2)
    with pytest.raises(FloorMismatchError):
        await commands.work(database, [kind], drain=True, throttled=False)
    with pytest.raises(FloorMismatchError):
        await commands.backfill(database, kind, throttled=False)

    (report,) = await commands.coverage(database, [kind])
    assert report.report.total == 2
    assert await commands.rollout_status(database, [kind]) == []
    assert (await commands.fleet(database)).nodes == ()


async def test_what_was_done_behind_the_back_of_a_floor_is_told_at_open(database: Any) -> None:
    await database.places.insert_one(stored(3, 1))
    home = await collection_uuid(database, "places")
    await record(database, 2, home=home, fence=FenceRecord(2, 3, "strict"))
    await database.drop_collection("places")
    await database.places.insert_one(stored(3, 1))

    with capture_logs() as logs:
        async with store(database, 2):
            pass

    told = {log["cause"] for log in logs if log["event"] == "floor bypassed"}
    assert told == {Cause.OTHER_COLLECTION, Cause.FENCE_MISSING}


@pytest.mark.parametrize("tag", ["2", [2], 2.5, 0])
async def test_a_row_that_came_past_the_fence_with_a_tag_that_is_no_version_is_told_at_open(
    database: Any, tag: Any
) -> None:
    await database.places.insert_one(stored(2, 1))
    await build_tag_index(database, "places", "schema_version")
    async with store(database, 1):
        await commands.fence_apply(database, place_kind(), by="operator")
    await database.places.insert_one(stored(2, 2) | {"schema_version": tag}, bypass_document_validation=True)

    with capture_logs() as logs:
        async with store(database, 1):
            pass
    (counted,) = await commands.coverage(database, [place_kind()])

    told = {log["cause"] for log in logs if log["event"] == "floor bypassed"}
    assert told == {Cause.ROWS_UNREADABLE}
    assert (counted.report.unreadable, len(counted.report.bypassed)) == (1, 1)


async def test_rows_that_nobody_can_read_are_no_empty_collection(database: Any) -> None:
    await database.places.insert_one(stored(2, 2) | {"schema_version": "2"})

    with pytest.raises(FloorMismatchError, match="no floor of place is recorded"):
        await store(database, 2).open()

    assert (await recorded(database)).floor is None


async def test_a_floor_that_was_settled_meanwhile_counts(database: Any) -> None:
    # Whoever writes below the floor has control: an older node that settled what is stored.
    async with store(database, 1):
        assert (await _control(database)).write_version == 3
    await database.places.insert_one(stored(3, 1))
    with pytest.raises(FloorMismatchError):
        await store(database, 3).open()
    await record(database, 3)
    async with store(database, 3):
        pass


async def _control(database: Any) -> ControlState:
    return (await ControlRecords(database).settled_view()).controls["place"]


async def test_coverage_and_check_say_the_same_of_a_floor_that_was_bypassed(database: Any) -> None:
    await database.places.insert_one(stored(3, 1))
    async with store(database, 1):
        pass
    await record(database, 2, home=await collection_uuid(database, "places"))
    await database.drop_collection("places")
    await database.places.insert_one(stored(1, 1))

    (counted,) = await commands.coverage(database, [place_kind()])
    checked = await commands.check([place_kind()], database)

    (report,) = checked.kinds
    assert (report.recorded, report.refused, checked.sound) == (2, (), False)
    assert counted.report.recorded_floor == 2
    assert counted.report.bypassed == tuple(finding.words for finding in report.bypassed)
    assert [finding.cause for finding in report.bypassed] == [Cause.ROWS_BELOW_FLOOR, Cause.OTHER_COLLECTION]


async def test_a_fence_put_up_again_settles_on_the_collection_that_is_there_and_proves_nothing(database: Any) -> None:
    await database.places.insert_one(stored(3, 1))
    async with store(database, 1):
        pass
    proof = Proof("operator", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    await record(database, 2, home=await collection_uuid(database, "places"), proof=proof)
    await database.drop_collection("places")
    await database.places.insert_one(stored(3, 1))
    assert not (await commands.check([place_kind(floor=2)], database)).sound

    await commands.fence_apply(database, place_kind(floor=2), by="operator")

    assert (await commands.check([place_kind(floor=2)], database)).sound
    state = await recorded(database)
    assert (state.home, state.proved) == (await collection_uuid(database, "places"), False)


async def test_a_drill_of_code_that_begins_above_the_baseline_opens(database: Any) -> None:
    await database.places.insert_one(stored(2, 1))
    await Stage("", database).record_floor(place_kind(floor=2))
    async with store(database, 2):
        pass
