"""
The fence of a kind, put up, shown and taken away by the commands.
"""

import datetime
from typing import Any

import pytest

from docstore import commands
from docstore.cli.ways_out import ways_out
from docstore.core.blocker import Cause
from docstore.core.fence import FenceBounds
from docstore.core.fence_level import FenceLevel
from docstore.core.fence_state import FenceState
from docstore.core.floor_state import FLOOR_PREFIX, FloorState, Proof, Retiring, Validation
from docstore.errors import FenceRefusedError
from docstore.mongo import fence
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.fence import read_fence
from tests.kinds import place_kind, stored

KIND = place_kind()
BY = "operator"
NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)


async def floor_of(database: Any) -> FloorState:
    return (await ControlRecords(database).settled_view()).floor_of("place")


async def recorded(database: Any, **changes: Any) -> None:
    """
    Record a change of the kind's floor.
    """
    records = ControlRecords(database)
    view = await records.settled_view()
    after = view.floor_of("place").after(view.epoch + 1, **changes)
    entry = {"about": "place", "kind": "place", "before": None, "after": None, "reason": "a test", "by": BY, "why": ""}
    assert await records.change(view, entry=entry, record=(FLOOR_PREFIX + "place", after.stored()))


async def test_a_fence_is_put_up_from_the_baseline_to_what_may_be_written_and_recorded(database: Any) -> None:
    await database["places"].insert_many([stored(1, 1), stored(3, 2)])
    assert (await commands.fence_show(database, KIND)).state is FenceState.NONE
    report = await commands.fence_apply(database, KIND, by=BY)
    assert (report.state, report.remarks, report.rows_outside) == (FenceState.STANDS, (), 0)
    assert report.found is not None
    assert (report.found.low, report.found.high, report.found.level) == (1, 3, "strict")
    floor = await floor_of(database)
    assert floor.home == (await read_fence(database, "places")).uuid
    history = await commands.rollout_history(database, KIND.name)
    assert "the fence was put up" in [entry.reason for entry in history]


async def test_a_fence_begins_at_the_recorded_floor(database: Any) -> None:
    await database["places"].insert_one(stored(3, 1))
    await recorded(database, floor=2)
    report = await commands.fence_apply(database, KIND, by=BY)
    assert report.found is not None
    assert (report.found.low, report.found.high) == (2, 3)


async def test_untagged_rows_keep_the_fence_moderate_until_they_are_adopted(database: Any) -> None:
    await database["places"].insert_many([stored(None, 1), stored(2, 2)])
    report = await commands.fence_apply(database, KIND, by=BY)
    assert report.found is not None
    assert report.found.level == "moderate"
    assert [(tags.type, tags.rows) for tags in report.outside] == [("missing", 1)]
    assert "it is moderate" in report.remarks[0]
    await commands.adopt(database, KIND)
    report = await commands.fence_apply(database, KIND, by=BY)
    assert report.found is not None
    assert (report.found.level, report.remarks) == ("strict", ())


async def test_own_rules_survive_a_fence_and_come_back_as_they_were(database: Any) -> None:
    own = {"name": {"$type": "string"}}
    await database.create_collection("places", validator=own, validationLevel="moderate")
    report = await commands.fence_apply(database, KIND, by=BY)
    assert report.own_validator == own
    report = await commands.fence_remove(database, KIND, by=BY)
    assert report.state is FenceState.NONE
    assert (await read_fence(database, "places")).validation == Validation(own, "moderate")
    assert (await commands.fence_remove(database, KIND, by=BY)).state is FenceState.NONE


async def test_a_fence_that_is_refused_leaves_no_record(database: Any) -> None:
    await database.create_collection("places", validator={"name": {"$exists": True}})
    await database["places"].insert_one({"_id": 1, "name": "Oslo"})
    with pytest.raises(FenceRefusedError, match="own rules would not hold"):
        await commands.fence_apply(database, KIND, by=BY)
    await database.create_collection("other")
    async with database.client.start_session() as session, await session.start_transaction():
        await database["places"].update_one({"_id": 1}, {"$set": {"visits": 1}}, session=session)
        with pytest.raises(FenceRefusedError, match="did not end within"):
            await commands.fence_apply(database, KIND, by=BY, level=FenceLevel.MODERATE, max_time_ms=50)
        await session.abort_transaction()
    assert (await floor_of(database)).fence is None
    report = await commands.fence_apply(database, KIND, by=BY, level=FenceLevel.MODERATE)
    assert report.state is FenceState.STANDS


@pytest.mark.parametrize(
    ("validator", "state"),
    [
        ({}, FenceState.MISSING),
        ({"$jsonSchema": {"title": "docstore fence", "required": ["schema_version"]}}, FenceState.ALTERED),
    ],
)
async def test_a_fence_that_somebody_changed_is_told_and_mended(
    database: Any, validator: dict[str, Any], state: FenceState
) -> None:
    await commands.fence_apply(database, KIND, by=BY)
    await database.command("collMod", "places", validator=validator)
    report = await commands.fence_show(database, KIND)
    assert report.state is state
    assert "docstore fence apply place" in report.remarks[0]
    assert (await commands.fence_apply(database, KIND, by=BY)).state is FenceState.STANDS


async def test_a_fence_that_only_warns_or_is_looser_than_recorded_is_told(database: Any) -> None:
    await commands.fence_apply(database, KIND, by=BY)
    await database.command("collMod", "places", validationAction="warn")
    assert (await commands.fence_show(database, KIND)).state is FenceState.DIFFERENT
    assert (await commands.fence_apply(database, KIND, by=BY)).state is FenceState.STANDS
    await database.drop_collection("places")
    assert (await commands.fence_show(database, KIND)).state is FenceState.MISSING


async def test_without_its_fence_a_floor_is_unproved_for_ever_after(database: Any) -> None:
    await database["places"].insert_one(stored(3, 1))
    now = commands.utc_now()
    await recorded(database, floor=2, proof=Proof(by=BY, at=now, rows=1))
    await commands.fence_apply(database, KIND, by=BY)
    report = await commands.fence_remove(database, KIND, by=BY)
    assert report.remarks == ("the floor 2 is unproved: nothing kept rows below it out",)
    await commands.fence_apply(database, KIND, by=BY)
    floor = await floor_of(database)
    assert (floor.floor, floor.proved) == (2, False)


async def test_a_retirement_has_the_fence_to_itself(database: Any) -> None:
    await commands.fence_apply(database, KIND, by=BY)
    await recorded(database, retiring=Retiring(below=2, since=commands.utc_now(), by=BY))
    for verb in (commands.fence_apply, commands.fence_remove):
        with pytest.raises(FenceRefusedError, match="a retirement below 2 is under way"):
            await verb(database, KIND, by=BY)
    assert (await commands.fence_show(database, KIND)).state is FenceState.STANDS


async def test_a_fence_that_nobody_recorded_is_told(database: Any) -> None:
    bounds = FenceBounds("place", "schema_version", 1, 3)
    await fence.raise_fence(database, "places", bounds)
    report = await commands.fence_show(database, KIND)
    assert report.state is FenceState.UNRECORDED
    assert (await commands.fence_apply(database, KIND, by=BY)).state is FenceState.STANDS


async def test_the_mock_has_no_fence_to_show(mock_database: Any) -> None:
    with pytest.raises(FenceRefusedError, match="mongomock validates nothing"):
        await commands.fence_show(mock_database, KIND)


async def test_a_fence_settles_on_the_collection_that_was_put_in_the_place_of_its_own(database: Any) -> None:
    await database["places"].insert_one(stored(3, 1))
    await commands.fence_apply(database, KIND, by=BY)
    await (await database["places"].aggregate([{"$out": "places"}])).to_list()
    (found,) = (await commands.check([KIND], database)).kinds[0].bypassed
    assert (found.cause, found.facts["floor"]) == (Cause.OTHER_COLLECTION, None)

    report = await commands.fence_apply(database, KIND, by=BY)

    assert report.state is FenceState.STANDS
    assert (await commands.check([KIND], database)).sound


async def test_a_floor_that_was_proved_in_another_collection_is_to_be_proved_again(database: Any) -> None:
    await database["places"].insert_one(stored(3, 1))
    await commands.fence_apply(database, KIND, by=BY)
    await recorded(database, floor=2, proof=Proof(BY, NOW, rows=1))
    await (await database["places"].aggregate([{"$out": "places"}])).to_list()

    (found,) = (await commands.check([KIND], database)).kinds[0].bypassed

    assert found.cause is Cause.OTHER_COLLECTION
    assert "docstore retire place --below 2 " in (ways_out([found.model_dump()]) or "")
