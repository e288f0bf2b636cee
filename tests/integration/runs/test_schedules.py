"""
Unlucky schedules: an operator, a clock, an old record or another worker comes in between at the worst moment.
"""

import asyncio
import datetime
from dataclasses import replace
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase
from structlog.testing import capture_logs

from docstore import Document, Kind, Step, commands
from docstore.backfill import concluding, failing, operating, presence
from docstore.backfill.lane import Lane
from docstore.backfill.operating import LiveOption
from docstore.backfill.pacing import Pacing
from docstore.backfill.progress import BackfillProgress
from docstore.core.batch_record import Tally
from docstore.core.id_range import IdRange
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.errors import BackfillInterruptedError, StoreError, StoreRejectedError, StoreUnavailableError
from docstore.mongo.batches import Batches
from docstore.mongo.old_rows import OldRows
from docstore.mongo.run_workers import RunWorkers
from docstore.mongo.runs import Runs
from tests.integration.runs.conftest import old_rows, until
from tests.integration.runs.test_claims import running
from tests.kinds import place_kind, stored

Database = AsyncDatabase[dict[str, Any]]


def count_up(row: dict[str, Any]) -> dict[str, Any]:
    row["steps"] += 1
    return row


def counter() -> Kind[Any]:
    return Kind("counter", collection="counters", model=Document, steps=[Step(upgrade=count_up, to=2)])


async def steps(database: Database) -> set[tuple[int, int]]:
    return {(row["schema_version"], row["steps"]) async for row in database["counters"].find()}


async def test_a_process_that_waits_goes_on_with_a_run_that_was_paused_and_resumed_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(30))
    monkeypatch.setattr(Pacing, "size", lambda *_, **__: 10)
    monkeypatch.setattr(presence, "BEAT", 0.05)
    finish, asked = Lane._finish, asyncio.Event()

    async def resume_first(self: Lane, *arguments: Any) -> None:
        if not asked.is_set():
            asked.set()
            await commands.backfill_pause(database, "counter", by="a test")
            await asyncio.wait_for(self._over.wait(), 60)
            await commands.backfill_resume(database, "counter", by="a test")
        await finish(self, *arguments)

    monkeypatch.setattr(Lane, "_finish", resume_first)

    result = await asyncio.wait_for(commands.backfill(database, counter(), throttled=False), 60)

    assert result.state is RunState.SUCCEEDED
    assert await steps(database) == {(2, 1)}


async def test_the_last_run_is_the_one_that_was_asked_for_last_whatever_the_clocks_say(database: Database) -> None:
    await database["counters"].insert_many(old_rows(3))
    await commands.backfill(database, counter())
    await commands.backfill(database, counter())
    # A server took over whose clock is behind.
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    await database["docstore_runs"].update_one({"_id": "counter-1"}, {"$set": {"created": later}})

    (status,) = await commands.backfill_status(database, "counter")
    asked = await asyncio.wait_for(commands.backfill_start(database, counter(), by="a test"), 60)

    assert status.run == "counter-2"
    assert asked.run == "counter-3"
    assert (await commands.backfill_cancel(database, "counter", by="a test")).run == "counter-3"


async def test_a_row_with_an_odd_tag_in_quarantine_explains_no_row_that_was_not_tagged(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = place_kind()
    await database["places"].insert_one({**stored(1, "odd"), "schema_version": "one"})
    await commands.backfill(database, kind)
    count, late = concluding.Conclusion._count, iter([1])

    async def insert_first(self: Any, *arguments: Any) -> Any:
        for number in late:
            await database["places"].insert_one(stored(None, number))
        return await count(self, *arguments)

    monkeypatch.setattr(concluding.Conclusion, "_count", insert_first)
    await database["places"].insert_one(stored(None, 0))

    result = await commands.adopt(database, kind)

    assert (result.tagged, result.remaining) == (2, 0)


async def test_a_limit_that_is_lifted_lets_a_waiting_worker_go_on_at_once(database: Database) -> None:
    await database["counters"].insert_many(old_rows(20))
    # After the first row the second one is an hour away.
    await commands.backfill_start(database, counter(), options=RunOptions(rate=1 / 3600), by="a test")
    stop = asyncio.Event()
    working = asyncio.create_task(commands.work(database, [counter()], stop=stop, throttled=False))

    async def begun() -> int:
        return await database["counters"].count_documents({"schema_version": 2})

    async def succeeded() -> bool:
        (status,) = await commands.backfill_status(database, "counter")
        return status.state is RunState.SUCCEEDED

    try:
        await until(begun)
        await commands.backfill_set(database, "counter", LiveOption.RATE, None, seconds=None, by="a test")
        await until(succeeded)
    finally:
        stop.set()
        await working

    assert await steps(database) == {(2, 1)}


@pytest.mark.usefixtures("unhurried")
async def test_a_failed_run_that_was_resumed_counts_all_of_its_rows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(100))
    monkeypatch.setattr(Pacing, "size", lambda *_, **__: 10)
    read, reads = OldRows.read, iter(range(1000))

    async def fails_late(self: OldRows, *arguments: Any, **options: Any) -> Any:
        if next(reads) > 8:
            raise StoreRejectedError(reason="never", code=13)
        return await read(self, *arguments, **options)

    monkeypatch.setattr(OldRows, "read", fails_late)
    with pytest.raises(StoreRejectedError):
        await commands.backfill(database, counter())
    monkeypatch.setattr(OldRows, "read", read)
    (failed,) = await commands.backfill_status(database, "counter")
    left = await database["counters"].count_documents({"schema_version": 1})
    await commands.backfill_resume(database, "counter", by="a test")
    stop = asyncio.Event()

    def stop_when_begun(progress: BackfillProgress) -> None:
        if progress.client:
            stop.set()

    await commands.backfill(database, counter(), stop=stop, on_progress=stop_when_begun)
    (resumed,) = await commands.backfill_status(database, "counter")

    assert failed.state is RunState.FAILED
    # A batch that was being written when the run failed may be counted by nobody.
    assert 0 < failed.client <= 100 - left
    assert resumed.total == failed.client + left
    assert resumed.client > failed.client
    assert resumed.remaining == left - (resumed.client - failed.client)


async def test_rows_in_quarantine_are_told_once_by_a_run_that_waits_for_writers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many([*old_rows(5), {"_id": "x", "schema_version": 1, "steps": "none"}])
    count, late = concluding.Conclusion._count, iter(range(1000))

    async def insert_first(self: Any, *arguments: Any) -> Any:
        more = [{"_id": f"{next(late)} late", "schema_version": 1, "steps": 0} for _ in range(3)]
        await database["counters"].insert_many(more)
        return await count(self, *arguments)

    monkeypatch.setattr(concluding.Conclusion, "_count", insert_first)

    result = await commands.backfill(database, counter())

    assert (result.state, result.remaining, result.quarantined) == (RunState.RUNNING, 4, 1)


async def test_a_worker_that_was_silent_gives_way_to_the_one_that_took_its_place(database: Database) -> None:
    await database["counters"].insert_many(old_rows(1_000))
    await commands.backfill_start(database, counter(), options=RunOptions(rate=20, workers_max=1), by="a test")
    stop = asyncio.Event()
    working = asyncio.create_task(commands.work(database, [counter()], stop=stop, throttled=False))

    async def done() -> int:
        return await database["counters"].count_documents({"schema_version": 2})

    try:
        await until(done)
        # As if it had been silent for so long that another one came in its place.
        place = {"id": "another", "host": "h", "pid": 1, "rate": None, "note": "", "waits": ""}
        joined = {**place, "seen": {"$add": ["$$NOW", 3_600_000]}}
        await database["docstore_runs"].update_one({}, [{"$set": {"workers": [joined]}}])

        async def stands_still() -> bool:
            before = await done()
            await asyncio.sleep(2.5)
            return await done() == before

        # A busy machine needs a while to look again; then nothing moves for so long that 50 rows would have.
        await until(stands_still)
        left = 1_000 - await done()
    finally:
        stop.set()
        await working

    assert left > 0


async def test_a_worker_that_said_why_it_does_not_work_has_no_place_yet(database: Database) -> None:
    await commands.backfill_start(database, counter(), options=RunOptions(workers_max=1), by="a test")
    workers = RunWorkers(database)

    async def beat(worker: str, note: str = "") -> list[tuple[str, str]]:
        facts: dict[str, Any] = {"host": "h", "pid": 1, "rate": None, "waits": "", "busy": False}
        run = await workers.beat("counter-1", worker=worker, note=note, **facts)
        assert run is not None
        return [(entry.id, entry.note) for entry in run.workers]

    await beat("first", "waits for a node")
    assert await beat("second") == [("first", "waits for a node"), ("second", "")]
    assert await beat("first") == [("second", "")]
    assert await beat("second") == [("second", "")]


async def test_the_speed_of_a_run_is_that_of_those_who_work_on_it(database: Database) -> None:
    await commands.backfill_start(database, counter(), options=RunOptions(workers_max=1), by="a test")
    # The second was silent for so long that the first took its place.
    for worker, note in (("first", ""), ("second", "waits for a place")):
        facts: dict[str, Any] = {"host": "h", "pid": 1, "rate": 100.0, "waits": "", "busy": False}
        await RunWorkers(database).beat("counter-1", worker=worker, note=note, **facts)

    (status,) = await commands.backfill_status(database, "counter")

    assert status.rate == 100.0


async def test_the_history_tells_a_hold_once_though_the_throttle_comes_in_between(database: Database) -> None:
    await commands.backfill_start(database, counter(), by="a test")
    runs = Runs(database)

    for _ in range(3):
        await runs.hold("counter-1", concluding.OLD_WRITERS, "rows keep coming", seconds=0.0, by="a test")
        await runs.hold("counter-1", presence.THROTTLED, "the members lag", seconds=5.0, anew=True)
        await runs.release("counter-1", presence.THROTTLED)
    await runs.hold("counter-1", concluding.RESTLESS_ROWS, "others are quicker", seconds=5.0, by="a test")
    (status,) = await commands.backfill_status(database, "counter")

    assert [entry.why for entry in status.history] == [
        "",
        "old_writers: rows keep coming",
        "restless_rows: others are quicker",
    ]


async def test_a_worker_says_that_a_run_is_for_others_to_do(database: Database) -> None:
    await database["counters"].insert_many(old_rows(1))
    await commands.backfill_start(database, counter(), by="a test")
    other = Kind("other", collection="others", model=counter().model, steps=counter().steps)

    with capture_logs() as logs:
        await commands.work(database, [other], drain=True)

    (said,) = [log for log in logs if log["event"] == "run_of_others"]
    assert (said["kind"], said["run"], said["log_level"]) == ("counter", "counter-1", "info")


async def test_a_count_of_an_earlier_pass_ends_no_run(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await database["counters"].insert_many(old_rows(3))
    move, passes = Runs.move, iter(range(10))

    async def begin_pass_first(self: Runs, run: str, before: Any, after: Any, **options: Any) -> Any:
        if after is RunState.SUCCEEDED and next(passes) == 0:
            # Another worker counted later, found a row, and was quicker.
            await database["counters"].insert_one({"_id": "late", "schema_version": 1, "steps": 0})
            await database["docstore_runs"].update_one(
                {"_id": run}, {"$inc": {"pass": 1}, "$set": {"cursor.source": 0}, "$unset": {"cursor.after": ""}}
            )
        return await move(self, run, before, after, **options)

    monkeypatch.setattr(Runs, "move", begin_pass_first)

    result = await commands.backfill(database, counter())

    assert (result.state, result.passes) == (RunState.SUCCEEDED, 2)
    assert await steps(database) == {(2, 1)}


async def test_a_cancelled_run_whose_worker_died_is_in_nobodys_way(database: Database) -> None:
    await database["counters"].insert_many(old_rows(3))
    await commands.backfill_start(database, counter(), by="a test")
    run = await Runs(database).move(
        "counter-1", RunState.ENQUEUED, RunState.RUNNING, by="a test", changes={"sources": [1], "pass": 1}
    )
    assert run is not None
    await commands.backfill_cancel(database, "counter", by="a test")
    await database["docstore_runs"].update_one({}, {"$set": {"state": "cancelling", "open": True, "ended": None}})

    result = await commands.backfill(database, counter())

    assert result.state is RunState.SUCCEEDED
    assert await Batches(database, owner="", lease=0.0).count_open("counter-2") == 0


async def test_a_look_that_the_database_refuses_once_ends_no_worker(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(3))
    await commands.backfill_start(database, counter(), by="a test")
    look, looks = Runs.open, iter(range(1000))

    async def fails_once(self: Runs, **options: Any) -> Any:
        if next(looks) == 0:
            raise StoreRejectedError(reason="Interrupted", code=11601)
        return await look(self, **options)

    monkeypatch.setattr(Runs, "open", fails_once)

    await commands.work(database, [counter()], drain=True)

    assert await steps(database) == {(2, 1)}


async def test_the_time_at_work_never_shrinks_when_a_clock_behind_takes_over(database: Database) -> None:
    await commands.backfill_start(database, counter(), by="a test")
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    await database["docstore_runs"].update_one({}, {"$set": {"beat": later}})

    run = await RunWorkers(database).beat(
        "counter-1", worker="one", host="h", pid=1, rate=None, note="", waits="", busy=True
    )

    assert run is not None
    assert run.running_seconds == 0


@pytest.mark.parametrize(
    "error",
    [StoreUnavailableError(reason="an election"), StoreRejectedError(reason="Interrupted", code=11601)],
    ids=["away", "interrupted"],
)
async def test_a_worker_says_again_that_it_is_there_after_a_call_in_vain(
    database: Database, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    await database["counters"].insert_many(old_rows(1_000))
    monkeypatch.setattr(presence, "BEAT", 0.02)
    beat, beats = RunWorkers.beat, iter(range(1_000_000))

    async def fails_at_times(self: RunWorkers, *arguments: Any, **facts: Any) -> Any:
        number = next(beats)
        if number == 3:
            raise error
        if number == 10:
            await commands.backfill_set(database, "counter", LiveOption.RATE, None, seconds=None, by="a test")
        return await beat(self, *arguments, **facts)

    monkeypatch.setattr(RunWorkers, "beat", fails_at_times)

    # Only a beat lifts the limit.
    limited = RunOptions(rate=10)
    result = await asyncio.wait_for(commands.backfill(database, counter(), options=limited, throttled=False), 60)

    assert result.state is RunState.SUCCEEDED


async def test_a_process_that_waits_is_patient_from_its_first_call_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(3))
    beat, beats = RunWorkers.beat, iter(range(1_000_000))

    async def fails_first(self: RunWorkers, *arguments: Any, **facts: Any) -> Any:
        if next(beats) == 0:
            raise StoreUnavailableError(reason="an election")
        return await beat(self, *arguments, **facts)

    monkeypatch.setattr(RunWorkers, "beat", fails_first)

    assert (await commands.backfill(database, counter(), throttled=False)).state is RunState.SUCCEEDED


async def test_rows_that_an_earlier_run_put_aside_explain_no_batch_that_was_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_one({"_id": "x", "schema_version": 1, "steps": "none"})
    await commands.backfill(database, counter())
    monkeypatch.setattr(failing, "REST", 0.0)

    async def fails(*_: Any, **__: Any) -> Any:
        raise StoreRejectedError(reason="out of order", code=1)

    monkeypatch.setattr(OldRows, "read", fails)

    result = await commands.backfill(database, counter())

    assert (result.state, result.remaining) == (RunState.FAILED, 1)
    assert "out of order" in result.reason


async def test_a_count_that_another_worker_took_over_fails_no_run(database: Database) -> None:
    run = await running(database, counter())
    slow, quick = (Batches(database, owner=owner, lease=0.0) for owner in ("slow", "quick"))
    mine = await slow.open_new(run, "count", range=IdRange())
    assert mine is not None
    assert await quick.claim_waiting(run.id) is not None

    error = StoreRejectedError(reason="out of order", code=1)
    last_try = replace(mine, tries=failing.TRIES - 1)
    await failing.Failing(Runs(database), slow, by="slow").failed(
        last_try, error, rows=None, tally=Tally(), seconds=0.0
    )

    after = await Runs(database).get(run.id)
    assert after is not None
    assert after.state is RunState.RUNNING


async def test_a_split_that_another_worker_completes_leaves_no_blank_error(database: Database) -> None:
    await database["counters"].insert_many(old_rows(4))
    run = await running(database, counter())
    dead = Batches(database, owner="dead", lease=0.0)
    batch = await dead.open_new(run, "rows", version=1, range=IdRange(upto=3), size=4)
    assert batch is not None
    await database["docstore_batches"].update_one({"_id": batch.key}, {"$set": {"split": {"at": 1}}})

    await commands.work(database, [counter()], drain=True)

    (status,) = await commands.backfill_status(database, "counter")
    assert (status.state, status.last_error) == (RunState.SUCCEEDED, None)
    assert await steps(database) == {(2, 1)}


async def test_a_process_that_is_told_to_stop_while_it_asks_for_a_run_says_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database["counters"].insert_many(old_rows(3))
    stop = asyncio.Event()

    async def takes_for_ever(*_: Any, **__: Any) -> Any:
        stop.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(operating, "counted", takes_for_ever)

    with pytest.raises(BackfillInterruptedError) as caught:
        await commands.backfill(database, counter(), stop=stop)

    assert caught.value.kind == "counter"
    assert await commands.backfill_status(database) == []
