"""
What a run costs that goes on near its end: as much as what is left, however many rows there are (P9).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import pytest
from pymongo import AsyncMongoClient

from docstore import commands
from docstore.backfill.pacing import Pacing
from docstore.core.bson_values import RawDocument
from docstore.core.run_state import RunState
from docstore.embedded import EmbeddedServer
from tests.soak.cities import TAG, Cities
from tests.soak.workers import Database
from upgraders.city import city

TITLE: Final = "Going on at 99 %"
_AT_ONCE: Final = 5_000


@pytest.fixture
async def quiet_database(database_name: str) -> AsyncIterator[Database]:
    """
    A database on a server that does nothing else, so that whatever it examines is for the run.
    """
    async with EmbeddedServer(cache_gb=1.0) as server, AsyncMongoClient[dict[str, Any]](server.uri) as client:
        yield client[database_name]


async def examined(database: Database) -> int:
    """
    Return how many index keys and documents the server has looked at since its start, for whatever reason.
    """
    status = await database.command("serverStatus")
    executor = status["metrics"]["queryExecutor"]
    return int(executor["scanned"]) + int(executor["scannedObjects"])


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("path", "target"), [pytest.param("server", 4, marks=pytest.mark.long), ("client", 6)])
async def test_a_run_that_was_paused_near_its_end_examines_the_rest_only(
    path: str,
    target: int,
    *,
    quiet_database: Database,
    places: Sequence[RawDocument],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    thorough: bool,
) -> None:
    database = quiet_database
    rows, batches, late = (1_000_000, 400, 0.98) if thorough else (10_000, 200, 0.95)
    # So few rows at a time that it can be paused near the end.
    monkeypatch.setattr(Pacing, "size", lambda *_, **__: rows // batches)
    cities = Cities(places, target=target)
    for first in range(0, rows, _AT_ONCE):
        await database[city.collection].insert_many(
            [cities.row(number, 1) for number in range(first, first + _AT_ONCE)]
        )
    pausing: list[asyncio.Task[Any]] = []

    def pause_late(progress: Any) -> None:
        if progress.done >= late * rows and not pausing:
            pausing.append(asyncio.ensure_future(commands.backfill_pause(database, city.name, by="a test")))

    first_part = await commands.backfill(database, city, to=target, on_progress=pause_late)
    await asyncio.gather(*pausing)
    left = await database[city.collection].count_documents({TAG: 1})
    await commands.backfill_resume(database, city.name, by="a test")
    before = await examined(database)
    await commands.work(database, [city], drain=True)
    cost = await examined(database) - before

    (status,) = await commands.backfill_status(database, city.name)
    record_property(TITLE, f"{path} path: {left:,} of {rows:,} rows were left, {cost:,} keys and documents examined")
    assert first_part.state is RunState.PAUSED
    assert 0 < left <= (1 - late) * rows
    assert (status.state, status.remaining) == (RunState.SUCCEEDED, 0)
    assert 2 * left <= cost <= 8 * left + 1_500
