"""
Retiring versions on a real server: what is recorded, what is refused, and what is put back.
"""

import asyncio
import datetime
from typing import Any

import pytest
from bson.int64 import Int64
from pymongo.errors import BulkWriteError, WriteError

from docstore import commands
from docstore.commands import RetirementState
from docstore.core.blocker import Cause
from docstore.core.direction import Direction
from docstore.core.fence import FenceBounds
from docstore.core.fence_level import FenceLevel
from docstore.core.fleet_facts import Policy
from docstore.core.floor_state import Validation
from docstore.core.retirement_gates import Retirement
from docstore.errors import (
    BackfillRefusedError,
    FenceRefusedError,
    RetirementRefusedError,
    RolloutRefusedError,
    StoreRejectedError,
    VersionRangeError,
)
from docstore.fleet.controls import FleetControls
from docstore.fleet.operating import Rollouts
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.fence import read_fence
from docstore.mongo.quarantine import Quarantine, QuarantineRecord
from tests.integration.fleet.conftest import silent, until
from tests.integration.retirement.conftest import KIND, Places, retirements
from tests.kinds import place_kind, stored

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
TWO = Retirement(2, soak=0.0)


def causes(error: pytest.ExceptionInfo[RetirementRefusedError]) -> list[str]:
    return [blocker["cause"] for blocker in error.value.blockers]


async def test_a_floor_is_recorded_with_what_proves_it_and_the_server_keeps_rows_below_away(places: Places) -> None:
    result = await places.retire(why="release 44 is gone")

    floor = await places.floor()
    assert (result.state, result.floor, result.blockers) == (RetirementState.RETIRED, 2, ())
    assert (floor.floor, floor.retiring, floor.proved) == (2, None, True)
    assert floor.proof is not None
    assert (floor.proof.by, floor.proof.rows, floor.proof.versions) == ("ann", 3, {"2": 3})
    assert floor.proof.why == "release 44 is gone"
    assert floor.fence is not None
    assert (floor.fence.low, floor.fence.high, floor.fence.level) == (2, 2, "strict")
    assert floor.home == (await read_fence(places.database, "places")).uuid
    with pytest.raises(WriteError) as refused:
        await places.database["places"].insert_one(stored(1, "old"))
    assert refused.value.code == 121
    await places.add(2)
    reasons = [event.reason for event in await commands.rollout_history(places.database, "place")]
    assert [reason for reason in reasons if "below version 2" in reason] == [
        "a retirement below version 2 was begun",
        "the floor was recorded: no row stands below version 2",
    ]


async def test_everything_that_is_in_the_way_is_told_at_once_and_nothing_is_changed(places: Places) -> None:
    await places.add(1, 1, None)
    await places.database["places"].insert_many(
        [{"schema_version": 2.0}, {"schema_version": "2"}, {"schema_version": [2]}]
    )
    failed = QuarantineRecord(7, 1, 2, Direction.UP, 2, "E", "r", None)
    await places.database["places"].insert_one(stored(1, 7))
    await Quarantine(places.database, "place").put([failed], run=NOW, now=NOW)
    await commands.rollout_freeze(places.database, why="incident", by="ben")

    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire(soak=3600.0)

    assert sorted(causes(refused)) == sorted(
        [
            Cause.FROZEN,
            Cause.ROWS_BELOW,
            Cause.ROWS_UNTAGGED,
            Cause.ROWS_UNREADABLE,
            Cause.ROWS_ODDLY_TAGGED,
            Cause.ROWS_QUARANTINED,
            Cause.SOAK,
        ]
    )
    rows = {blocker["cause"]: blocker["facts"].get("rows") for blocker in refused.value.blockers}
    assert (rows[Cause.ROWS_BELOW], rows[Cause.ROWS_UNTAGGED], rows[Cause.ROWS_UNREADABLE]) == (3, 1, 2)
    assert (await places.floor()).retiring is None
    assert await places.validation() == Validation()
    assert (await commands.retire_dry_run(places.database, KIND, 2)).state is RetirementState.BLOCKED


async def test_looking_only_changes_nothing(places: Places) -> None:
    result = await commands.retire_dry_run(places.database, KIND, 2, soak=0.0)

    assert (result.state, result.floor, result.blockers) == (RetirementState.POSSIBLE, None, ())
    assert (await places.floor()).epoch == -1
    assert await places.validation() == Validation()


@pytest.mark.parametrize("below", [0, 1, 3])
async def test_only_a_version_of_the_code_above_its_floor_can_be_a_floor(places: Places, below: int) -> None:
    with pytest.raises(VersionRangeError):
        await commands.retire(places.database, KIND, below, by="ann", soak=0.0)


async def test_the_soak_time_begins_with_the_first_count_and_rows_end_it(places: Places) -> None:
    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire(soak=3600.0)
    assert causes(refused) == [Cause.SOAK]
    # An hour later.
    records = places.database["docstore_coverage"]
    passed = {"clear_below.2.since": {"$subtract": ["$clear_below.2.since", 3_700_000]}}
    assert (await records.update_one({"clear_below.2": {"$exists": True}}, [{"$set": passed}])).modified_count == 1
    assert (await commands.retire_dry_run(places.database, KIND, 2, soak=3600.0)).state is RetirementState.POSSIBLE

    await places.add(1)
    await commands.retire_dry_run(places.database, KIND, 2)
    await places.database["places"].delete_many({"schema_version": 1})
    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire(soak=3600.0)

    assert causes(refused) == [Cause.SOAK]


async def test_a_row_that_comes_before_the_fence_is_found_under_it_and_everything_is_put_back(places: Places) -> None:
    own = {"name": {"$type": "string"}}
    await places.database.command({"collMod": "places", "validator": own})

    async def come() -> None:
        await places.database["places"].insert_one(stored(2, "x") | {"schema_version": 1})

    with pytest.raises(RetirementRefusedError) as refused:
        await retirements(places.database, come).retire(TWO)

    assert causes(refused) == [Cause.ROWS_BELOW]
    floor = await places.floor()
    assert (floor.floor, floor.retiring, floor.fence) == (None, None, None)
    assert await places.validation() == Validation(own)
    await places.add(2)


async def test_a_node_that_joins_before_the_record_is_seen(places: Places) -> None:
    async def join() -> None:
        node = await places.open(1, policy=Policy.WARN)
        await silent(places.database, node, 0.0)

    with pytest.raises(RetirementRefusedError) as refused:
        await retirements(places.database, None, join).retire(TWO)

    assert causes(refused) == [Cause.NODE_CANNOT_READ]
    assert (await places.floor()).floor is None
    assert await places.validation() == Validation()


async def test_a_reader_that_is_declared_to_store_versions_below_is_in_the_way(places: Places) -> None:
    await commands.fleet_declare(places.database, "nightly", KIND, low=1, high=2, writes=1, by="ben")
    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire()
    assert causes(refused) == [Cause.READER_WRITES_BELOW]

    status = await commands.fleet_declare(places.database, "nightly", KIND, low=1, high=2, writes=2, by="ben")

    assert [reader.writes for reader in status.readers] == [2]
    assert (await places.retire()).state is RetirementState.RETIRED


async def test_an_open_transaction_with_an_old_row_is_waited_for_and_its_row_is_counted(places: Places) -> None:
    client = places.database.client
    async with client.start_session() as session:
        async with await session.start_transaction():
            await places.database["places"].insert_one(stored(1, "late"), session=session)
            # Counts do not show the row, so everything goes on to the fence, which waits for the transaction.
            retiring = asyncio.create_task(places.retire(max_time_ms=60_000))
            await until(lambda: _waits_for_the_fence(places))
            assert not retiring.done()
        with pytest.raises(RetirementRefusedError) as refused:
            await retiring

    assert causes(refused) == [Cause.ROWS_BELOW]
    assert await places.database["places"].count_documents({"schema_version": 1}) == 1
    assert (await places.floor()).retiring is None
    assert await places.validation() == Validation()


async def test_a_transaction_that_does_not_end_in_time_has_everything_put_back(places: Places) -> None:
    async with places.database.client.start_session() as session, await session.start_transaction():
        await places.database["places"].insert_one(stored(1, "late"), session=session)

        with pytest.raises(FenceRefusedError):
            await places.retire(max_time_ms=100)

        floor = await places.floor()
        assert (floor.floor, floor.retiring) == (None, None)
        assert await places.validation() == Validation()
        await session.abort_transaction()
    assert (await places.retire()).state is RetirementState.RETIRED


async def test_without_a_fence_the_floor_stays_unproved_until_it_is_proved(places: Places) -> None:
    result = await places.retire(fenced=False)
    assert (result.state, (await places.floor()).proved) == (RetirementState.UNPROVED, False)
    assert await places.validation() == Validation()
    await places.add(1)
    assert (await places.retire(fenced=False)).state is RetirementState.UNPROVED

    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire()
    assert causes(refused) == [Cause.ROWS_BELOW]
    assert (await places.floor()).floor == 2
    await places.database["places"].delete_many({"schema_version": 1})

    assert (await places.retire()).state is RetirementState.RETIRED
    assert (await places.floor()).proved


async def test_rules_that_a_fence_would_break_are_told_with_everything_else(places: Places) -> None:
    rules = {"collMod": "places", "validator": {"name": {"$type": "string"}}, "validationAction": "warn"}
    await places.database.command(rules)
    await places.add(1)

    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire()

    assert causes(refused) == [Cause.ROWS_BELOW, Cause.FENCE]
    assert (await places.validation()).action == "warn"


async def test_versions_above_the_floor_go_on_and_nothing_goes_below_it(places: Places) -> None:
    await places.retire()

    with pytest.raises(BackfillRefusedError, match="version 1 of place is retired"):
        await commands.backfill_start(places.database, KIND, to=1, direction=Direction.DOWN, by="ann")
    with pytest.raises(BackfillRefusedError, match="version 1 of place is retired"):
        await commands.backfill_dry_run(places.database, KIND, to=1, direction=Direction.DOWN)
    with pytest.raises(RolloutRefusedError):
        await Rollouts(places.database, by="ann").rollback("place")
    await places.close()
    await places.open(3)
    status = await commands.rollout_advance(places.database, place_kind(), by="ann")
    assert status.write_version == 3


async def test_a_retirement_that_is_under_way_holds_back_rollouts_runs_and_other_retirements(places: Places) -> None:
    await places.close()
    await places.open(3)
    seen: list[str] = []

    async def meanwhile() -> None:
        for attempt in (
            commands.rollout_advance(places.database, place_kind(), by="ben"),
            commands.rollout_canary(places.database, place_kind(), 5.0, by="ben"),
            places.retire(),
        ):
            with pytest.raises(RolloutRefusedError) as refused:
                await attempt
            seen.extend(blocker["cause"] for blocker in refused.value.blockers)
        with pytest.raises(BackfillRefusedError, match="begun to retire"):
            await commands.backfill_start(places.database, KIND, to=1, direction=Direction.DOWN, by="ben")

    await retirements(places.database, None, meanwhile).retire(TWO)

    assert seen == [Cause.RETIRING] * 3
    assert (await places.floor()).floor == 2


async def test_who_is_undone_by_another_operator_records_nothing(places: Places) -> None:
    async def undo() -> None:
        await commands.retire_undo(places.database, KIND, by="ben", why="not today")

    with pytest.raises(RetirementRefusedError) as refused:
        await retirements(places.database, None, undo).retire(TWO)

    assert causes(refused) == [Cause.OTHER_OPERATOR]
    floor = await places.floor()
    assert (floor.floor, floor.retiring) == (None, None)
    assert await places.validation() == Validation()


async def test_two_that_finish_the_same_retirement_record_it_once(places: Places) -> None:
    async def finish() -> None:
        await commands.retire_resume(places.database, KIND, by="ben")

    with pytest.raises(RetirementRefusedError) as refused:
        await retirements(places.database, None, finish).retire(TWO)

    assert causes(refused) == [Cause.OTHER_OPERATOR]
    floor = await places.floor()
    assert floor.proof is not None
    assert (floor.floor, floor.proof.by) == (2, "ben")
    assert (await read_fence(places.database, "places")).holds


@pytest.mark.parametrize("verb", [commands.retire_resume, commands.retire_undo])
async def test_there_is_nothing_to_finish_or_to_undo_where_nothing_was_begun(places: Places, verb: Any) -> None:
    for _ in range(2):
        with pytest.raises(RetirementRefusedError) as refused:
            await verb(places.database, KIND, by="ann")
        assert causes(refused) == [Cause.NOT_RETIRING]
        await places.retire()


async def test_undoing_leaves_the_rules_that_users_changed_meanwhile(places: Places) -> None:
    changed = {"name": {"$exists": True}, "visits": {"$gte": Int64(0)}}

    async def broken_off() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await retirements(places.database, None, broken_off).retire(TWO)
    fenced = await places.validation()
    assert fenced.validator is not None
    rules = {"$and": [changed, fenced.validator]}
    await places.database.command({"collMod": "places", "validator": rules})

    await commands.retire_undo(places.database, KIND, by="ben")

    assert await places.validation() == Validation(changed)


async def test_views_of_versions_below_are_dropped(places: Places) -> None:
    both = place_kind(latest=2)
    await commands.views_sync(places.database, both, versions=[1, 2])
    await places.database.create_collection("places_v3")

    result = await places.retire()

    assert result.views == ("places_v1",)
    names = await places.database.list_collection_names()
    assert {"places_v2", "places_v3"} <= set(names)
    assert "places_v1" not in names
    assert (await places.retire()).views == ()


@pytest.mark.parametrize("leaves_rows", [True, False])
async def test_writers_of_old_rows_are_refused_or_have_the_retirement_refused(
    places: Places, monkeypatch: pytest.MonkeyPatch, *, leaves_rows: bool
) -> None:
    rows = places.database["places"]
    begun, ended = asyncio.Event(), asyncio.Event()
    refusals: list[int] = []
    change = ControlRecords.change

    async def changed(self: ControlRecords, *arguments: Any, **options: Any) -> bool:
        made: bool = await change(self, *arguments, **options)
        begun.set()
        return made

    async def write(each: int) -> None:
        number = 0
        while not ended.is_set():
            # From the moment on at which everything was looked at and the fence is not there yet.
            await begun.wait()
            number += 1
            try:
                await rows.insert_one(stored(1, f"{each}-{number}"))
                if not leaves_rows:
                    await rows.delete_one({"_id": f"{each}-{number}"})
            except WriteError as error:
                refusals.append(error.code or 0)
                await asyncio.sleep(0)

    monkeypatch.setattr(ControlRecords, "change", changed)
    outcomes: list[bool] = []
    causes: set[str] = set()
    async with asyncio.TaskGroup() as group:
        for each in range(4):
            group.create_task(write(each))
        try:
            for _ in range(4):
                try:
                    await places.retire()
                    outcomes.append(True)
                except RetirementRefusedError as refused:
                    outcomes.append(False)
                    causes |= {blocker["cause"] for blocker in refused.blockers}
                below = await rows.count_documents({"schema_version": {"$lt": 2}})
                assert (await places.floor()).proved is outcomes[-1]
                if outcomes[-1]:
                    assert not below
                    await until(lambda: _any(refusals))
                    break
                assert await places.validation() == Validation()
                begun.clear()
                await rows.delete_many({"schema_version": 1})
        finally:
            ended.set()
            begun.set()

    assert set(refusals) <= {121}
    assert causes <= {Cause.ROWS_BELOW}
    # Who leaves what he wrote before the fence came has it found under the fence.
    assert not (leaves_rows and True in outcomes)


async def test_motor_does_the_same(motor_database: Any, places: Places) -> None:
    await places.add(1)
    with pytest.raises(RetirementRefusedError) as refused:
        await commands.retire(motor_database, KIND, 2, by="ann", soak=0.0)
    assert causes(refused) == [Cause.ROWS_BELOW]
    await places.database["places"].delete_many({"schema_version": 1})

    result = await commands.retire(motor_database, KIND, 2, by="ann", soak=0.0)

    assert (result.state, (await places.floor()).proved) == (RetirementState.RETIRED, True)


async def test_mongomock_retires_nothing(mock_database: Any) -> None:
    with pytest.raises(StoreRejectedError, match="mongomock"):
        await commands.retire(mock_database, KIND, 2, by="ann", soak=0.0)


async def test_a_collection_that_is_not_there_yet_begins_with_its_fence(places: Places) -> None:
    await places.database.drop_collection("places")

    assert (await places.retire()).state is RetirementState.RETIRED

    with pytest.raises(BulkWriteError):
        await places.add(1)
    await places.add(2)


async def test_a_floor_of_another_collection_is_not_taken_for_proved(places: Places) -> None:
    await places.retire()
    await places.database.drop_collection("places")
    await places.add(1)

    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire()

    assert causes(refused) == [Cause.ROWS_BELOW]
    await places.database["places"].delete_many({})
    assert (await places.retire()).state is RetirementState.RETIRED
    with pytest.raises(BulkWriteError):
        await places.add(1)


async def test_a_fence_beside_own_rules_stays_strict_before_a_floor_that_is_proved(places: Places) -> None:
    rows = places.database["places"]
    await places.database.command(
        {"collMod": "places", "validator": {"name": {"$type": "string"}}, "validationLevel": "moderate"}
    )
    await places.retire()
    floor = await places.floor()
    assert floor.fence is not None
    bounds = FenceBounds("place", "schema_version", floor.fence.low, floor.fence.high)
    changed = {"collMod": "places", "validator": {"$and": [{"checked": True}, bounds.clause]}}
    await places.database.command(changed)
    old = {"$set": {"schema_version": 1}}

    with pytest.raises(FenceRefusedError, match="own rules"):
        await commands.fence_apply(places.database, KIND, by="ben")

    with pytest.raises(WriteError):
        await rows.update_one({}, old)
    assert (await places.floor()).proved
    # In so many words such rows are let out, and the floor is proved no more.
    await commands.fence_apply(places.database, KIND, by="ben", level=FenceLevel.MODERATE)
    await rows.update_one({}, old)
    assert not (await places.floor()).proved
    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire()
    assert Cause.ROWS_BELOW in causes(refused)


async def test_a_fence_that_is_moderate_by_now_is_made_strict_where_it_is_asked_for_again(places: Places) -> None:
    await places.retire()
    await commands.fence_apply(places.database, KIND, by="ben", level=FenceLevel.MODERATE)

    assert (await places.retire()).state is RetirementState.RETIRED

    assert (await places.validation()).level == FenceLevel.STRICT


async def test_a_row_that_came_past_the_fence_is_told_where_it_is_asked_for_again(places: Places) -> None:
    await places.retire()
    rows = places.database["places"]
    past = {"insert": "places", "documents": [stored(1, "x")], "bypassDocumentValidation": True}
    await places.database.command(past)

    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire()

    assert causes(refused) == [Cause.ROWS_BELOW]
    assert (await places.floor()).proved
    await rows.delete_one({"_id": "x"})
    assert (await places.retire()).state is RetirementState.RETIRED


async def test_who_froze_everything_holds_back_retirements_too(places: Places) -> None:
    await FleetControls(places.database, by="ben").freeze("incident")

    with pytest.raises(RetirementRefusedError) as refused:
        await places.retire()

    assert causes(refused) == [Cause.FROZEN]


async def _any(found: list[int]) -> bool:
    return bool(found)


async def _waits_for_the_fence(places: Places) -> bool:
    admin = places.database.client.admin
    pipeline: list[dict[str, Any]] = [{"$currentOp": {"localOps": True}}, {"$match": {"command.collMod": "places"}}]
    async with await admin.aggregate(pipeline) as waiting:
        return [each async for each in waiting if each["command"]["$db"] == places.database.name] != []
