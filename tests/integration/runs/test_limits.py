"""
What operators change while workers work, and what they say of it: limits, for good or for a while.
"""

import asyncio
import json
import signal
from dataclasses import replace
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, commands
from docstore.backfill.operating import LiveOption
from docstore.core.id_range import IdRange
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.errors import BackfillRefusedError
from docstore.mongo.batches import Batches
from docstore.mongo.runs import Runs
from tests.integration.runs.conftest import Processes, ended, old_rows, until

ROWS = 1_500
#: Slow enough to be there still when a command has started, on a busy machine too.
SLOW = RunOptions(rate=25)

Database = AsyncDatabase[dict[str, Any]]


async def test_the_time_that_is_left_reckons_with_the_limit(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    await commands.backfill_start(database, counter, options=SLOW, by="a test")
    processes.worker()

    async def measured() -> Any:
        (status,) = await commands.backfill_status(database, "counter")
        return status if status.eta_seconds is not None else None

    status = await until(measured)
    assert status.remaining is not None
    # A batch by itself runs at several times this rate.
    assert (status.rate, status.eta_seconds) == (25, status.remaining / 25)


async def test_time_that_the_limit_makes_a_run_wait_is_time_at_work(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    processes.hurry()
    await commands.backfill_start(database, counter, options=SLOW, by="a test")
    processes.worker()

    async def status() -> Any:
        (found,) = await commands.backfill_status(database, "counter")
        return found

    async def started() -> Any:
        found = await status()
        return found if found.batches_done else None

    first = await until(started)

    async def later() -> Any:
        found = await status()
        return found if (found.at - first.at).total_seconds() > 5 else None

    last = await until(later)
    assert last.state is RunState.RUNNING
    assert last.running_seconds - first.running_seconds > 2


async def test_a_limit_for_a_while_ends_by_itself_and_the_history_says_who_set_it(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(10))
    await commands.backfill_start(database, counter, options=RunOptions(rate=7), by="a test")

    code, output, _ = await processes.run("backfill", "set", "counter", "rate", "2", "--for", "5s", "--format", "json")
    (changed,) = json.loads(output)
    _, table, _ = await processes.run("backfill", "status", "counter")

    async def back() -> bool:
        return (await commands.backfill_status(database, "counter"))[0].rate_limit == 7

    await until(back)
    (status,) = await commands.backfill_status(database, "counter")
    entry = await database["docstore_history"].find_one({"_id.number": 2})
    assert code == 0
    assert changed["rate_limit"] == 2
    assert [change["option"] for change in changed["changes"]] == ["rate"]
    assert "limit" in table
    assert status.changes == ()
    assert entry is not None
    assert (entry["before"], entry["after"], entry["why"]) == ("enqueued", "enqueued", "rate = 2 for 5 s")
    assert "@" in entry["by"]


async def test_what_an_operator_says_stands_in_the_history_and_beside_the_state(
    database: Database, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(10))
    await commands.backfill_start(database, counter, by="ann", why="release 41")
    await commands.backfill_set(database, "counter", LiveOption.RATE, 5.0, seconds=None, by="ann", why="busy hour")
    # As if a worker had been killed at work.
    await database["docstore_runs"].update_one({}, {"$set": {"state": "running"}})
    run = await Runs(database).get("counter-1")
    assert run is not None
    await Batches(database, owner="one", lease=600.0).open_new(run, "count", range=IdRange())

    pausing = await commands.backfill_pause(database, "counter", by="bob", why="incident 4711")
    await database["docstore_batches"].delete_many({})
    paused = await commands.backfill_pause(database, "counter", by="bob")
    entries = await database["docstore_history"].find({"_id.run": "counter-1"}, sort=[("_id.number", 1)]).to_list()

    assert (pausing.state, pausing.reason) == (RunState.PAUSING, "incident 4711")
    assert (paused.state, paused.reason) == (RunState.PAUSED, "incident 4711")
    assert [(entry["after"], entry["why"]) for entry in entries] == [
        ("enqueued", "release 41"),
        ("enqueued", "rate = 5: busy hour"),
        ("pausing", "incident 4711"),
        ("paused", "incident 4711"),
    ]


async def test_a_run_may_be_asked_for_again_while_a_limit_holds_for_a_while_and_other_options_are_named(
    database: Database, counter: Kind[Any]
) -> None:
    asked = RunOptions(rate=7)
    run = await commands.backfill_start(database, counter, options=asked, by="a test")
    await commands.backfill_set(database, "counter", LiveOption.RATE, 2.0, seconds=600.0, by="a test")

    again = await commands.backfill_start(database, counter, options=asked, by="a test")
    with pytest.raises(BackfillRefusedError, match=r"rate is 2\.0, not 5") as rate:
        await commands.backfill_start(database, counter, options=RunOptions(rate=5), by="a test")
    with pytest.raises(BackfillRefusedError, match="workers-max is none, not 3") as workers:
        await commands.backfill_start(database, counter, options=replace(asked, workers_max=3), by="a test")

    assert again.run == run.run
    assert str(rate.value.advice).startswith("docstore backfill set counter changes that")
    assert str(workers.value.advice).startswith("wait for it, or docstore backfill cancel")


@pytest.mark.parametrize("seconds", [0.0, 1e12])
async def test_a_limit_is_not_set_until_a_time_that_there_is_not(
    database: Database, counter: Kind[Any], seconds: float
) -> None:
    await commands.backfill_start(database, counter, by="a test")

    with pytest.raises(ValueError, match="for good"):
        await commands.backfill_set(database, "counter", LiveOption.RATE, 5.0, seconds=seconds, by="a test")

    # A record that holds such a time can be read by nobody any more.
    (status,) = await commands.backfill_status(database, "counter")
    assert status.changes == ()


async def test_a_limit_of_batches_is_set_for_good(database: Database, processes: Processes, counter: Kind[Any]) -> None:
    await database["counters"].insert_many(old_rows(10))
    await commands.backfill_start(database, counter, by="a test")

    code, output, _ = await processes.run("backfill", "set", "counter", "batch-seconds", "0.1", "--format", "json")

    assert (code, json.loads(output)[0]["batch_seconds"]) == (0, 0.1)
    assert (await commands.backfill_status(database, "counter"))[0].batch_seconds == 0.1


async def test_no_more_workers_than_allowed_share_a_run_and_the_next_one_takes_a_place_that_is_free(
    database: Database, processes: Processes
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    code, _, _ = await processes.run("backfill", "start", "counter", "--workers-max", "1", "--rate", "25")
    workers = {worker.pid: worker for worker in (processes.worker(), processes.worker())}

    async def there() -> set[int]:
        (status,) = await commands.backfill_status(database, "counter")
        return {worker.pid for worker in status.workers if not worker.note}

    async def waits() -> set[str]:
        (status,) = await commands.backfill_status(database, "counter")
        return {worker.note for worker in status.workers if worker.note}

    (first,) = await until(there)
    notes = await until(waits)
    seen = set()
    for _ in range(10):
        seen |= await there()
        await asyncio.sleep(0.3)
    workers[first].send_signal(signal.SIGTERM)
    await ended(workers[first])

    async def another() -> bool:
        return bool(await there() - {first})

    await until(another)
    assert code == 0
    assert seen == {first}
    assert notes == {"waits for a place: the run has as many workers as it may have"}
