"""
Workers as processes: shared, killed, stopped, paused; nothing is lost, and nothing is done twice (P3).
"""

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, commands
from docstore.backfill import patience
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.embedded import EmbeddedServer
from tests.integration.runs.conftest import PATIENCE, Processes, old_rows, until, write_package

ROWS = 3_000

Database = AsyncDatabase[dict[str, Any]]


async def ended(process: subprocess.Popen[str]) -> int:
    return await asyncio.to_thread(process.wait, PATIENCE)


async def ended_without_waiting(process: subprocess.Popen[str]) -> int:
    """
    Return the exit code of a process that has long ended when it would give up waiting for the database.
    """
    return await asyncio.to_thread(process.wait, patience.PATIENCE / 2)


async def steps(database: Database) -> set[tuple[int, int]]:
    return {(row["schema_version"], row["steps"]) async for row in database["counters"].find()}


async def rows_done(database: Database) -> int:
    return await database["counters"].count_documents({"schema_version": 2})


async def holders(database: Database) -> set[str]:
    held = database["docstore_batches"].find({"open": True, "state": "leased"})
    return {batch["owner"] async for batch in held}


async def are_at_work(database: Database, workers: int) -> bool:
    return len(await holders(database)) == workers


async def test_a_killed_worker_is_replaced_when_its_lease_has_run_out(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    await commands.backfill_start(database, counter, by="a test")
    processes.slow_down()
    victim = processes.worker()
    await until(lambda: rows_done(database))
    victim.send_signal(signal.SIGKILL)
    await ended(victim)
    left_behind = await holders(database)
    done = await rows_done(database)

    processes.hurry()
    heir = processes.worker("--drain")
    code = await ended(heir)

    status = await commands.backfill_wait(database, "counter")
    assert 0 < done < ROWS
    assert left_behind
    assert (code, status.state, status.remaining) == (0, RunState.SUCCEEDED, 0)
    assert await steps(database) == {(2, 1)}
    tokens = {batch["token"] async for batch in database["docstore_batches"].find()}
    assert max(tokens) >= 2


async def test_two_workers_share_a_run(database: Database, processes: Processes) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    started, output, _ = await processes.run(
        "backfill", "start", "counter", "--batch-seconds", "0.2", "--format", "json"
    )
    processes.slow_down()
    workers = [processes.worker("--drain"), processes.worker("--drain")]
    await until(lambda: are_at_work(database, 2))
    processes.hurry()

    assert [await ended(worker) for worker in workers] == [0, 0]
    status = await commands.backfill_wait(database, "counter")
    owners = {batch["owner"] async for batch in database["docstore_batches"].find({"task": "rows"})}
    assert (started, json.loads(output)[0]["state"]) == (0, "enqueued")
    assert (status.state, status.client) == (RunState.SUCCEEDED, ROWS)
    assert len(owners) == 2
    assert await steps(database) == {(2, 1)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_is_asked_to_end_gives_its_batch_back(
    database: Database, processes: Processes, counter: Kind[Any], number: signal.Signals
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    await commands.backfill_start(database, counter, by="a test")
    processes.slow_down()
    worker = processes.worker()
    await until(lambda: rows_done(database))
    worker.send_signal(number)
    code = await ended(worker)
    processes.hurry()

    (status,) = await commands.backfill_status(database, "counter")
    assert code == 0
    assert await holders(database) == set()
    assert (status.state, status.workers) == (RunState.RUNNING, ())
    assert 0 < await rows_done(database) < ROWS
    # What was given back is there for the next one at once, without waiting for a lease.
    result = await commands.backfill(database, counter)
    assert result.complete
    assert await steps(database) == {(2, 1)}


async def test_a_run_is_paused_resumed_and_cancelled_by_hand(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    # Slow enough to be there still when a command has started, on a busy machine too.
    await commands.backfill_start(database, counter, options=RunOptions(rate=25), by="a test")
    processes.worker()
    await until(lambda: rows_done(database))

    await processes.run("backfill", "pause", "counter")

    async def in_state(state: RunState) -> bool:
        return (await commands.backfill_status(database, "counter"))[0].state is state

    await until(lambda: in_state(RunState.PAUSED))
    paused_at = await rows_done(database)
    await asyncio.sleep(1.5)
    assert await rows_done(database) == paused_at < ROWS
    assert await holders(database) == set()

    await processes.run("backfill", "resume", "counter")

    async def goes_on() -> bool:
        return await rows_done(database) > paused_at

    await until(goes_on)
    code, output, _ = await processes.run("backfill", "cancel", "counter", "--format", "json")
    await until(lambda: in_state(RunState.CANCELLED))
    waited, _, errors = await processes.run("backfill", "wait", "counter")

    assert code == 0
    assert json.loads(output)[0]["state"] in {"cancelling", "cancelled"}
    assert waited == 6
    assert "cancelled" in errors
    assert await rows_done(database) < ROWS
    assert {(1, 0), (2, 1)} == await steps(database)
    history = [entry["after"] async for entry in database["docstore_history"].find(sort=[("_id.number", 1)])]
    assert history == [
        "enqueued", "running", "pausing", "paused", "enqueued", "running", "cancelling", "cancelled",
    ]  # fmt: skip
    wishes = [entry["by"] async for entry in database["docstore_history"].find({"after": {"$in": ["pausing"]}})]
    assert "@" in wishes[0]


async def test_a_worker_with_other_code_takes_no_part_and_says_so(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    write_package(processes.folder, name="other_kinds", step=5)
    await database["counters"].insert_many(old_rows(10))
    await commands.backfill_start(database, counter, by="a test")

    code = await ended(processes.worker("--drain", package="other_kinds"))

    (status,) = await commands.backfill_status(database, "counter")
    assert code == 0
    assert status.state is RunState.ENQUEUED
    assert [worker.note for worker in status.workers] == ["its code differs from that of the run: step 2"]
    assert await steps(database) == {(1, 0)}
    _, table, _ = await processes.run("backfill", "status", "counter")
    assert "step 2" in table


async def test_the_rate_holds_over_all_workers_and_can_be_lifted(database: Database, processes: Processes) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    await processes.run("backfill", "start", "counter", "--rate", "50")
    processes.hurry()
    workers = [processes.worker("--drain"), processes.worker("--drain")]
    await until(lambda: rows_done(database))
    begun, first = time.monotonic(), await rows_done(database)
    await asyncio.sleep(4.0)
    # On a busy machine it takes longer, and the rate is so much lower.
    rate = (await rows_done(database) - first) / (time.monotonic() - begun)
    code, output, _ = await processes.run("backfill", "set", "counter", "rate", "none", "--format", "json")

    assert [await ended(worker) for worker in workers] == [0, 0]
    assert rate < 100
    assert (code, json.loads(output)[0]["rate_limit"]) == (0, None)
    assert await steps(database) == {(2, 1)}


async def test_a_worker_ends_in_time_while_the_database_is_away(tmp_path: Path) -> None:
    write_package(tmp_path)
    async with EmbeddedServer() as server:
        processes = Processes(server.uri.replace("/?", "/away?"), tmp_path)
        async with AsyncMongoClient[dict[str, Any]](server.uri) as client:
            await client["away"]["counters"].insert_many(old_rows(ROWS))
            await processes.run("backfill", "start", "counter")
            processes.slow_down()
            worker = processes.worker()
            await until(lambda: rows_done(client["away"]))
        await server.kill_member(0)
        await asyncio.sleep(0.5)
        worker.send_signal(signal.SIGTERM)
        code = await ended_without_waiting(worker)
        worker.communicate()

    assert code == 0


async def test_a_process_that_waits_is_helped_by_workers(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    await commands.backfill_start(database, counter, by="a test")
    processes.slow_down()
    helper = processes.worker()
    await until(lambda: are_at_work(database, 1))
    waiting = asyncio.create_task(commands.backfill(database, counter))
    await until(lambda: are_at_work(database, 2))
    processes.hurry()
    result = await waiting
    helper.send_signal(signal.SIGTERM)

    (status,) = await commands.backfill_status(database, "counter")
    assert await ended(helper) == 0
    assert result.complete
    assert 0 < result.client < ROWS
    assert status.client == ROWS
    assert await steps(database) == {(2, 1)}


async def test_a_worker_that_wakes_after_its_lease_was_taken_over_changes_nothing_more(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(800))
    await commands.backfill_start(database, counter, by="a test")
    processes.slow_down()
    sleeper = processes.worker("--drain")
    await until(lambda: rows_done(database))
    sleeper.send_signal(signal.SIGSTOP)
    held = await holders(database)
    processes.hurry()
    heir_code = await ended(processes.worker("--drain"))
    ended_as = await commands.backfill_wait(database, "counter")
    before = await database["docstore_batches"].find(sort=[("_id", 1)]).to_list()
    sleeper.send_signal(signal.SIGCONT)

    assert await ended(sleeper) == 0
    assert (heir_code, ended_as.state, ended_as.remaining) == (0, RunState.SUCCEEDED, 0)
    assert held
    assert await database["docstore_batches"].find(sort=[("_id", 1)]).to_list() == before
    assert await steps(database) == {(2, 1)}
