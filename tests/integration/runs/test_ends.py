"""
How runs end, and what keeps them from it: late rows, failing batches, elections; and what resuming costs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Document, Kind, Step, commands
from docstore import operations as ops
from docstore.backfill import concluding, failing, joining, patience
from docstore.backfill.pacing import Pacing
from docstore.backfill.untagged import untagged_elsewhere
from docstore.core.id_range import BEGINNING
from docstore.core.run_state import RunState
from docstore.errors import (
    BackfillRefusedError,
    IllegalTransitionError,
    RunNotFoundError,
    StoreRejectedError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from docstore.mongo.batch_writing import BatchWriter
from docstore.mongo.old_rows import OldRows
from tests.integration.runs.conftest import old_rows
from tests.kinds import place_kind, stored

Database = AsyncDatabase[dict[str, Any]]


def count_up(row: dict[str, Any]) -> dict[str, Any]:
    row["steps"] += 1
    return row


def counter() -> Kind[Any]:
    return Kind("counter", collection="counters", model=Document, steps=[Step(upgrade=count_up, to=2)])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Batches of ten rows, and no rest between the tries of one.
    """
    monkeypatch.setattr(Pacing, "size", lambda *_, **__: 10)
    monkeypatch.setattr(failing, "REST", 0.0)


def raising(error: Exception) -> Callable[..., Awaitable[Any]]:
    """
    A method that always fails.
    """

    async def fails(*_: Any, **__: Any) -> Any:
        raise error

    return fails


async def steps(database: Database) -> set[tuple[int, int]]:
    return {(row["schema_version"], row["steps"]) async for row in database["counters"].find()}


async def test_rows_that_are_appended_all_the_time_keep_no_pass_from_its_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(30))
    find_end, late = OldRows.end_of_range, iter(range(1000, 1050))

    async def as_another_appends(self: OldRows, after: Any, size: int) -> Any:
        found = await find_end(self, after, size)
        if (number := next(late, None)) is not None:
            await database["counters"].insert_one({"_id": number, "schema_version": 1, "steps": 0, "visits": 0})
        return found

    monkeypatch.setattr(OldRows, "end_of_range", as_another_appends)

    result = await commands.backfill(database, counter())

    (status,) = await commands.backfill_status(database, "counter")
    assert not result.complete
    assert status.hold is not None
    assert status.hold.reason == "old_writers"
    assert status.batches_done < 20


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("declared", [False, True])
async def test_rows_that_keep_coming_hold_the_run_and_are_named(
    database: Database, monkeypatch: pytest.MonkeyPatch, *, declared: bool
) -> None:
    if declared:
        await commands.fleet_declare(database, "jobs", counter(), low=1, high=2, writes=1, by="ann")
    await database["counters"].insert_many(old_rows(30))
    conclude, late = concluding.Conclusion._count, iter(range(1000))

    async def insert_first(self: Any, *arguments: Any) -> Any:
        await database["counters"].insert_one({"_id": -1 - next(late), "schema_version": 1, "steps": 0})
        return await conclude(self, *arguments)

    monkeypatch.setattr(concluding.Conclusion, "_count", insert_first)
    result = await commands.backfill(database, counter())
    (status,) = await commands.backfill_status(database, "counter")

    assert (result.state, result.passes, result.remaining) == (RunState.RUNNING, concluding.FINAL_PASSES + 2, 1)
    assert status.hold is not None
    assert status.hold.reason == "old_writers"
    assert "1 at version 1" in status.hold.detail
    known = "jobs (declared by ann) stores version 1" if declared else "no node and no declared reader is known to"
    assert known in status.hold.detail
    # Renewed after each further pass; the history tells it once.
    held = [entry for entry in status.history if entry.reason == "the system put it on hold"]
    assert [(entry.before, entry.after, entry.why.partition(":")[0]) for entry in held] == [
        (RunState.RUNNING, RunState.RUNNING, "old_writers")
    ]
    # Whoever starts it again once the writers are gone need not wait for the hold to end.
    monkeypatch.undo()
    again = await commands.backfill(database, counter())
    assert (again.state, again.complete) == (RunState.SUCCEEDED, True)
    assert await steps(database) == {(2, 1)}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("wanted", [10, 1_000])
async def test_a_batch_that_takes_too_long_is_split_until_it_does_not(
    database: Database, monkeypatch: pytest.MonkeyPatch, wanted: int
) -> None:
    # The last range of a version holds fewer rows than were wanted, and so does the only one of a small collection.
    monkeypatch.setattr(Pacing, "size", lambda *_, **__: wanted)
    await database["places"].insert_many([stored(1, number) for number in range(25)])
    rewrite = OldRows.rewrite

    async def slow(self: OldRows, after: Any, upto: Any, chain: Any, **options: Any) -> int:
        rows = await self.read(after, upto, size=100)
        if len(rows.rows) > 3:
            raise StoreTimeoutError(reason="it took too long")
        return await rewrite(self, after, upto, chain, **options)

    monkeypatch.setattr(OldRows, "rewrite", slow)
    result = await commands.backfill(database, place_kind(), to=2)

    states = [batch["state"] async for batch in database["docstore_batches"].find({"task": "rows"})]
    assert (result.server, result.passes, result.complete) == (25, 1, True)
    assert states.count("split") >= 3
    assert set(states) == {"split", "done"}


@pytest.mark.usefixtures("small")
async def test_a_batch_that_fails_is_tried_again_and_its_rows_are_not_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(30))
    read, failures = OldRows.read, iter(range(4))

    async def fails(self: OldRows, after: Any = BEGINNING, upto: Any = BEGINNING, *, size: int) -> Any:
        if upto == 19 and next(failures, None) is not None:
            raise StoreRejectedError(reason="out of order", code=1)
        return await read(self, after, upto, size=size)

    monkeypatch.setattr(OldRows, "read", fails)
    result = await commands.backfill(database, counter())

    (status,) = await commands.backfill_status(database, "counter")
    assert (result.complete, result.passes) == (True, 2)
    assert (status.batches_failed, status.last_error) == (
        1,
        "StoreRejectedError: the database refused the call: out of order (code 1)",
    )
    assert await steps(database) == {(2, 1)}


@pytest.mark.usefixtures("small")
async def test_a_run_fails_when_most_of_its_batches_do_and_can_be_resumed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(600))

    monkeypatch.setattr(OldRows, "read", raising(StoreRejectedError(reason="out of order", code=1)))
    failed = await commands.backfill(database, counter())
    monkeypatch.undo()
    with pytest.raises(IllegalTransitionError):
        await commands.backfill_pause(database, "counter", by="a test")
    resumed = await commands.backfill_resume(database, "counter", by="a test")
    ended = await commands.backfill(database, counter())

    assert failed.state is RunState.FAILED
    assert "out of order" in failed.reason
    assert failed.remaining == 600
    assert resumed.state is RunState.ENQUEUED
    assert (ended.state, ended.client) == (RunState.SUCCEEDED, 600)
    assert await database["docstore_runs"].count_documents({}) == 1


async def test_what_the_database_refuses_for_good_fails_the_run_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(10))

    monkeypatch.setattr(BatchWriter, "write", raising(StoreRejectedError(reason="Unauthorized", code=13)))
    with pytest.raises(StoreRejectedError):
        await commands.backfill(database, counter())

    (status,) = await commands.backfill_status(database, "counter")
    assert status.state is RunState.FAILED
    assert "Unauthorized" in status.reason


async def test_a_fault_that_nobody_foresaw_fails_the_run_and_says_where(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failing, "REST", 0.0)
    await database["counters"].insert_many(old_rows(10))

    monkeypatch.setattr(BatchWriter, "write", raising(KeyError("secret")))
    result = await commands.backfill(database, counter())

    assert result.state is RunState.FAILED
    assert "KeyError in test_ends.py" in result.reason
    assert "secret" not in result.reason


async def test_a_refusal_before_the_first_batch_fails_the_run_and_it_can_be_resumed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(10))
    await commands.backfill_start(database, counter(), by="a test")

    refused = raising(StoreRejectedError(reason="Unauthorized", code=13))
    monkeypatch.setattr(joining, "build_tag_index", refused)
    await commands.work(database, [counter()], drain=True)
    failed = await commands.backfill_wait(database, "counter")
    monkeypatch.undo()
    await commands.backfill_resume(database, "counter", by="a test")
    ended = await commands.backfill(database, counter())

    assert failed.state is RunState.FAILED
    assert failed.reason == (
        "the first look at the rows went wrong: "
        "StoreRejectedError: the database refused the call: Unauthorized (code 13)"
    )
    assert (ended.state, ended.client) == (RunState.SUCCEEDED, 10)


@pytest.mark.parametrize("place", ["counted", "find_tag_index", "build_tag_index"])
async def test_a_first_look_that_goes_wrong_is_taken_three_times_before_the_run_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(failing, "REST", 0.0)
    await database["counters"].insert_many(old_rows(10))
    works = getattr(joining, place)
    failures: list[Exception] = [StoreRejectedError(reason="SnapshotTooOld", code=239)] * 2

    async def fails(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return await works(*arguments, **options)

    monkeypatch.setattr(joining, place, fails)
    await commands.backfill_start(database, counter(), by="a test")
    await commands.work(database, [counter()], drain=True)
    twice = await commands.backfill_wait(database, "counter")
    await database["counters"].insert_one({"_id": "old", "schema_version": 1, "steps": 0})
    await database["counters"].drop_indexes()
    failures += [KeyError("secret")] * 3
    await commands.backfill_start(database, counter(), by="a test")
    await commands.work(database, [counter()], drain=True)

    (status,) = await commands.backfill_status(database, "counter")
    assert twice.state is RunState.SUCCEEDED
    assert (status.state, failures) == (RunState.FAILED, [])
    assert "KeyError in test_ends.py" in status.reason
    assert "secret" not in status.reason


async def test_a_database_that_is_away_at_the_first_look_fails_no_run(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(10))

    monkeypatch.setattr(patience, "PATIENCE", 0.1)
    monkeypatch.setattr(joining, "build_tag_index", raising(StoreUnavailableError(reason="gone")))
    with pytest.raises(StoreUnavailableError):
        await commands.backfill(database, counter())

    (status,) = await commands.backfill_status(database, "counter")
    assert status.state is RunState.ENQUEUED


async def test_a_run_to_another_version_is_refused_while_one_is_open(database: Database) -> None:
    await database["places"].insert_one(stored(1))
    await commands.backfill_start(database, place_kind(), by="a test")

    with pytest.raises(BackfillRefusedError, match="a run to version 3 is open"):
        await commands.backfill(database, place_kind(), to=2)
    await commands.backfill_pause(database, "place", by="a test")
    with pytest.raises(BackfillRefusedError, match="open and paused"):
        await commands.backfill(database, place_kind())
    await commands.backfill_cancel(database, "place", by="a test")

    assert (await commands.backfill(database, place_kind(), to=2)).complete


async def test_other_steps_are_refused_while_a_run_is_open(database: Database) -> None:
    await database["counters"].insert_many(old_rows(3))
    await commands.backfill_start(database, counter(), by="a test")
    other = Kind("counter", collection="counters", model=counter().model, steps=[Step(ops.RemoveField("steps"), to=2)])

    with pytest.raises(BackfillRefusedError, match="the steps are not the same"):
        await commands.backfill(database, other)

    assert await steps(database) == {(1, 0)}


async def test_a_kind_without_a_run_is_told(database: Database) -> None:
    for call in (commands.backfill_pause, commands.backfill_resume, commands.backfill_cancel):
        with pytest.raises(RunNotFoundError) as caught:
            await call(database, "nobody", by="a test")
        assert caught.value.kind == "nobody"
    assert await commands.backfill_status(database) == []


@pytest.mark.usefixtures("unhurried")
@pytest.mark.usefixtures("small")
async def test_a_resumed_run_examines_the_rest_only(database: Database) -> None:
    await database["counters"].insert_many(old_rows(1000))
    stop = asyncio.Event()

    def stop_late(progress: Any) -> None:
        if progress.done >= 970:
            stop.set()

    first = await commands.backfill(database, counter(), on_progress=stop_late, stop=stop)
    left = first.remaining
    await database.command("profile", 2)
    second = await commands.backfill(database, counter())
    await database.command("profile", 0)

    assert first.interrupted
    assert 0 < left <= 30
    assert second.client == left
    seen = (
        await database["system.profile"]
        .find({"ns": f"{database.name}.counters", "op": {"$in": ["query", "update"]}}, {"keysExamined": 1})
        .to_list()
    )
    await database.drop_collection("system.profile")
    # Finding the end of a range, reading it, and writing it: a few keys for each row that is left.
    assert 0 < sum(entry.get("keysExamined", 0) for entry in seen) <= 5 * left + 20


@pytest.mark.usefixtures("small")
async def test_rows_that_others_keep_changing_hold_the_run_and_are_not_taken_for_late_ones(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(30))
    write = BatchWriter.write

    async def after_others(self: BatchWriter, batch: Any) -> Any:
        await database["counters"].update_many({"_id": {"$in": [3, 4]}}, {"$inc": {"visits": 1}})
        return await write(self, batch)

    monkeypatch.setattr(BatchWriter, "write", after_others)
    result = await commands.backfill(database, counter())
    (status,) = await commands.backfill_status(database, "counter")
    monkeypatch.undo()
    again = await commands.backfill(database, counter())

    assert (result.state, result.remaining, result.client) == (RunState.RUNNING, 2, 28)
    assert status.hold is not None
    assert status.hold.reason == "restless_rows"
    assert "2 rows still stand below version 2" in status.hold.detail
    assert "others changed each of them at every try" in status.hold.detail
    assert (again.state, again.complete) == (RunState.SUCCEEDED, True)


@pytest.mark.usefixtures("small")
async def test_a_pass_that_rewrites_nothing_because_batches_fail_says_how_many(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = old_rows(20)
    for row in rows[:10]:
        row["steps"] = "none"
    await database["counters"].insert_many(rows)
    read = OldRows.read

    async def fails(self: OldRows, after: Any = BEGINNING, upto: Any = BEGINNING, *, size: int) -> Any:
        if upto == 19:
            raise StoreRejectedError(reason="out of order", code=1)
        return await read(self, after, upto, size=size)

    monkeypatch.setattr(OldRows, "read", fails)
    result = await commands.backfill(database, counter())

    assert (result.state, result.quarantined, result.remaining) == (RunState.FAILED, 10, 20)
    assert result.reason.startswith("pass 1 rewrote no row, and 1 of its 2 batches failed, the last one with: ")


@pytest.mark.usefixtures("small")
async def test_a_hold_for_writers_tells_of_the_batches_that_failed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(20))
    read, conclude, late = OldRows.read, concluding.Conclusion._count, iter(range(1000))

    async def fails(self: OldRows, after: Any = BEGINNING, upto: Any = BEGINNING, *, size: int) -> Any:
        if upto == 19:
            raise StoreRejectedError(reason="out of order", code=1)
        return await read(self, after, upto, size=size)

    async def insert_first(self: Any, *arguments: Any) -> Any:
        number = next(late)
        await database["counters"].insert_many(
            [{"_id": -10 * number - each, "schema_version": 1, "steps": 0} for each in range(1, 11)]
        )
        return await conclude(self, *arguments)

    monkeypatch.setattr(OldRows, "read", fails)
    monkeypatch.setattr(concluding.Conclusion, "_count", insert_first)
    await commands.backfill(database, counter())
    (status,) = await commands.backfill_status(database, "counter")

    assert status.hold is not None
    assert status.hold.reason == "old_writers"
    assert "20 rows still stand below version 2" in status.hold.detail
    assert "1 of the batches of that pass failed, the last one with: StoreRejectedError" in status.hold.detail


@pytest.mark.usefixtures("small")
async def test_rows_that_come_while_they_are_counted_explain_none_that_are_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shaped = Kind(
        "counter",
        collection="counters",
        model=Document,
        steps=[Step(upgrade=count_up, to=2), Step(upgrade=count_up, to=3)],
        detect=lambda row: 3 if "shape" in row else 1,
    )
    await database["counters"].insert_many(old_rows(20))
    count, look = concluding.Conclusion._count, untagged_elsewhere
    left, newer = [{"_id": -1, "steps": 0}], [{"_id": -2, "shape": "new"}]

    async def after_one_is_left(self: Any, *arguments: Any) -> Any:
        if left:
            await database["counters"].insert_one(left.pop())
        return await count(self, *arguments)

    async def after_one_has_come(*arguments: Any) -> Any:
        if newer:
            await database["counters"].insert_one(newer.pop())
        return await look(*arguments)

    monkeypatch.setattr(concluding.Conclusion, "_count", after_one_is_left)
    monkeypatch.setattr(concluding, "untagged_elsewhere", after_one_has_come)
    result = await commands.backfill(database, shaped, to=2)

    row = await database["counters"].find_one({"_id": -1})
    assert result.state is RunState.SUCCEEDED
    assert row is not None
    assert (row["schema_version"], row["steps"]) == (2, 1)
