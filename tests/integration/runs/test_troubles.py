"""
Worker processes in front of a database in trouble: they go on when it is over, and until then status says what it is.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from docstore import Kind, commands
from docstore.backfill.run_status import RunStatus
from docstore.core.run_state import RunState
from docstore.discovery import find_kinds
from docstore.embedded import EmbeddedServer
from docstore.embedded.member import Launch, Member
from docstore.mongo.tag_index import build_tag_index
from tests.integration.runs.conftest import PACKAGE, Processes, old_rows, until, write_package
from tests.integration.runs.proxy import Proxy
from tests.integration.runs.test_processes import ended, ended_without_waiting, rows_done, steps

ROWS = 1_000

Database = AsyncDatabase[dict[str, Any]]


@pytest.fixture(scope="module")
def fragile() -> Iterator[EmbeddedServer]:
    """
    A mongod that fails where it is told to, for all tests of this file.
    """
    command = Member._command

    def with_failures(self: Member, launch: Launch) -> Sequence[str]:
        return [*command(self, launch), "--setParameter", "enableTestCommands=1"]

    server = EmbeddedServer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Member, "_command", with_failures)
        asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def fragile_database(fragile: EmbeddedServer, database_name: str) -> AsyncIterator[Database]:
    """
    A database with old rows on the mongod that fails.
    """
    async with AsyncMongoClient[dict[str, Any]](fragile.uri) as client:
        await client[database_name]["counters"].insert_many(old_rows(ROWS))
        yield client[database_name]
        await client.drop_database(database_name)


@pytest.fixture
def on_fragile(fragile: EmbeddedServer, fragile_database: Database, tmp_path: Path) -> Iterator[Processes]:
    """
    Commands on that database.
    """
    write_package(tmp_path)
    made = Processes(fragile.uri.replace("/?", f"/{fragile_database.name}?"), tmp_path)
    yield made
    made.kill()


@pytest.fixture
def slow_counter(tmp_path: Path, on_fragile: Processes, monkeypatch: pytest.MonkeyPatch) -> Kind[Any]:
    """
    The kind of the package that the processes load.
    """
    assert on_fragile.folder == tmp_path
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    return find_kinds(PACKAGE)["counter"]


@asynccontextmanager
async def failing(database: Database, mode: Any, commands: list[str], **failure: Any) -> AsyncIterator[None]:
    """
    Have commands on the rows fail, and only those of docstore.
    """
    data = {"failCommands": commands, "namespace": f"{database.name}.counters", "appName": "docstore", **failure}
    admin = database.client["admin"]
    await admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
    try:
        yield
    finally:
        await admin.command({"configureFailPoint": "failCommand", "mode": "off"})


async def status_of(database: Database) -> RunStatus:
    (status,) = await commands.backfill_status(database, "counter")
    return status


async def is_done(database: Database, share: float) -> bool:
    return await rows_done(database) >= share * ROWS


async def waits_because(database: Database, reason: str) -> bool:
    return any(reason in worker.waits for worker in (await status_of(database)).workers)


WRITE_CONCERN = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"}


@pytest.mark.parametrize(
    ("failing_commands", "failure", "reason"),
    [
        (["update"], {"writeConcernError": WRITE_CONCERN}, "the write concern was not met"),
        pytest.param(["update"], {"errorCode": 10107}, "NotPrimaryError", marks=pytest.mark.long),
        pytest.param(["find"], {"errorCode": 43}, "CursorNotFound", marks=pytest.mark.long),
        (["find", "update"], {"closeConnection": True}, "AutoReconnect"),
    ],
    ids=["write concern", "not primary", "cursor lost", "connection closed"],
)
async def test_status_tells_what_a_worker_waits_for_and_the_run_goes_on_when_it_is_over(
    fragile_database: Database,
    on_fragile: Processes,
    slow_counter: Kind[Any],
    *,
    failing_commands: list[str],
    failure: dict[str, Any],
    reason: str,
) -> None:
    database = fragile_database
    await commands.backfill_start(database, slow_counter, by="a test")
    on_fragile.slow_down()
    worker = on_fragile.worker("--drain")
    await until(lambda: rows_done(database))

    async with failing(database, "alwaysOn", failing_commands, **failure):
        assert await until(lambda: waits_because(database, reason))
        on_fragile.hurry()
        stuck = await status_of(database)

    # However many rows are there: with a write concern that was not met, they may go away again.
    assert stuck.state is RunState.RUNNING
    assert await ended(worker) == 0
    status = await status_of(database)
    assert (status.state, status.remaining) == (RunState.SUCCEEDED, 0)
    assert await steps(database) == {(2, 1)}


async def test_a_write_concern_that_no_members_can_meet_fails_the_run_at_once(
    fragile_database: Database, on_fragile: Processes, slow_counter: Kind[Any]
) -> None:
    database = fragile_database
    await build_tag_index(database, "counters", "schema_version")
    await commands.backfill_start(database, slow_counter, by="a test")
    asked_of_five = Processes(on_fragile.uri + "&w=5", on_fragile.folder)

    code = await ended(asked_of_five.worker("--drain"))
    asked_of_five.kill()

    status = await status_of(database)
    assert code == 0
    assert status.state is RunState.FAILED
    assert "no members can meet the write concern (code 100)" in status.reason


async def test_a_server_that_refuses_the_index_fails_the_run_before_any_row_is_touched(
    fragile_database: Database, on_fragile: Processes, slow_counter: Kind[Any]
) -> None:
    database = fragile_database
    await commands.backfill_start(database, slow_counter, by="a test")

    async with failing(database, "alwaysOn", ["createIndexes"], errorCode=13):
        code = await ended(on_fragile.worker("--drain"))
    failed = await status_of(database)
    untouched = await steps(database)
    await commands.backfill_resume(database, "counter", by="a test")

    assert (code, failed.state, untouched) == (0, RunState.FAILED, {(1, 0)})
    assert failed.reason.endswith("the database refused the call: Unauthorized (code 13)")
    assert await ended(on_fragile.worker("--drain")) == 0
    assert await steps(database) == {(2, 1)}


async def test_a_silent_line_costs_a_worker_its_batch_and_nobody_anything_else(
    fragile: EmbeddedServer, fragile_database: Database, on_fragile: Processes, slow_counter: Kind[Any]
) -> None:
    database = fragile_database
    proxy = Proxy(fragile.members[0])
    async with proxy.listening() as uri:
        behind = Processes(uri.replace("/?", f"/{database.name}?"), on_fragile.folder)
        await commands.backfill_start(database, slow_counter, by="a test")
        on_fragile.slow_down()
        cut_off = behind.worker("--drain")
        await until(lambda: rows_done(database))
        proxy.hold_back()
        on_fragile.hurry()
        heir = on_fragile.worker("--drain")
        assert await ended(heir) == 0
        done = await status_of(database)
        # Whatever was on its way arrives now, and changes nothing.
        proxy.mend()
        assert await ended(cut_off) == 0
        behind.kill()

    assert (done.state, done.remaining) == (RunState.SUCCEEDED, 0)
    assert await steps(database) == {(2, 1)}
    assert max([batch["token"] async for batch in database["docstore_batches"].find()]) > 1


async def test_a_worker_whose_connections_are_cut_goes_on_when_it_gets_new_ones(
    fragile: EmbeddedServer, fragile_database: Database, on_fragile: Processes, slow_counter: Kind[Any]
) -> None:
    database = fragile_database
    proxy = Proxy(fragile.members[0])
    async with proxy.listening() as uri:
        behind = Processes(uri.replace("/?", f"/{database.name}?"), on_fragile.folder)
        await commands.backfill_start(database, slow_counter, by="a test")
        on_fragile.slow_down()
        worker = behind.worker("--drain")
        for share in (0.1, 0.3, 0.5):
            await until(partial(is_done, database, share))
            proxy.cut()
            await asyncio.sleep(1.0)
            proxy.mend()
        on_fragile.hurry()
        assert await ended(worker) == 0
        behind.kill()

    assert (await status_of(database)).state is RunState.SUCCEEDED
    assert await steps(database) == {(2, 1)}


async def test_a_worker_ends_in_time_when_told_to_while_the_database_does_not_answer(
    fragile: EmbeddedServer, fragile_database: Database, on_fragile: Processes, slow_counter: Kind[Any]
) -> None:
    database, mongod = fragile_database, fragile.members[0].pid
    assert mongod is not None
    await commands.backfill_start(database, slow_counter, by="a test")
    on_fragile.slow_down()
    worker = on_fragile.worker()
    await until(lambda: rows_done(database))
    os.kill(mongod, signal.SIGSTOP)
    try:
        worker.send_signal(signal.SIGTERM)
        code = await ended_without_waiting(worker)
    finally:
        os.kill(mongod, signal.SIGCONT)
        on_fragile.hurry()

    assert code == 0
    assert await ended(on_fragile.worker("--drain")) == 0
    assert (await status_of(database)).state is RunState.SUCCEEDED
    assert await steps(database) == {(2, 1)}


async def has_begun(database: Database) -> bool:
    return bool((await status_of(database)).workers)


async def has_claimed(database: Database) -> bool:
    return await database["docstore_batches"].find_one({"state": "leased", "task": "rows"}) is not None


#: Longer than a process takes to end, in milliseconds.
FOR_LONG = 8_000

#: What the server is at: what it does not answer to, which of these calls it answers first, and when it is there.
AT_WORK = pytest.mark.parametrize(
    ("blocked", "first", "is_there"),
    [("createIndexes", 0, has_begun), ("aggregate", 1, has_begun), ("update", 0, has_claimed)],
    ids=["building the index", "counting", "rewriting a batch"],
)


@AT_WORK
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(("worker", "--lease", "2"), 0, marks=pytest.mark.long),
        (("backfill", "start", "counter", "--wait"), 1),
    ],
    ids=["worker", "start --wait"],
)
async def test_sigterm_ends_a_process_in_time_whatever_the_server_is_at(
    fragile_database: Database,
    on_fragile: Processes,
    slow_counter: Kind[Any],
    *,
    blocked: str,
    first: int,
    is_there: Any,
    arguments: tuple[str, ...],
    code: int,
) -> None:
    database = fragile_database
    await commands.backfill_start(database, slow_counter, by="a test")
    on_fragile.hurry()
    # Asking for the run again counts the rows, so the count that is not answered is the one at the end.
    answered = first if code else 0
    rows_before = ROWS * answered
    mode: Any = {"skip": answered} if answered else "alwaysOn"

    async with failing(database, mode, [blocked], blockConnection=True, blockTimeMS=FOR_LONG):
        process = on_fragile.start(*arguments)
        await until(lambda: is_there(database))
        while await rows_done(database) < rows_before:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        ended_with = await ended_without_waiting(process)
        done = await rows_done(database)
    _, errors = process.communicate()

    assert ended_with == code, errors
    assert "Traceback" not in errors
    # It has not waited for the server.
    assert done == rows_before
    run = await status_of(database)
    assert run.state in {RunState.ENQUEUED, RunState.RUNNING}


async def test_sigterm_ends_a_process_that_waits_in_time_while_the_database_does_not_answer(
    fragile: EmbeddedServer, fragile_database: Database, on_fragile: Processes, slow_counter: Kind[Any]
) -> None:
    database, mongod = fragile_database, fragile.members[0].pid
    assert mongod is not None
    await commands.backfill_start(database, slow_counter, by="a test")
    on_fragile.slow_down()
    process = on_fragile.start("backfill", "start", "counter", "--wait")
    await until(lambda: rows_done(database))
    os.kill(mongod, signal.SIGSTOP)
    try:
        process.send_signal(signal.SIGTERM)
        code = await ended_without_waiting(process)
    finally:
        os.kill(mongod, signal.SIGCONT)
        on_fragile.hurry()

    assert code == 5
    assert (await status_of(database)).state is RunState.RUNNING
