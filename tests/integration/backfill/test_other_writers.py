"""
A backfill while others insert, change and delete the same rows, or run the same backfill, or kill it.

Nothing of theirs is lost (P1), nothing comes back, and every step is applied once (P3).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind
from docstore.backfill import client_path, ending, lane
from docstore.commands import backfill
from docstore.mongo import leaving
from docstore.mongo.batch_writing import BatchWriter, Rewrite, Written
from docstore.mongo.batches import Batches
from tests.integration.backfill.conftest import Counter, counters

ROWS = 60

Hook = Callable[[int], Awaitable[None]]


def old_rows(count: int = ROWS) -> list[dict[str, Any]]:
    return [{"_id": number, "schema_version": 1, "steps": 0, "visits": 0} for number in range(count)]


@pytest.fixture
def before_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hook], None]:
    """
    Run something between the moment when rows were read and the moment when they are written.
    """
    write = BatchWriter.write

    def install(hook: Hook) -> None:
        calls = iter(range(10_000))

        async def hooked(self: BatchWriter, batch: Sequence[Rewrite]) -> Written:
            await hook(next(calls))
            return await write(self, batch)

        monkeypatch.setattr(BatchWriter, "write", hooked)

    return install


@pytest.mark.usefixtures("small_batches")
async def test_no_increment_of_another_writer_is_lost(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter]
) -> None:
    await database["counters"].insert_many(old_rows())
    done = asyncio.Event()

    async def increment(seed: int) -> int:
        rng, added = random.Random(seed), 0
        while not done.is_set() or added < 50:
            # A few rows only, so that they meet the backfill.
            result = await database["counters"].update_one({"_id": rng.randrange(ROWS)}, {"$inc": {"visits": 1}})
            added += result.modified_count
        return added

    writers = [asyncio.create_task(increment(seed)) for seed in range(4)]
    result = await backfill(database, counter_kind)
    done.set()
    added = sum(await asyncio.gather(*writers))

    rows = await database["counters"].find().to_list()
    assert result.remaining == 0
    assert sum(row["visits"] for row in rows) == added
    assert {(row["schema_version"], row["steps"]) for row in rows} == {(3, 2)}


async def test_a_row_that_changes_before_it_is_written_is_read_again(
    database: AsyncDatabase[dict[str, Any]], before_write: Callable[[Hook], None]
) -> None:
    await database["counters"].insert_many(old_rows(5))

    async def change(call: int) -> None:
        if call < 2:
            await database["counters"].update_one({"_id": 3}, {"$inc": {"visits": 1}})

    before_write(change)
    result = await backfill(database, counters(on_server=False))

    assert (result.conflicts, result.client, result.passes) == (2, 5, 1)
    assert await database["counters"].find_one({"_id": 3}) == {"_id": 3, "schema_version": 3, "steps": 2, "visits": 2}


async def test_a_row_that_always_changes_is_taken_by_a_later_pass(
    database: AsyncDatabase[dict[str, Any]], before_write: Callable[[Hook], None]
) -> None:
    await database["counters"].insert_many(old_rows(3))

    async def change(call: int) -> None:
        if call < client_path.TRIES + 2:
            await database["counters"].update_one({"_id": 1}, {"$inc": {"visits": 1}})

    before_write(change)
    result = await backfill(database, counters(on_server=False))

    assert (result.passes, result.remaining) == (2, 0)
    assert await database["counters"].find_one({"_id": 1}) == {
        "_id": 1,
        "schema_version": 3,
        "steps": 2,
        "visits": client_path.TRIES + 2,
    }


async def test_a_row_that_never_stands_still_is_left_and_told(
    database: AsyncDatabase[dict[str, Any]], before_write: Callable[[Hook], None]
) -> None:
    await database["counters"].insert_many(old_rows(2))

    async def change(_: int) -> None:
        await database["counters"].update_one({"_id": 1}, {"$inc": {"visits": 1}})

    before_write(change)
    result = await backfill(database, counters(on_server=False))

    assert (result.client, result.remaining, result.quarantined) == (1, 1, 0)
    assert not result.complete


async def test_a_deleted_row_does_not_come_back(
    database: AsyncDatabase[dict[str, Any]], before_write: Callable[[Hook], None]
) -> None:
    await database["counters"].insert_many(old_rows(5))

    async def delete(_: int) -> None:
        await database["counters"].delete_one({"_id": 3})

    before_write(delete)
    result = await backfill(database, counters(on_server=False))

    assert (result.client, result.conflicts, result.remaining) == (4, 0, 0)
    assert await database["counters"].count_documents({}) == 4


async def test_a_row_that_is_deleted_and_inserted_again_is_the_new_one(
    database: AsyncDatabase[dict[str, Any]], before_write: Callable[[Hook], None]
) -> None:
    await database["counters"].insert_many(old_rows(5))

    async def renew(call: int) -> None:
        if call == 0:
            await database["counters"].delete_one({"_id": 3})
            await database["counters"].insert_one({"_id": 3, "schema_version": 2, "steps": 10})

    before_write(renew)
    result = await backfill(database, counters(on_server=False))

    assert result.remaining == 0
    assert await database["counters"].find_one({"_id": 3}) == {"_id": 3, "schema_version": 3, "steps": 11}


@pytest.mark.usefixtures("small_batches")
async def test_old_rows_that_are_inserted_behind_the_backfill_are_swept_up(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter]
) -> None:
    await database["counters"].insert_many(old_rows(10))
    late: list[asyncio.Task[Any]] = []

    def insert(progress: Any) -> None:
        if progress.done and not late:
            row = {"_id": -1, "schema_version": 1, "steps": 0}
            late.append(asyncio.get_running_loop().create_task(database["counters"].insert_one(row)))

    result = await backfill(database, counter_kind, on_progress=insert)

    assert (result.server + result.client, result.remaining) == (11, 0)
    assert await database["counters"].find_one({"_id": -1}) == {"_id": -1, "schema_version": 3, "steps": 2}


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("batches", [1, 3, 5])
async def test_a_run_that_is_cancelled_is_carried_on_by_the_next(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter], batches: int
) -> None:
    await database["counters"].insert_many(old_rows())
    told: list[int] = []

    def cancel(progress: Any) -> None:
        if progress.done:
            told.append(progress.done)
        if len(told) == batches:
            running.cancel()

    running = asyncio.create_task(backfill(database, counter_kind, on_progress=cancel))
    with pytest.raises(asyncio.CancelledError):
        await running
    left = await database["counters"].count_documents({"schema_version": 1})
    result = await backfill(database, counter_kind)

    assert 0 < left < ROWS
    # The server may still have been busy with the last batches when the rows were counted.
    assert 0 < result.server + result.client <= left
    assert {row["steps"] async for row in database["counters"].find()} == {2}


@pytest.mark.usefixtures("small_batches")
async def test_a_run_that_is_cancelled_while_it_claims_gives_the_batch_back(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter], monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows())
    open_new = Batches.open_new
    granted = asyncio.Event()

    async def granted_late(self: Batches, *args: Any, **options: Any) -> Any:
        batch = await open_new(self, *args, **options)
        granted.set()
        # The server has granted the batch, and nobody here knows yet.
        await asyncio.sleep(0.1)
        return batch

    monkeypatch.setattr(Batches, "open_new", granted_late)
    # Last words may take as long as a busy machine needs for them.
    monkeypatch.setattr(lane, "LAST_WORDS", 60.0)
    monkeypatch.setattr(ending, "CANCELLING", 60.0)
    for bounded in (leaving.said, leaving.ended):
        monkeypatch.setattr(bounded, "__kwdefaults__", {**(bounded.__kwdefaults__ or {}), "seconds": 60.0})
    running = asyncio.create_task(backfill(database, counter_kind))
    await granted.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await database["docstore_batches"].count_documents({}) > 0
    assert await database["docstore_batches"].count_documents({"state": "leased"}) == 0


@pytest.mark.usefixtures("unhurried")
@pytest.mark.usefixtures("small_batches")
async def test_a_run_that_is_asked_to_stop_finishes_its_batches(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter]
) -> None:
    await database["counters"].insert_many(old_rows())
    stop = asyncio.Event()

    first = await backfill(
        database, counter_kind, stop=stop, on_progress=lambda progress: stop.set() if progress.done else None
    )
    done = await database["counters"].count_documents({"schema_version": 3})
    second = await backfill(database, counter_kind)

    assert first.interrupted
    assert not first.complete
    assert first.server + first.client == done == ROWS - first.remaining
    assert 0 < done < ROWS
    assert second.server + second.client == ROWS - done
    assert {row["steps"] async for row in database["counters"].find()} == {2}


@pytest.mark.usefixtures("small_batches")
async def test_two_runs_at_the_same_time_share_the_work(
    database: AsyncDatabase[dict[str, Any]], counter_kind: Kind[Counter]
) -> None:
    await database["counters"].insert_many(old_rows())

    results = await asyncio.gather(*(backfill(database, counter_kind) for _ in range(3)))

    assert sum(result.server + result.client for result in results) == ROWS
    assert [result.remaining for result in results] == [0, 0, 0]
    assert {row["steps"] async for row in database["counters"].find()} == {2}
