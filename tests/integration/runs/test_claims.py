"""
Claiming: whatever one worker leaves half done, another one completes.
"""

import asyncio
import datetime
import random
from collections.abc import Callable
from typing import Any

import pytest
from bson.timestamp import Timestamp
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, Step, commands
from docstore.backfill.claiming import Claims
from docstore.backfill.context import RunContext
from docstore.backfill.progress import Meter
from docstore.backfill.validation import Validation
from docstore.core.batch_record import BatchRecord, BatchState, Tally
from docstore.core.fingerprint import fingerprints
from docstore.core.id_range import BEGINNING, IdRange
from docstore.core.run_record import Cursor, RunOptions, RunRecord
from docstore.core.run_state import RunState
from docstore.mongo.batches import Batches
from docstore.mongo.runs import Runs
from docstore.mongo.tag_index import build_tag_index
from tests.integration.runs.conftest import old_rows
from tests.kinds import Place

Database = AsyncDatabase[dict[str, Any]]
NOTHING = Tally()


def count_up(row: dict[str, Any]) -> dict[str, Any]:
    row["steps"] += 1
    return row


def quick_counter() -> Kind[Any]:
    return Kind("counter", collection="counters", model=Place, steps=[Step(upgrade=count_up, to=2)])


async def running(database: Database, kind: Kind[Any], sources: tuple[int | None, ...] = (1,)) -> RunRecord:
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
        opened.id, RunState.ENQUEUED, RunState.RUNNING, by="a test", changes={"sources": list(sources), "pass": 1}
    )
    assert moved is not None
    return moved


@pytest.fixture
async def worker(database: Database) -> Callable[..., tuple[Claims, Batches]]:
    """
    Makes claims and batches as another worker has them.
    """
    index = await build_tag_index(database, "counters", "schema_version")

    def make(owner: str = "one", *, lease: float = 30.0) -> tuple[Claims, Batches]:
        batches = Batches(database, owner=owner, lease=lease)
        context = RunContext(
            database=database,
            kind=quick_counter(),
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
        return Claims(Runs(database), batches, context), batches

    return make


def three(_: int | None) -> int:
    return 3


def covered(batch: BatchRecord | None) -> IdRange:
    assert batch is not None
    return batch.range


async def test_ranges_follow_each_other_without_a_gap(database: Database, worker: Any) -> None:
    await database["counters"].insert_many(old_rows(7))
    run = await running(database, quick_counter())
    claims, _ = worker()

    found = [covered(await claims.claim(run.id, size=three)) for _ in range(3)]

    assert found == [IdRange(BEGINNING, 2), IdRange(2, 5), IdRange(5, 6)]
    # All three are in work: what is left cannot be counted yet.
    assert await claims.claim(run.id, size=three) is None


async def test_many_workers_claim_every_range_once(database: Database, worker: Any) -> None:
    await database["counters"].insert_many(old_rows(60))
    run = await running(database, quick_counter())

    async def claim_all(owner: str) -> list[IdRange]:
        claims, _ = worker(owner)
        found = []
        while (batch := await claims.claim(run.id, size=three)) is not None:
            found.append(batch.range)
        return found

    claimed = await asyncio.gather(*(claim_all(str(number)) for number in range(4)))

    ranges = sorted((each for found in claimed for each in found), key=lambda each: int(each.upto))
    assert [each.upto for each in ranges] == list(range(2, 60, 3))
    assert [each.after for each in ranges] == [BEGINNING, *range(2, 57, 3)]


async def test_a_batch_that_was_recorded_before_its_worker_died_is_neither_lost_nor_repeated(
    database: Database, worker: Any
) -> None:
    await database["counters"].insert_many(old_rows(7))
    run = await running(database, quick_counter())
    _, dead = worker("dead", lease=0.0)
    # What the dead worker has done: the first of the two writes.
    await dead.open_new(run, "rows", version=1, range=IdRange(BEGINNING, 1), size=2)
    claims, _ = worker("alive")

    found = [covered(await claims.claim(run.id, size=three)) for _ in range(3)]

    assert found == [IdRange(BEGINNING, 1), IdRange(1, 4), IdRange(4, 6)]


async def test_a_count_that_others_finished_for_a_dead_worker_skips_nothing_of_the_next_pass(
    database: Database, worker: Any
) -> None:
    await database["counters"].insert_many(old_rows(4))
    run = await running(database, quick_counter())
    runs = Runs(database)
    assert await runs.advance(run, Cursor(0, 1))
    ended = await runs.get(run.id)
    assert ended is not None
    _, dead = worker("dead", lease=0.0)
    await dead.open_new(ended, "count", range=IdRange())
    claims, batches = worker("alive")
    count = await claims.claim(run.id, size=three)
    assert count is not None
    assert await runs.begin_pass(ended, 2, (1,), remaining=4, unfinished=1)
    await batches.finish(count, BatchState.DONE, tally=NOTHING, seconds=0.0)

    found = [await claims.claim(run.id, size=three) for _ in range(2)]

    assert [covered(batch) for batch in found] == [IdRange(BEGINNING, 2), IdRange(2, 3)]


async def test_a_cursor_that_another_worker_moved_on_makes_no_second_claim(database: Database, worker: Any) -> None:
    await database["counters"].insert_many(old_rows(7))
    run = await running(database, quick_counter())
    slow, _ = worker("slow")
    quick, _ = worker("quick")
    # The slow one has looked, and the quick one claims before it records anything.
    batch, cursor = await slow._open_next(run, three)
    second = await quick.claim(run.id, size=three)

    moved = await Runs(database).advance(run, cursor)

    assert covered(batch) == IdRange(BEGINNING, 2)
    assert covered(second) == IdRange(2, 5)
    assert not moved


async def test_the_same_number_is_taken_once(database: Database, worker: Any) -> None:
    run = await running(database, quick_counter())
    (_, one), (_, two) = worker("one"), worker("two")

    first = await one.open_new(run, "rows", version=1, range=IdRange(BEGINNING, 2))
    second = await two.open_new(run, "rows", version=1, range=IdRange(BEGINNING, 5))

    assert (first is None, second is None) == (False, True)
    following = await two.following(run)
    assert following is not None
    assert following[0].range == IdRange(BEGINNING, 2)


async def test_a_lease_that_ran_out_is_taken_over_and_the_first_owner_is_fenced_off(
    database: Database, worker: Any
) -> None:
    run = await running(database, quick_counter())
    (_, one), (_, two) = worker("one", lease=0.0), worker("two")
    first = await one.open_new(run, "rows", version=1, range=IdRange(BEGINNING, 2))
    assert first is not None
    taken = await two.claim_waiting(run.id)

    assert taken is not None
    assert (taken.token, taken.range) == (2, first.range)
    assert not await one.renew(first)
    assert not await one.finish(first, BatchState.DONE, tally=NOTHING, seconds=1.0)
    assert not await one.give_back(first)
    assert await two.renew(taken)
    assert await two.finish(taken, BatchState.DONE, tally=NOTHING, seconds=1.0)
    assert await two.claim_waiting(run.id) is None


async def test_a_lease_that_is_renewed_is_not_taken_over(database: Database, worker: Any) -> None:
    run = await running(database, quick_counter())
    (_, one), (_, two) = worker("one"), worker("two")
    batch = await one.open_new(run, "rows", version=1, range=IdRange(BEGINNING, 2))

    assert batch is not None
    assert await one.renew(batch)
    assert await two.claim_waiting(run.id) is None


async def test_a_batch_is_split_in_two_and_a_crash_in_between_leaves_no_gap(database: Database, worker: Any) -> None:
    run = await running(database, quick_counter())
    (_, dead), (_, alive) = worker("dead", lease=0.0), worker("alive")
    batch = await dead.open_new(run, "rows", version=1, range=IdRange(BEGINNING, 9), size=10)
    assert batch is not None
    # The dead worker has said where to split, and recorded one half.
    await database["docstore_batches"].update_one({}, {"$set": {"split": {"at": 4}}})
    taken = await alive.claim_waiting(run.id)
    assert taken is not None

    # Whoever takes over may have another middle in mind.
    assert await alive.split(taken, 7, tally=NOTHING, seconds=0.0, error="it took too long")

    halves = [covered(await alive.claim_waiting(run.id)) for _ in range(2)]
    assert sorted(halves, key=lambda each: int(each.upto)) == [IdRange(BEGINNING, 4), IdRange(4, 9)]
    assert await alive.claim_waiting(run.id) is None


async def test_no_new_range_is_claimed_of_a_paused_run(database: Database, worker: Any) -> None:
    await database["counters"].insert_many(old_rows(7))
    run = await running(database, quick_counter())
    claims, batches = worker()
    batch = await batches.open_new(run, "rows", version=1, range=IdRange(BEGINNING, 2))
    assert batch is not None
    await batches.give_back(batch)
    await Runs(database).move(run.id, RunState.RUNNING, RunState.PAUSING, by="a test")

    assert await claims.claim(run.id, size=three) is None
    stored = await database["docstore_batches"].find().to_list()
    assert [each["state"] for each in stored] == ["waiting"]


async def test_a_range_that_was_being_claimed_when_the_run_was_paused_is_given_back(
    database: Database, worker: Any
) -> None:
    await database["counters"].insert_many(old_rows(7))
    run = await running(database, quick_counter())
    claims, _ = worker()
    batch, cursor = await claims._open_next(run, three)
    await Runs(database).move(run.id, RunState.RUNNING, RunState.PAUSING, by="a test")

    assert cursor is not None
    assert batch is not None
    assert not await Runs(database).advance(run, cursor)
    assert await claims._if_running(run.id, batch) is None
    assert not await Batches(database, owner="", lease=0.0).any_leased(run.id)


async def test_nothing_is_claimed_while_the_system_holds_the_run(database: Database, worker: Any) -> None:
    await database["counters"].insert_many(old_rows(7))
    run = await running(database, quick_counter())
    claims, _ = worker()
    await Runs(database).hold(run.id, "old_writers", "rows keep coming", seconds=60)
    held = await claims.claim(run.id, size=three)
    await Runs(database).release(run.id, "old_writers")

    assert held is None
    assert await claims.claim(run.id, size=three) is not None


async def test_a_hold_goes_on_since_it_began_unless_it_had_run_out_and_is_to_begin_anew(database: Database) -> None:
    run, runs = await running(database, quick_counter()), Runs(database)

    async def since(reason: str, *, seconds: float, anew: bool) -> datetime.datetime:
        await runs.hold(run.id, reason, "because", seconds=seconds, anew=anew)
        found = await runs.get(run.id)
        assert found is not None
        assert found.hold is not None
        return found.hold.since

    first = await since("throttled", seconds=600, anew=True)
    renewed = await since("throttled", seconds=0, anew=True)
    kept = await since("throttled", seconds=0, anew=False)
    await asyncio.sleep(0.002)
    later = await since("throttled", seconds=600, anew=True)

    assert first == renewed == kept < later


async def test_bounds_of_every_type_come_back_as_they_were(database: Database, worker: Any) -> None:
    run = await running(database, quick_counter())
    _, batches = worker()
    # The server puts its own time in the place of an empty timestamp at the top of a document.
    batch = await batches.open_new(run, "rows", version=None, range=IdRange(Timestamp(0, 0), {"$a.b": None}))
    assert batch is not None
    assert await Runs(database).advance(run, Cursor(1, 0, Timestamp(0, 0)))
    await batches.give_back(batch)

    again = await batches.claim_waiting(run.id)
    moved = await Runs(database).get(run.id)

    assert again is not None
    assert moved is not None
    assert again.range == IdRange(Timestamp(0, 0), {"$a.b": None})
    assert moved.cursor == Cursor(1, 0, Timestamp(0, 0))


async def test_one_run_of_a_kind_is_open_at_a_time(database: Database) -> None:
    kind = quick_counter()
    opened = await asyncio.gather(
        *(
            Runs(database).enqueue(
                kind=kind.name, collection="counters", target=2, options=RunOptions(), fingerprints={}, by=str(number)
            )
            for number in range(5)
        )
    )

    assert sum(run is not None for run in opened) == 1
    assert await database["docstore_runs"].count_documents({}) == 1


async def test_a_transition_that_was_not_published_is_published_later(database: Database) -> None:
    run = await running(database, quick_counter())
    await database["docstore_history"].delete_many({})
    await database["docstore_runs"].update_one({"_id": run.id}, {"$set": {"published": 0}})

    await Runs(database).history.publish(run.id)
    await Runs(database).history.publish(run.id)

    history = await database["docstore_history"].find(sort=[("_id.number", 1)]).to_list()
    assert [(entry["before"], entry["after"], entry["by"]) for entry in history] == [
        (None, "enqueued", "a test"),
        ("enqueued", "running", "a test"),
    ]
    assert all(entry["reason"] and entry["at"] for entry in history)


async def test_a_transition_happens_once_however_many_want_it(database: Database) -> None:
    run = await running(database, quick_counter())

    moved = await asyncio.gather(
        *(Runs(database).move(run.id, RunState.RUNNING, RunState.PAUSING, by=str(number)) for number in range(5))
    )

    assert sum(each is not None for each in moved) == 1
    assert await database["docstore_history"].count_documents({"after": "pausing"}) == 1
