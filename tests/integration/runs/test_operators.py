"""
What operators see and do while workers work: status and its watching, progress, Ctrl-C.
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
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, commands
from docstore.backfill.operating import LiveOption
from docstore.backfill.progress import BackfillProgress
from docstore.core.run_record import RunOptions
from docstore.core.run_state import RunState
from tests.integration.runs.conftest import Processes, ended, old_rows, until

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
