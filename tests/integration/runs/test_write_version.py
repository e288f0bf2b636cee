"""
Runs and the write version: nothing brings a row above it, and workers follow it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from docstore import Store, commands
from docstore.core.rollout_gates import Overrides
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.errors import BackfillRefusedError
from docstore.fleet.node import Node
from docstore.fleet.operating import Rollouts
from docstore.fleet.status import fleet_status
from docstore.mongo.control_records import ControlRecords
from tests.kinds import place_kind, stored

KIND = place_kind(latest=3)


async def used(database: Any) -> None:
    """
    Have a service work with the kind, which settles its write version.
    """
    async with Store(database, kinds=[KIND], service="api"):
        pass


async def versions(database: Any) -> list[Any]:
    return [row.get("schema_version") async for row in database.places.find(sort=[("_id", 1)])]


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    end = time.monotonic() + 60
    while not (found := await holds()):
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)
    return found


async def advance(database: Any) -> None:
    await Rollouts(database, by="operator").advance(KIND, overrides=Overrides(no_fleet=True))


async def test_rows_are_brought_to_the_write_version_and_not_above(database: Any) -> None:
    await database.places.insert_many([stored(1, 1), stored(2, 2)])
    await used(database)
    result = await commands.backfill(database, KIND, throttled=False)
    assert (result.target, result.state) == (2, RunState.SUCCEEDED)
    assert await versions(database) == [2, 2]


async def test_a_version_above_the_write_version_is_refused_with_the_way_out(database: Any) -> None:
    await database.places.insert_one(stored(2, 1))
    await used(database)
    for refused in (
        commands.backfill(database, KIND, to=3),
        commands.backfill_start(database, KIND, to=3, by="operator"),
        commands.backfill_dry_run(database, KIND, to=3),
    ):
        with pytest.raises(BackfillRefusedError, match="above the write version 2") as caught:
            await refused
        assert "docstore rollout advance place" in caught.value.__notes__[0]
    assert await versions(database) == [2]
    await advance(database)
    assert (await commands.backfill(database, KIND, throttled=False)).target == 3
    assert await versions(database) == [3]


async def test_before_any_service_has_worked_with_the_kind_rows_go_to_latest_and_workers_settle_nothing(
    database: Any,
) -> None:
    await database.places.insert_one(stored(1, 1))
    assert (await commands.backfill_start(database, KIND, by="operator")).target == 3
    await commands.work(database, [KIND], drain=True, throttled=False)
    assert await versions(database) == [3]
    assert (await ControlRecords(database).view()).controls == {}


async def test_the_first_service_stores_what_an_open_run_was_ordered_to_store(database: Any) -> None:
    await database.places.insert_many([stored(1, 1), stored(None, 2)])
    await commands.backfill_start(database, KIND, by="operator")
    await used(database)
    assert (await ControlRecords(database).view()).controls["place"].write_version == 3
    await commands.work(database, [KIND], drain=True, throttled=False)
    assert await versions(database) == [3, 3]


async def test_a_run_is_cancelled_when_its_target_lies_above_the_write_version_after_a_rollback(database: Any) -> None:
    await database.places.insert_one(stored(2, 1))
    await used(database)
    await advance(database)
    await commands.backfill_start(database, KIND, by="operator")
    await Rollouts(database, by="operator").rollback("place", overrides=Overrides(no_fleet=True))
    await commands.work(database, [KIND], drain=True, throttled=False)
    assert await versions(database) == [2]
    [status] = await commands.backfill_status(database, "place")
    assert status.state is RunState.CANCELLED
    await advance(database)
    await commands.backfill_start(database, KIND, by="operator")
    await commands.work(database, [KIND], drain=True, throttled=False)
    assert await versions(database) == [3]


async def test_a_run_stops_when_the_write_version_falls_below_its_target(database: Any) -> None:
    await database.places.insert_many([stored(2, number) for number in range(300)])
    await used(database)
    await advance(database)
    # So slow that it is under way when the write version falls.
    options = RunOptions(rate=30.0)
    running = asyncio.create_task(commands.backfill(database, KIND, options=options, throttled=False))

    async def begun() -> bool:
        return bool(await database.places.count_documents({"schema_version": 3}))

    await until(begun)
    await Rollouts(database, by="operator").rollback("place", overrides=Overrides(no_fleet=True))
    result = await running
    assert result.state in {RunState.CANCELLING, RunState.CANCELLED}
    assert 0 < await database.places.count_documents({"schema_version": 3}) < 300


async def test_a_worker_and_a_command_are_nodes_while_they_work(database: Any) -> None:
    await database.places.insert_one(stored(1, 1))
    stop = asyncio.Event()
    working = asyncio.create_task(commands.work(database, [KIND], stop=stop, throttled=False))

    async def services() -> set[str]:
        return {node.service for node in (await fleet_status(database)).nodes}

    assert await until(services) == {"docstore worker"}
    seen: set[str] = set()

    def look(_: Any) -> None:
        seen.add("progress")

    await commands.backfill(database, KIND, on_progress=look, throttled=False)
    stop.set()
    await working
    assert seen
    assert await services() == set()


async def test_adopting_leaves_rows_alone_that_belong_above_the_write_version(database: Any) -> None:
    kind = place_kind(latest=3)
    await database.places.insert_one(stored(None, 1))
    await used(database)
    result = await commands.adopt(database, kind, throttled=False)
    assert (result.tagged, result.remaining) == (1, 0)
    assert await versions(database) == [1]


async def test_a_row_in_quarantine_goes_as_far_as_the_write_version(database: Any) -> None:
    await database.places.insert_many([stored(1, 1), {"_id": 2, "schema_version": 2, "name": 5}])
    assert (await commands.backfill(database, KIND, throttled=False)).quarantined == 1
    await database.places.update_one({"_id": 2}, {"$set": {"name": "mended"}})
    await database.places.delete_one({"_id": 1})
    await used(database)
    assert (await commands.quarantine_retry(database, KIND)).tried == 0
    with pytest.raises(BackfillRefusedError, match="above the write version 2"):
        await commands.quarantine_retry(database, KIND, [2])
    assert await versions(database) == [2]
    await advance(database)
    assert (await commands.quarantine_retry(database, KIND)).succeeded == 1
    assert await versions(database) == [3]


async def test_a_run_goes_on_in_a_process_that_others_could_have_taken_for_dead_for_a_moment(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.places.insert_many([stored(2, 0), *(stored(1, number) for number in range(1, 5))])
    await used(database)
    # As after a process was stopped in the midst of a batch, or the database was away for so long.
    seconds, asked = iter([0.0]), []

    def seconds_to_write(node: Node) -> float:
        asked.append(node)
        return next(seconds, 60.0)

    monkeypatch.setattr(Node, "seconds_to_write", property(seconds_to_write))
    result = await commands.backfill(database, KIND, throttled=False)

    assert len(asked) > 1
    assert (result.target, result.state) == (2, RunState.SUCCEEDED)
    assert await versions(database) == [2] * 5
