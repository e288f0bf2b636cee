"""
`docstore backfill wait`: how it ends, and what it says meanwhile.
"""

import asyncio
import json
import signal
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, commands
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.errors import StoreUnavailableError
from docstore.mongo.runs import Runs
from tests.integration.runs.conftest import PATIENCE, Processes, ended, old_rows, until

ROWS = 1_500
#: Slow enough to be there still when a command has started, on a busy machine too.
SLOW = RunOptions(rate=25)

Database = AsyncDatabase[dict[str, Any]]


async def rows_done(database: Database) -> int:
    return await database["counters"].count_documents({"schema_version": 2})


async def test_waiting_for_a_run_that_succeeds_leaves_with_0(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(10))
    await commands.backfill_start(database, counter, by="a test")
    waiting = processes.start("backfill", "wait", "counter", "--format", "json")
    assert waiting.stderr is not None
    remark = await asyncio.to_thread(waiting.stderr.readline)
    processes.worker("--drain")

    output, _ = await asyncio.to_thread(waiting.communicate)
    assert remark == "counter: nobody works on the run; docstore worker takes it up\n"
    assert waiting.returncode == 0
    assert json.loads(output)[0]["state"] == "succeeded"


async def test_waiting_for_a_run_that_leaves_rows_in_quarantine_leaves_with_7(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_one({"_id": 1, "schema_version": 1, "steps": "none"})
    await commands.backfill(database, counter)

    code, _, errors = await processes.run("backfill", "wait", "counter")

    assert code == 7
    assert "error: 1 row is left, in quarantine\nhint: docstore quarantine list counter" in errors


async def test_waiting_for_a_run_that_failed_leaves_with_1_and_says_why(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(10))
    status = await commands.backfill_start(database, counter, by="a test")
    failed = {"state": "failed", "state_reason": "it could not be done"}
    await database["docstore_runs"].update_one({"_id": status.run}, {"$set": failed, "$unset": {"open": ""}})

    code, _, errors = await processes.run("backfill", "wait", "counter")

    assert code == 1
    assert "error: the run failed: it could not be done\nhint: " in errors


async def test_waiting_for_a_run_that_is_on_hold_for_writers_leaves_with_8(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(10))
    status = await commands.backfill_start(database, counter, by="a test")
    await Runs(database).hold(status.run, "old_writers", "3 rows still stand below version 2", seconds=600)

    code, _, errors = await processes.run("backfill", "wait", "counter")

    assert code == 8
    assert "error: the run is on hold, old_writers: 3 rows still stand below version 2\nhint: " in errors


async def test_waiting_ends_a_run_whose_workers_died_while_it_was_being_cancelled(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    await commands.backfill_start(database, counter, by="a test")
    processes.slow_down()
    worker = processes.worker()
    await until(lambda: rows_done(database))
    worker.send_signal(signal.SIGKILL)
    await ended(worker)
    asked = await commands.backfill_cancel(database, "counter", by="a test")

    code, _, errors = await processes.run("backfill", "wait", "counter")

    assert asked.state in {RunState.CANCELLING, RunState.CANCELLED}
    assert code == 6
    assert "error: the run was cancelled: " in errors
    (run,) = await commands.backfill_status(database, "counter")
    assert (run.state, run.batches_open > 0) == (RunState.CANCELLED, True)


async def test_waiting_is_ended_by_ctrl_c_and_the_run_goes_on(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(10))
    await commands.backfill_start(database, counter, by="a test")
    await commands.backfill_pause(database, "counter", by="a test")
    waiting = processes.start("backfill", "wait", "counter")
    assert waiting.stderr is not None
    remark = await asyncio.to_thread(waiting.stderr.readline)
    waiting.send_signal(signal.SIGTERM)

    _, errors = await asyncio.to_thread(waiting.communicate)
    assert remark.startswith("counter: the run is paused")
    assert waiting.returncode == 1
    assert "error: interrupted: the run is paused\nhint: docstore backfill wait counter" in errors
    assert (await commands.backfill_status(database, "counter"))[0].state is RunState.PAUSED


@pytest.mark.parametrize("seen", [0, 1])
async def test_waiting_is_ended_although_the_database_does_not_answer(
    database: Database, counter: Kind[Any], monkeypatch: pytest.MonkeyPatch, seen: int
) -> None:
    await commands.backfill_start(database, counter, by="a test")
    last, stop, looks = Runs.last, asyncio.Event(), list[str]()

    async def silent(self: Runs, kind: str) -> Any:
        looks.append(kind)
        if len(looks) > seen:
            stop.set()
            await asyncio.Event().wait()
        return await last(self, kind)

    monkeypatch.setattr(Runs, "last", silent)
    async with asyncio.timeout(PATIENCE):
        waiting = commands.backfill_wait(database, "counter", stop=stop, poll=0.01)
        if seen:
            assert (await waiting).state is RunState.ENQUEUED
        else:
            with pytest.raises(StoreUnavailableError):
                await waiting


async def test_waiting_for_a_run_that_is_not_there_leaves_with_2(processes: Processes) -> None:
    code, _, errors = await processes.run("backfill", "wait", "counter")

    assert code == 2
    assert "hint: docstore backfill start counter" in errors
