"""
Rows that kill the workers which take them are found and put aside; rows whose workers die by chance are not.
"""

import asyncio
import datetime
import os
import random
import signal
import time
from collections import Counter
from typing import Any

import hypothesis
from hypothesis import strategies as st
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step, commands
from docstore.backfill.context import RunContext
from docstore.backfill.progress import Meter
from docstore.backfill.suspecting import Suspecting
from docstore.backfill.validation import Validation
from docstore.core.batch_record import BatchState, Tally
from docstore.core.fingerprint import fingerprints
from docstore.core.id_range import BEGINNING, IdRange
from docstore.core.run_record import RunOptions, RunRecord
from docstore.core.run_state import RunState
from docstore.core.suspicion import DEATHS
from docstore.mongo.batches import Batches
from docstore.mongo.runs import Runs
from docstore.mongo.tag_index import build_tag_index
from tests.integration.runs.conftest import PATIENCE, old_rows
from tests.integration.runs.forked import a_worker

Database = AsyncDatabase[dict[str, Any]]

#: The row that no worker survives.
DEADLY = 6


def count_up(row: dict[str, Any]) -> dict[str, Any]:
    row["steps"] += 1
    return row


def die_over_one(row: dict[str, Any]) -> dict[str, Any]:
    if row["_id"] == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return count_up(row)


def take_time(row: dict[str, Any]) -> dict[str, Any]:
    time.sleep(0.01)
    return count_up(row)


def counter(upgrade: Any) -> Kind[Any]:
    return Kind("counter", collection="counters", model=Document, steps=[Step(upgrade=upgrade, to=2)])


def deadly() -> Kind[Any]:
    return counter(die_over_one)


def slow() -> Kind[Any]:
    return counter(take_time)


async def test_a_row_that_kills_its_workers_is_put_aside_and_every_other_row_is_done(
    database: Database, mongod_uri: str
) -> None:
    await database["counters"].insert_many(old_rows(14))
    await commands.backfill_start(database, counter(die_over_one), by="a test")
    deaths = 0

    while True:
        worker = a_worker(mongod_uri, database.name, deadly)
        await asyncio.to_thread(worker.join, PATIENCE)
        if worker.exitcode == 0:
            break
        assert worker.exitcode == -signal.SIGKILL
        deaths += 1
        assert deaths < 20

    status = await commands.backfill_wait(database, "counter")
    (record,) = await database["docstore_quarantine"].find().to_list()
    assert (status.state, status.remaining, status.quarantined) == (RunState.SUCCEEDED, 1, 1)
    assert (record["row_id"], record["error"], record["version"], record["tries"]) == (DEADLY, "WorkerDiedError", 1, 1)
    assert deaths >= 2 * DEATHS
    rows = {row["_id"]: (row["schema_version"], row["steps"]) async for row in database["counters"].find()}
    assert rows.pop(DEADLY) == (1, 0)
    assert set(rows.values()) == {(2, 1)}


async def test_the_next_pass_of_the_run_does_not_take_the_row_again(database: Database) -> None:
    await database["counters"].insert_many(old_rows(3))
    taken: list[int] = []

    def note(row: dict[str, Any]) -> dict[str, Any]:
        taken.append(row["_id"])
        return count_up(row)

    run = await commands.backfill_start(database, counter(note), by="a test")
    await Runs(database).avoid(run.run, 1)
    await commands.work(database, [counter(note)], drain=False, stop=await _soon_over(database), throttled=False)

    assert sorted(taken) == [0, 2]
    assert await database["counters"].count_documents({"schema_version": 1}) == 1


async def _soon_over(database: Database) -> asyncio.Event:
    """
    Give an event that is set once a pass of the run has been counted.
    """
    stop = asyncio.Event()

    async def watch() -> None:
        while not await database["docstore_runs"].count_documents({"pass": {"$gt": 1}}):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.05)
        stop.set()

    stop.watching = asyncio.create_task(watch())  # type: ignore[attr-defined]
    return stop


async def test_rows_whose_workers_are_killed_by_chance_are_all_done_and_none_is_put_aside(
    database: Database, mongod_uri: str
) -> None:
    await database["counters"].insert_many(old_rows(150))
    await commands.backfill_start(database, counter(take_time), by="a test")
    chance, kills = random.Random(6), 0

    while kills < 8:
        worker = a_worker(mongod_uri, database.name, slow)
        while worker.is_alive() and not await _holds(database):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.01)
        await asyncio.sleep(chance.random() / 5)
        if not worker.is_alive():
            break
        worker.kill()
        await asyncio.to_thread(worker.join)
        kills += 1
    last = a_worker(mongod_uri, database.name, slow)
    await asyncio.to_thread(last.join, PATIENCE)

    status = await commands.backfill_wait(database, "counter")
    assert kills > 0
    assert (last.exitcode, status.state, status.remaining) == (0, RunState.SUCCEEDED, 0)
    assert await database["docstore_quarantine"].count_documents({}) == 0
    assert await database["docstore_batches"].count_documents({"lost": {"$gt": 0}}) > 0
    assert {(row["schema_version"], row["steps"]) async for row in database["counters"].find()} == {(2, 1)}


async def _holds(database: Database) -> bool:
    held = {"state": "leased", "$expr": {"$gt": ["$until", "$$NOW"]}}
    return await database["docstore_batches"].find_one(held) is not None


#: What a worker does: how many batches it takes at a time, and whether it dies of it.
LIVES = st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=40)


@hypothesis.given(lives=LIVES)
@hypothesis.example(lives=[(1, True)] * 30)
@hypothesis.example(lives=[(2, True)] * 30)
@hypothesis.settings(max_examples=12, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_a_row_is_put_aside_only_if_three_workers_died_over_it_alone(
    lives: list[tuple[int, bool]], mongod_uri: str, database_name: str
) -> None:
    with MongoClient[dict[str, Any]](mongod_uri) as client:
        for name in client[database_name].list_collection_names():
            client[database_name].drop_collection(name)

    async def live() -> None:
        async with AsyncMongoClient[dict[str, Any]](mongod_uri) as client:
            aside, deaths = await _lived(client[database_name], lives)
            assert aside == {row for row, number in deaths.items() if number >= DEATHS}

    asyncio.run(live())


async def _lived(database: Database, lives: list[tuple[int, bool]]) -> tuple[set[int], Counter[int]]:
    """
    Have workers claim, live and die one after another; return the rows put aside, and how many died over each alone.
    """
    await database["counters"].insert_many(old_rows(4))
    context, run = await _begun(database)
    # A lease that runs out at once: whoever holds a batch and does not finish it has died.
    batches, runs = Batches(database, owner="one", lease=0.0), Runs(database)
    assert await batches.open_new(run, "rows", version=1, range=IdRange(BEGINNING, 3), size=4) is not None
    deaths: Counter[int] = Counter()
    for number, dies in lives:
        held = [batch for _ in range(number) if (batch := await batches.claim_waiting(run.id)) is not None]
        if not held:
            break
        # The others were claimed ahead.
        batch = held[-1]
        left = context.old_rows(1)
        alone = await left.count(batch.range.after, batch.range.upto) == 1
        if batch.is_suspected and not await Suspecting(runs, batches, context).is_to_be_tried(batch):
            continue
        if not dies:
            await batches.finish(batch, BatchState.DONE, tally=Tally(), seconds=0.0)
        elif batch.is_suspected and alone:
            deaths[batch.range.upto] += 1
    # Only the next claim tells that the last one has died.
    while (batch := await batches.claim_waiting(run.id)) is not None:
        await Suspecting(runs, batches, context).is_to_be_tried(batch)
        await batches.finish(batch, BatchState.DONE, tally=Tally(), seconds=0.0)
    aside = {record["row_id"] async for record in database["docstore_quarantine"].find()}
    assert set(context.deadly) == aside
    return aside, deaths


async def _begun(database: Database) -> tuple[RunContext, RunRecord]:
    kind = counter(count_up)
    index = await build_tag_index(database, "counters", "schema_version")
    runs = Runs(database)
    opened = await runs.enqueue(
        kind=kind.name,
        collection=kind.collection,
        target=2,
        options=RunOptions(),
        fingerprints=fingerprints(kind, 2),
        by="a test",
    )
    assert opened is not None
    moved = await runs.move(
        opened.id, RunState.ENQUEUED, RunState.RUNNING, by="a test", changes={"sources": [1], "pass": 1}
    )
    assert moved is not None
    context = RunContext(
        database=database,
        kind=kind,
        target=2,
        meter=Meter(),
        stop=asyncio.Event(),
        begun=datetime.datetime.now(datetime.UTC),
        with_text=False,
        validation=Validation(None, chance=random.Random(1)),
        now=commands.utc_now,
        index=index,
        collated=False,
    )
    return context, moved
