"""
Runs that bring rows down, or tag them: workers are killed, primaries hand over, and writers go on all the while.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from docstore import Document, Kind, Step, commands
from docstore.backfill.operating import LiveOption
from docstore.backfill.pacing import Pacing
from docstore.core.direction import Direction
from docstore.core.run_state import RunState
from docstore.embedded import EmbeddedServer
from tests.integration.runs.conftest import PATIENCE, until
from tests.integration.runs.forked import a_worker

Database = AsyncDatabase[dict[str, Any]]

ROWS = 240


class Anything(Document):
    """
    A model that takes every row.
    """


def count_up(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "steps": row["steps"] + 1}


def count_down(row: dict[str, Any]) -> dict[str, Any]:
    time.sleep(0.003)
    return {**row, "steps": row["steps"] - 1}


def detect(row: dict[str, Any]) -> int:
    time.sleep(0.003)
    return int(row["steps"]) + 1


def lowered() -> Kind[Any]:
    return Kind(
        "counter", collection="counters", model=Anything, steps=[Step(upgrade=count_up, downgrade=count_down, to=2)]
    )


def detected() -> Kind[Any]:
    return Kind("counter", collection="counters", model=Anything, steps=[Step(upgrade=count_up, to=2)], detect=detect)


async def ask_down(database: Database) -> None:
    await commands.backfill_start(database, lowered(), to=1, direction=Direction.DOWN, by="a test")


async def ask_to_adopt(database: Database) -> None:
    await commands.adopt_start(database, detected(), by="a test")


@dataclass(frozen=True, slots=True)
class Way:
    """
    How rows stand before and after, and who asks for the run.
    """

    kind: Callable[[], Kind[Any]]
    ask: Any
    before: Callable[[int], dict[str, Any]]
    #: The tag and the number of steps of each row in the end.
    after: Callable[[int], tuple[int, int]]


DOWN = Way(lowered, ask_down, lambda _: {"schema_version": 2, "steps": 1}, lambda _: (1, 0))
ADOPT = Way(detected, ask_to_adopt, lambda row: {"steps": row % 2}, lambda row: (row % 2 + 1, row % 2))
WAYS = pytest.mark.parametrize("way", [DOWN, ADOPT], ids=["down", "adopt"])


@dataclass
class Visits:
    """
    What a writer that knows nothing of versions has counted up.
    """

    acknowledged: int = 0
    unanswered: int = 0


@asynccontextmanager
async def visited(database: Database) -> AsyncIterator[Visits]:
    """
    Have somebody count visits of rows until the block ends.
    """
    visits, chance, stop = Visits(), random.Random(1), asyncio.Event()

    async def visit() -> None:
        while not stop.is_set():
            try:
                row = {"_id": chance.randrange(ROWS)}
                answer = await database["counters"].update_one(row, {"$inc": {"visits": 1}})
                visits.acknowledged += answer.modified_count
            except PyMongoError:
                visits.unanswered += 1

    visiting = asyncio.create_task(visit())
    try:
        yield visits
    finally:
        stop.set()
        await visiting


async def insert(database: Database, way: Way) -> None:
    await database["counters"].insert_many([{"_id": row, "visits": 0, **way.before(row)} for row in range(ROWS)])


async def check(database: Database, way: Way, visits: Visits) -> None:
    rows = await database["counters"].find().to_list()
    (status,) = await commands.backfill_status(database, "counter")
    assert (status.state, status.remaining, status.quarantined) == (RunState.SUCCEEDED, 0, 0)
    assert {row["_id"]: (row["schema_version"], row["steps"]) for row in rows} == {
        row: way.after(row) for row in range(ROWS)
    }
    counted = sum(row["visits"] for row in rows)
    assert visits.acknowledged <= counted <= visits.acknowledged + visits.unanswered
    assert visits.acknowledged > 0


@WAYS
async def test_workers_that_are_killed_lose_nothing_and_do_nothing_twice(
    database: Database, mongod_uri: str, way: Way
) -> None:
    await insert(database, way)
    await way.ask(database)
    chance, killed = random.Random(2), 0

    async with visited(database) as visits:
        for _ in range(4):
            worker = a_worker(mongod_uri, database.name, way.kind)
            while worker.is_alive() and not await _holds(database):  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.random() / 10)
            killed += worker.is_alive()
            worker.kill()
            await asyncio.to_thread(worker.join)
        last = a_worker(mongod_uri, database.name, way.kind)
        await asyncio.to_thread(last.join, PATIENCE)

    assert killed > 0
    assert last.exitcode == 0
    assert await database["docstore_batches"].count_documents({"lost": {"$gt": 0}}) > 0
    await check(database, way, visits)


async def _holds(database: Database) -> bool:
    held = {"state": "leased", "task": "rows", "$expr": {"$gt": ["$until", "$$NOW"]}}
    return await database["docstore_batches"].find_one(held) is not None


async def limit(database: Database, rate: float | None) -> None:
    await commands.backfill_set(database, "counter", LiveOption.RATE, rate, seconds=None, by="a test")


async def step_down(replica_set: EmbeddedServer) -> None:
    """
    Have the primary hand over, as soon as another member has caught up.
    """
    while True:
        try:
            await replica_set.step_down()
        except OperationFailure:
            await asyncio.sleep(0.5)
        else:
            return


@WAYS
async def test_elections_lose_nothing_and_have_nothing_done_twice(
    replica_set: EmbeddedServer, database_name: str, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    monkeypatch.setattr(Pacing, "size", lambda *_, **__: 10)
    async with AsyncMongoClient[dict[str, Any]](replica_set.uri) as client:
        database = client[database_name]
        await insert(database, way)
        await way.ask(database)
        await limit(database, 20)
        async with visited(database) as visits:
            working = asyncio.create_task(commands.work(database, [way.kind()], drain=True, throttled=False))
            await until(lambda: _holds(database))
            for _ in range(2):
                await step_down(replica_set)
            went_on = not working.done()
            await limit(database, None)
            await working
        await check(database, way, visits)
        await client.drop_database(database_name)

    assert went_on
