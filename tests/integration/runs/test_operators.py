"""
What operators see and do while workers work: status and its watching, limits for a while, waiting, Ctrl-C.
"""

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, commands
from docstore.backfill.operating import LiveOption
from docstore.backfill.progress import BackfillProgress
from docstore.core.id_range import IdRange
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from docstore.errors import BackfillRefusedError, StoreUnavailableError
from docstore.mongo.batches import Batches
from docstore.mongo.runs import Runs
from tests.integration.runs.conftest import PATIENCE, Processes, old_rows, until

ROWS = 1_500
#: Slow enough to be there still when a command has started, on a busy machine too.
SLOW = RunOptions(rate=25)

Database = AsyncDatabase[dict[str, Any]]


@dataclass
class Screen:
    """
    What a command writes to its terminal.
    """

    process: subprocess.Popen[str]
    written: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        """
        Everything so far, without colours and movements of the cursor.
        """
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(self.written).decode(errors="replace"))

    async def shows(self, pattern: str) -> None:
        """
        Wait until something is there.
        """

        async def there() -> bool:
            return re.search(pattern, self.text) is not None

        await until(there)


@contextmanager
def terminal(processes: Processes, *arguments: str) -> Iterator[Screen]:
    """
    Start a command whose stdout and stderr are a terminal.
    """
    ours, theirs = pty.openpty()
    screen = Screen(processes.start(*arguments, terminal=theirs))
    os.close(theirs)

    def read() -> None:
        # Reading fails where the other side is closed.
        try:
            while some := os.read(ours, 65536):
                screen.written.append(some)
        except OSError:
            return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield screen
    finally:
        screen.process.kill()
        screen.process.wait()
        reader.join()
        os.close(ours)


async def ended(process: subprocess.Popen[str]) -> int:
    return await asyncio.to_thread(process.wait, PATIENCE)


async def rows_done(database: Database) -> int:
    return await database["counters"].count_documents({"schema_version": 2})


async def steps(database: Database) -> set[tuple[int, int]]:
    return {(row["schema_version"], row["steps"]) async for row in database["counters"].find()}


async def test_watching_shows_rows_and_workers_and_ends_with_ctrl_c(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    await commands.backfill_start(database, counter, options=SLOW, by="a test")
    worker = processes.worker()

    with terminal(processes, "backfill", "status", "counter", "--watch") as screen:
        await screen.shows(r"counter to version 2: running")
        await screen.shows(r"rows +[1-9][0-9]* of 1,500")
        await screen.shows(rf"worker +\S+:{worker.pid}, [1-9][0-9]* rows, [0-9,]+ rows/s")
        await screen.shows(r"time left +about")
        screen.process.send_signal(signal.SIGINT)
        code = await ended(screen.process)

    (status,) = await commands.backfill_status(database, "counter")
    assert code == 0
    assert "Traceback" not in screen.text
    assert status.state is RunState.RUNNING


async def test_watching_as_json_prints_one_array_after_another(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(3))
    await commands.backfill_start(database, counter, by="a test")

    watching = processes.start("backfill", "status", "--watch", "--format", "json")
    assert watching.stdout is not None
    lines = [await asyncio.to_thread(watching.stdout.readline) for _ in range(2)]
    watching.send_signal(signal.SIGTERM)

    assert await ended(watching) == 0
    assert [json.loads(line)[0]["state"] for line in lines] == ["enqueued", "enqueued"]


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


async def test_the_progress_of_a_waiting_process_counts_what_others_do(
    database: Database, processes: Processes, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    await commands.backfill_start(database, counter, options=SLOW, by="a test")
    helper = processes.worker()
    await until(lambda: rows_done(database))
    told: list[BackfillProgress] = []

    async def takes_part() -> bool:
        return any(progress.client for progress in told)

    waiting = asyncio.create_task(commands.backfill(database, counter, on_progress=told.append))
    await until(takes_part)
    await commands.backfill_set(database, "counter", LiveOption.RATE, None, seconds=None, by="a test")
    result = await waiting
    helper.send_signal(signal.SIGTERM)

    assert await ended(helper) == 0
    assert 0 < result.client < ROWS
    assert result.client + result.others == ROWS
    assert max(progress.others for progress in told) > 0
    assert max(progress.done for progress in told) > result.client
    assert max(progress.done for progress in told) <= ROWS


@pytest.mark.usefixtures("unhurried")
async def test_the_progress_of_a_resumed_run_begins_where_it_stopped(database: Database, counter: Kind[Any]) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    stop = asyncio.Event()

    def stop_soon(progress: BackfillProgress) -> None:
        if progress.done >= 300:
            stop.set()

    first = await commands.backfill(database, counter, on_progress=stop_soon, stop=stop)
    told: list[BackfillProgress] = []
    second = await commands.backfill(database, counter, on_progress=told.append)

    assert first.interrupted
    assert second.complete
    assert max(progress.others for progress in told) == first.client
    assert told[-1].total == ROWS


async def test_a_bar_shows_rows_and_a_second_ctrl_c_leaves_nothing_broken(
    database: Database, processes: Processes
) -> None:
    await database["counters"].insert_many(old_rows(ROWS))

    processes.slow_down()
    with terminal(processes, "backfill", "start", "counter", "--wait") as screen:
        await screen.shows(r"[1-9][0-9]* %")
        await until(lambda: rows_done(database))
        screen.process.send_signal(signal.SIGINT)
        await screen.shows("Ctrl-C again ends at once")
        screen.process.send_signal(signal.SIGINT)
        code = await ended(screen.process)

    assert code == 1
    assert "Traceback" not in screen.text
    assert 0 < await rows_done(database) < ROWS
    processes.hurry()
    # Whatever the first one still holds is taken over when its lease runs out, which takes half a minute.
    await database["docstore_batches"].update_many({"open": True}, [{"$set": {"until": "$$NOW"}}])
    again = processes.worker("--drain")
    assert await ended(again) == 0
    assert (await commands.backfill_status(database, "counter"))[0].state is RunState.SUCCEEDED
    assert await steps(database) == {(2, 1)}


async def test_a_run_that_has_succeeded_shows_all_rows_done_whatever_killed_workers_counted(
    database: Database, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many(old_rows(10))
    await commands.backfill(database, counter)
    await database["docstore_batches"].update_many({}, {"$set": {"tally.client": 3}})

    (status,) = await commands.backfill_status(database, "counter")
    assert (status.total, status.done, status.remaining) == (10, 10, 0)


@pytest.mark.usefixtures("unhurried")
async def test_a_cancelled_run_shows_what_is_left_by_its_own_count(database: Database, counter: Kind[Any]) -> None:
    await database["counters"].insert_many(old_rows(ROWS))
    stop = asyncio.Event()

    def stop_soon(progress: BackfillProgress) -> None:
        if progress.done >= 300:
            stop.set()

    result = await commands.backfill(database, counter, on_progress=stop_soon, stop=stop)
    status = await commands.backfill_cancel(database, "counter", by="a test")

    assert status.state is RunState.CANCELLED
    assert status.done == result.client >= 300
    assert status.remaining == ROWS - status.done
    # On a machine that stalls a batch ends after its rows were written and before they were counted; the result counts
    # the rows.
    left = await database["counters"].count_documents({"schema_version": 1})
    assert result.remaining == left <= status.remaining


async def test_rows_in_quarantine_count_once_however_many_passes_meet_them(
    database: Database, counter: Kind[Any]
) -> None:
    await database["counters"].insert_many([*old_rows(5), {"_id": "x", "schema_version": 1, "steps": "none"}])
    status = await commands.backfill_start(database, counter, by="a test")
    await commands.work(database, [counter], drain=True)
    (batch,) = await database["docstore_batches"].find({"task": "rows"}).to_list()
    again = {**batch, "_id": {**batch["_id"], "seq": 9}, "pass": 2, "tally": {**batch["tally"], "client": 0}}
    await database["docstore_batches"].insert_one(again)

    (after,) = await commands.backfill_status(database, "counter")
    assert status.quarantined == 0
    assert (after.client, after.quarantined) == (5, 1)
