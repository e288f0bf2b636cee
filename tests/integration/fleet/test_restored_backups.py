"""
A database that was restored from a backup, or copied: it is noticed once, and nobody goes on with its runs.
"""

import asyncio
from typing import Any

import pytest

from docstore import Store, commands
from docstore.core.run_state import RunState
from docstore.errors import BackfillRefusedError
from docstore.fleet.home import FOUND, is_restored, settle_home
from docstore.mongo.collection_identity import collection_uuid
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.runs import Runs
from tests.integration.fleet.conftest import until
from tests.kinds import place_kind, stored
from tests.restoring import backup, restore

KIND = place_kind()


async def begun(database: Any) -> None:
    """
    Rows at version 1, a service that stores version 1, and the home of the records noted.
    """
    await database.places.insert_many([stored(1, number) for number in range(3)])
    for _ in range(2):
        async with Store(database, [place_kind(latest=1)], service="old"):
            pass
    async with Store(database, [place_kind(latest=2)], service="api"):
        await commands.rollout_advance(database, place_kind(latest=2), by="operator")


async def history(database: Any) -> list[str]:
    return [entry.why for entry in await commands.rollout_history(database) if entry.about == "fleet"]


async def test_the_home_of_the_records_is_noted_by_the_first_store(database: Any) -> None:
    async with Store(database, [KIND], service="api"):
        pass
    noted = (await ControlRecords(database).view()).home
    assert noted is not None
    assert noted == await collection_uuid(database, "docstore_control")
    assert not await is_restored(database)
    assert not await settle_home(database, by="tests")
    assert await history(database) == []


@pytest.mark.parametrize("state", [RunState.ENQUEUED, RunState.RUNNING, RunState.CANCELLING])
async def test_open_runs_of_a_backup_are_paused_before_any_worker_takes_them(database: Any, state: RunState) -> None:
    await begun(database)
    run = (await commands.backfill_start(database, place_kind(latest=2), by="operator")).run
    if state is not RunState.ENQUEUED:
        await Runs(database).move(run, RunState.ENQUEUED, RunState.RUNNING, by="worker")
    if state is RunState.CANCELLING:
        await Runs(database).move(run, RunState.RUNNING, RunState.CANCELLING, by="operator")
    await restore(database, await backup(database))
    assert await is_restored(database)

    await commands.work(database, [place_kind(latest=2)], drain=True, throttled=False)

    (status,) = await commands.backfill_status(database)
    if state is RunState.CANCELLING:
        assert status.state is RunState.CANCELLED
    else:
        assert status.state is RunState.PAUSED
        assert FOUND in str(status.reason)
    assert await database.places.count_documents({"schema_version": 1}) == 3
    assert len(await history(database)) == 1
    assert not await is_restored(database)


async def test_an_operator_lets_a_paused_run_go_on_and_it_is_not_paused_again(database: Any) -> None:
    await begun(database)
    await commands.backfill_start(database, place_kind(latest=2), by="operator")
    await restore(database, await backup(database))
    with pytest.raises(BackfillRefusedError, match="paused"):
        await commands.backfill_start(database, place_kind(latest=2), by="operator")

    await commands.backfill_resume(database, "place", by="operator")
    await commands.work(database, [place_kind(latest=2)], drain=True, throttled=False)

    assert await database.places.count_documents({"schema_version": 2}) == 3
    assert len(await history(database)) == 1


async def test_coverage_pauses_the_runs_of_a_backup_and_a_check_only_looks(database: Any) -> None:
    await begun(database)
    await commands.backfill_start(database, place_kind(latest=2), by="operator")
    await restore(database, await backup(database))

    assert (await commands.check([place_kind(latest=2)], database)).restored
    assert (await commands.backfill_status(database))[0].state is RunState.ENQUEUED
    await commands.coverage(database, [place_kind(latest=2)])

    assert (await commands.backfill_status(database))[0].state is RunState.PAUSED
    assert not (await commands.check([place_kind(latest=2)], database)).restored


async def test_coverage_that_keeps_nothing_tells_of_a_backup_and_leaves_it_to_others(database: Any) -> None:
    kind = place_kind(latest=2)
    await begun(database)
    await restore(database, await backup(database))

    (told,) = await commands.coverage(database, [kind], record=False)
    (settled,) = await commands.coverage(database, [kind])

    assert "restored from a backup" in "".join(told.report.bypassed)
    assert settled.report.bypassed == ()


async def test_many_processes_notice_at_once_and_it_is_written_down_once(database: Any) -> None:
    await begun(database)
    await commands.backfill_start(database, place_kind(latest=2), by="operator")
    await restore(database, await backup(database))

    noticed = await asyncio.gather(*(settle_home(database, by=f"pod {number}") for number in range(5)))

    assert any(noticed)
    (why,) = await history(database)
    assert "place-1" in why
    (status,) = await commands.backfill_status(database)
    assert status.state is RunState.PAUSED


async def test_a_restore_of_the_rows_alone_is_no_restored_database(database: Any) -> None:
    await begun(database)
    await commands.backfill_start(database, place_kind(latest=2), by="operator")
    await restore(database, await backup(database), only=["places"])

    assert not await is_restored(database)
    await commands.work(database, [place_kind(latest=2)], drain=True, throttled=False)
    assert await database.places.count_documents({"schema_version": 2}) == 3


async def test_a_worker_under_which_the_database_is_restored_takes_up_no_run_of_it(database: Any) -> None:
    await begun(database)
    await commands.backfill_start(database, place_kind(latest=2), by="operator")
    copy = await backup(database)
    await commands.backfill_cancel(database, "place", by="operator")
    stop = asyncio.Event()
    working = asyncio.create_task(commands.work(database, [place_kind(latest=2)], stop=stop, throttled=False))
    await until(lambda: database.docstore_nodes.count_documents({"service": "docstore worker"}))

    await restore(database, copy)
    await until(lambda: database.docstore_runs.count_documents({"state": RunState.PAUSED}))
    stop.set()
    await working

    assert await database.places.count_documents({"schema_version": 1}) == 3
