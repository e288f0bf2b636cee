"""
What the batches of a run did, added up again and again while workers go on.
"""

import asyncio
import random
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step, commands
from docstore.backfill import presence
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.operating import LiveOption
from docstore.core.batch_record import BatchRecord, BatchState, Tally
from docstore.core.id_range import IdRange
from docstore.core.run_record import Cursor, RunOptions, RunRecord
from docstore.core.run_state import RunState
from docstore.mongo.batches import Batches
from docstore.mongo.run_totals import RunningTotals
from docstore.mongo.runs import Runs
from tests.integration.runs.conftest import old_rows, until

Database = AsyncDatabase[dict[str, Any]]


def count_up(row: dict[str, Any]) -> dict[str, Any]:
    row["steps"] += 1
    return row


def counter() -> Kind[Any]:
    return Kind("counter", collection="counters", model=Document, steps=[Step(upgrade=count_up, to=2)])


async def running(database: Database) -> RunRecord:
    status = await commands.backfill_start(database, counter(), by="a test")
    begun = {"sources": [1], "pass": 1}
    moved = await Runs(database).move(status.run, RunState.ENQUEUED, RunState.RUNNING, by="a test", changes=begun)
    assert moved is not None
    return moved


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_added_up_bit_by_bit_is_what_all_batches_did(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    run = await running(database)
    runs, batches = Runs(database), Batches(database, owner="one", lease=30.0)
    totals = RunningTotals(database, run.id)
    held: list[BatchRecord] = []
    for _ in range(60):
        match chance.randrange(5):
            case 0 | 1:
                opened = await batches.open_new(run, "rows", version=1, range=IdRange(0, 9), size=9)
                assert opened is not None
                held.append(opened)
                await runs.advance(run, Cursor(run.cursor.seq + 1))
            case 2 if held:
                tally = Tally(client=chance.randrange(9), quarantined=chance.randrange(3))
                state = chance.choice([BatchState.DONE, BatchState.FAILED])
                await batches.finish(held.pop(chance.randrange(len(held))), state, tally=tally, seconds=0.0)
            case 3 if held:
                batch = held.pop(chance.randrange(len(held)))
                await batches.split(batch, 5, tally=Tally(client=1), seconds=0.0)
            case _:
                await runs.begin_pass(run, run.number_of_pass + 1, [1], remaining=1, unfinished=0)
        if (given := await batches.claim_waiting(run.id)) is not None:
            held.append(given)
        run = await runs.get(run.id) or run
        if chance.randrange(2):
            assert await totals.look() == await batches.totals(run.id)

    assert await totals.look() == await batches.totals(run.id)


async def test_batches_that_have_ended_are_read_once(database: Database) -> None:
    run = await running(database)
    runs, batches = Runs(database), Batches(database, owner="one", lease=30.0)
    await batches.prepare()
    totals = RunningTotals(database, run.id)
    for number in range(40):
        batch = await batches.open_new(run, "rows", version=1, range=IdRange(), size=9)
        assert batch is not None
        await batches.finish(batch, BatchState.DONE, tally=Tally(client=2), seconds=0.0)
        await runs.advance(run, Cursor(number + 1))
        run = await runs.get(run.id) or run
    await totals.look()
    await database.command("profile", 2)

    found = await totals.look()

    await database.command("profile", 0)
    seen = await database["system.profile"].find({"ns": f"{database.name}.docstore_batches"}).to_list()
    await database.drop_collection("system.profile")
    assert (found.tally.client, found.done) == (80, 40)
    assert seen
    assert sum(each["docsExamined"] for each in seen) <= 2


async def test_a_batch_that_is_opened_during_a_look_is_not_taken_for_one_that_has_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await running(database)
    batches = Batches(database, owner="one", lease=30.0)
    opened: list[BatchRecord] = []
    find_one = AsyncCollection.find_one

    async def and_open(self: Any, *args: Any, **options: Any) -> Any:
        found = await find_one(self, *args, **options)
        if self.name == "docstore_batches" and not opened:
            batch = await batches.open_new(run, "rows", version=1, range=IdRange(0, 9), size=9)
            assert batch is not None
            opened.append(batch)
        return found

    totals = RunningTotals(database, run.id)
    monkeypatch.setattr(AsyncCollection, "find_one", and_open)
    await totals.look()
    monkeypatch.undo()
    await batches.finish(opened[0], BatchState.DONE, tally=Tally(client=9), seconds=0.0)

    assert (await totals.look()).tally.client == 9


async def test_the_rows_that_are_left_are_told_while_a_pass_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BEAT", 0.02)
    await database["counters"].insert_many(old_rows(600))
    await commands.backfill_start(database, counter(), options=RunOptions(rate=20), by="a test")
    metrics, told = WorkerMetrics(), list[float]()

    async def moved() -> bool:
        left = metrics.registry.get_sample_value("docstore_backfill_remaining_rows", {"kind": "counter"})
        if left is not None:
            told.append(left)
        return bool(told) and 0 < told[-1] < 600

    working = asyncio.create_task(commands.work(database, [counter()], drain=True, throttled=False, metrics=metrics))
    await until(moved)
    (status,) = await commands.backfill_status(database, "counter")
    await commands.backfill_set(database, "counter", LiveOption.RATE, None, seconds=None, by="a test")
    await working
    await moved()

    assert (status.state, status.number_of_pass) == (RunState.RUNNING, 1)
    assert told == sorted(told, reverse=True)
    assert told[-1] == 0


async def test_what_a_process_that_died_did_not_remove_is_removed_at_the_next_start(database: Database) -> None:
    await database["counters"].insert_many(old_rows(3))
    await commands.backfill(database, counter())
    first = await database["docstore_batches"].count_documents({"_id.run": "counter-1"})
    # As it is where the process dies that has just asked for the second run.
    await Runs(database).enqueue(
        kind="counter", collection="counters", target=2, options=RunOptions(), fingerprints={}, by="a dead process"
    )
    await commands.backfill_cancel(database, "counter", by="a test")
    left_behind = await database["docstore_batches"].count_documents({"_id.run": "counter-1"})

    await commands.backfill_start(database, counter(), by="a test")

    assert first == left_behind > 0
    assert await database["docstore_batches"].count_documents({}) == 0
