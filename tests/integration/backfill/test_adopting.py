"""
Rows without a tag that get one.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from docstore import Kind, commands
from docstore.core.direction import Direction
from docstore.core.run_state import RunState
from docstore.errors import BackfillRefusedError, FloorMismatchError
from docstore.fleet import floors
from tests.kinds import Place, place_kind, stored

Database = Any


def detecting() -> Kind[Place]:
    def detect(row: dict[str, Any]) -> int:
        if row.get("title") == "odd":
            raise ValueError("secret")
        if "future" in row:
            return 9
        return 1 if "title" in row else 2

    return Kind("place", collection="places", model=Place, steps=place_kind().steps, detect=detect)


def untagged(version: int, row_id: Any, **fields: Any) -> dict[str, Any]:
    row = stored(version, row_id, **fields)
    del row["schema_version"]
    return row


async def test_rows_get_the_baseline_and_nothing_else_changes(database: Database) -> None:
    await database.places.insert_many([untagged(1, 1), untagged(1, "x", visits=3), stored(3, 3)])

    result = await commands.adopt(database, place_kind())

    assert (result.tagged, result.remaining) == (2, 0)
    assert await database.places.find_one({"_id": "x"}) == {**untagged(1, "x", visits=3), "schema_version": 1}
    assert await database.places.find_one({"_id": 3}) == stored(3, 3)


@pytest.mark.usefixtures("small_batches")
async def test_rows_of_more_than_one_batch_are_all_tagged(database: Database) -> None:
    await database.places.insert_many([untagged(1, place) for place in range(35)])

    result = await commands.adopt(database, place_kind())

    assert (result.tagged, result.remaining) == (35, 0)


@pytest.mark.usefixtures("small_batches")
async def test_detect_says_the_version_of_every_row(database: Database) -> None:
    await database.places.insert_many(
        [*(untagged(1, place) for place in range(20)), *(untagged(2, f"b{place}") for place in range(20))]
    )

    result = await commands.adopt(database, detecting())

    assert (result.tagged, result.remaining) == (40, 0)
    assert await database.places.count_documents({"schema_version": 1, "title": {"$exists": True}}) == 20
    assert await database.places.count_documents({"schema_version": 2, "name": {"$exists": True}}) == 20


async def test_a_row_whose_version_cannot_be_told_goes_to_quarantine(database: Database) -> None:
    await database.places.insert_many([untagged(1, 1), untagged(1, 2, name="odd")])

    result = await commands.adopt(database, detecting())

    (aside,) = await commands.quarantine_list(database, detecting())
    assert aside.reason.startswith("detect() ")
    assert (result.tagged, result.quarantined, result.remaining) == (1, 1, 1)
    assert (aside.id, aside.error) == (2, "UnknownVersionError")


async def test_detect_leaves_everything_but_the_tag_as_it_was(database: Database) -> None:
    await database.places.insert_many(
        [untagged(1, 1, visits=3, at={"x": 1.0, "y": 2}), {**untagged(1, 2), "schema_version": None}]
    )

    await commands.adopt(database, detecting())

    rows = await database.places.find().sort("_id").to_list()
    assert rows == [
        {**untagged(1, 1, visits=3, at={"x": 1.0, "y": 2}), "schema_version": 1},
        {**untagged(1, 2), "schema_version": 1},
    ]


async def test_a_row_that_is_above_latest_is_left_alone(database: Database) -> None:
    row = untagged(1, 1, future=True)
    await database.places.insert_one(row)

    result = await commands.adopt(database, detecting())

    assert (result.tagged, result.remaining) == (0, 1)
    assert await database.places.find_one({"_id": 1}) == row


async def test_adopting_again_finds_nothing_to_do(database: Database) -> None:
    await database.places.insert_one(untagged(1, 1))
    await commands.adopt(database, place_kind())

    assert (await commands.adopt(database, place_kind())).tagged == 0


@pytest.mark.usefixtures("unhurried")
async def test_a_call_that_is_to_stop_tags_nothing_more(database: Database) -> None:
    stop = asyncio.Event()
    stop.set()
    await database.places.insert_one(untagged(1, 1))

    result = await commands.adopt(database, place_kind(), stop=stop)

    assert (result.tagged, result.remaining) == (0, 1)
    # The run is there, and goes on with the same command.
    again = await commands.adopt(database, place_kind())
    assert (again.state, again.tagged, again.remaining) == (RunState.SUCCEEDED, 1, 0)
    assert await database.docstore_runs.count_documents({}) == 1


async def test_a_kind_that_no_longer_reads_its_baseline_is_refused(database: Database) -> None:
    await database.places.insert_one(untagged(1, 1))

    with pytest.raises(FloorMismatchError):
        await commands.adopt(database, Kind("place", collection="places", model=Place, baseline=1, floor=3))
    assert await database.docstore_runs.count_documents({}) == 0


async def test_a_row_that_does_not_fit_the_model_is_tagged_all_the_same(database: Database) -> None:
    # Its only version is latest, where rows are otherwise held against the model.
    kind = Kind("place", collection="places", model=Place)
    await database.places.insert_many([{"_id": 1, "name": 5}, {"_id": 2}])

    result = await commands.adopt(database, kind)

    assert (result.tagged, result.quarantined, result.remaining) == (2, 0, 0)


async def test_rows_that_are_tagged_already_are_none_of_its_business(database: Database) -> None:
    rows = [stored(1, 1), stored(3, 2) | {"schema_version": 9}, stored(3, 3) | {"schema_version": "x"}]
    await database.places.insert_many([*rows, untagged(1, 4)])

    result = await commands.adopt(database, place_kind())

    assert (result.state, result.tagged, result.quarantined, result.remaining) == (RunState.SUCCEEDED, 1, 0, 0)
    assert await database.places.find({"_id": {"$lt": 4}}).to_list() == rows


@pytest.mark.usefixtures("small_batches")
async def test_workers_share_a_run_that_tags_rows(database: Database) -> None:
    await database.places.insert_many([untagged(1, place) for place in range(30)])
    asked = await commands.adopt_start(database, detecting(), by="a test")

    await asyncio.gather(
        *(commands.work(database, [detecting()], drain=True, throttled=False) for _ in range(2)),
    )

    status = await commands.backfill_wait(database, "place")
    assert (asked.direction, asked.state) == (Direction.ADOPT, RunState.ENQUEUED)
    assert (status.direction, status.state, status.client, status.remaining) == (
        Direction.ADOPT,
        RunState.SUCCEEDED,
        30,
        0,
    )
    assert await database.places.count_documents({"schema_version": 1}) == 30


async def test_it_can_be_paused_and_cancelled_like_any_run(database: Database) -> None:
    await database.places.insert_one(untagged(1, 1))
    await commands.adopt_start(database, place_kind(), by="a test")

    paused = await commands.backfill_pause(database, "place", by="a test")
    with pytest.raises(BackfillRefusedError, match="open and paused"):
        await commands.adopt(database, place_kind())
    cancelled = await commands.backfill_cancel(database, "place", by="a test")

    assert (paused.state, cancelled.state) == (RunState.PAUSED, RunState.CANCELLED)
    assert await database.places.find_one() == untagged(1, 1)


async def test_a_backfill_is_not_taken_for_an_open_run_that_tags_rows(database: Database) -> None:
    await database.places.insert_one(untagged(1, 1))
    await commands.adopt_start(database, place_kind(), by="a test")

    for to in (1, 3):
        with pytest.raises(BackfillRefusedError, match="a run that tags rows is open"):
            await commands.backfill(database, place_kind(), to=to)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("of", [place_kind, detecting], ids=["on the server", "in Python"])
async def test_no_increment_of_another_writer_is_lost(database: Database, of: Callable[[], Kind[Place]]) -> None:
    await database.places.insert_many([untagged(1, place, visits=0) for place in range(40)])
    done = asyncio.Event()

    async def increment(seed: int) -> int:
        rng, added = random.Random(seed), 0
        while not done.is_set() or added < 50:
            result = await database.places.update_one({"_id": rng.randrange(40)}, {"$inc": {"visits": 1}})
            added += result.modified_count
        return added

    writers = [asyncio.create_task(increment(seed)) for seed in range(3)]
    result = await commands.adopt(database, of())
    done.set()
    added = sum(await asyncio.gather(*writers))

    rows = await database.places.find().to_list()
    assert (result.tagged, result.remaining) == (40, 0)
    assert sum(row["visits"] for row in rows) == added


async def test_a_row_is_only_tagged_when_it_is_tried_again(database: Database) -> None:
    await database.places.insert_one(untagged(1, 2, name="odd"))
    await commands.adopt(database, detecting())

    mended = Kind("place", collection="places", model=Place, steps=place_kind().steps, detect=lambda _: 1)
    retried = await commands.quarantine_retry(database, mended)

    assert (retried.tried, retried.succeeded) == (1, 1)
    assert await database.places.find_one() == {**untagged(1, 2, name="odd"), "schema_version": 1}


async def test_it_works_on_the_mock(mock_database: Database) -> None:
    await mock_database.places.insert_many([untagged(1, 1), untagged(1, 2, name="odd"), untagged(2, 3)])

    plain = await commands.adopt(mock_database, detecting())
    again = await commands.adopt(mock_database, place_kind())

    assert (plain.tagged, plain.quarantined, plain.remaining) == (2, 1, 1)
    assert (again.tagged, again.remaining) == (1, 0)
    assert await mock_database.places.find_one({"_id": 3}) == stored(2, 3)


async def test_rows_below_the_floor_go_to_quarantine_and_the_run_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if they had come when the process had joined already.
    monkeypatch.setattr(floors, "floor_mismatch", lambda _: ())
    kind = Kind("place", collection="places", model=Place, steps=place_kind().steps[1:], floor=2, detect=lambda _: 1)
    await database.places.insert_one(untagged(1, 1))

    result = await commands.adopt(database, kind)

    assert (result.state, result.tagged, result.quarantined, result.remaining) == (RunState.SUCCEEDED, 0, 1, 1)
