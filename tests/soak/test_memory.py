"""
The memory of a worker: it does not grow with the collection (P9).
"""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from pymongo import AsyncMongoClient

from docstore import commands
from docstore.core.bson_values import RawDocument
from docstore.core.run_state import RunState
from docstore.embedded import EmbeddedServer
from tests.soak.cities import Cities
from tests.soak.workers import Workers
from upgraders.city import city

TITLE: Final = "Peak memory of a worker"
#: How much more memory many rows may take than few, in MB.
MARGIN: Final = 20
_AT_ONCE: Final = 5_000


@pytest.fixture
async def roomy_server() -> AsyncIterator[EmbeddedServer]:
    """
    A server that takes its data with it.
    """
    async with EmbeddedServer(cache_gb=1.0) as server:
        yield server


async def peak(workers: Workers, cities: Cities, rows: int) -> float:
    """
    Have a worker process bring so many rows to the target, and return the most memory that it ever had, in MB.
    """
    database = workers.database
    for first in range(0, rows, _AT_ONCE):
        await database[city.collection].insert_many(
            [cities.row(number, 1) for number in range(first, first + _AT_ONCE)]
        )
    await commands.backfill_start(database, city, to=cities.target, by="a test")
    process = workers.start()
    status = await commands.backfill_wait(database, city.name)
    # A write that a machine which stands still breaks off is counted by nobody; that all is done, the run has counted.
    assert (status.state, status.done) == (RunState.SUCCEEDED, rows)
    assert status.server + status.client > 0.8 * rows
    told = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(encoding="ascii"))
    assert told is not None
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait) == 0
    return int(told[1]) / 1024


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("path", "target"), [pytest.param("server", 4, marks=pytest.mark.long), ("client", 6)])
async def test_a_worker_needs_no_more_memory_for_many_rows_than_for_few(
    path: str,
    target: int,
    *,
    roomy_server: EmbeddedServer,
    places: Sequence[RawDocument],
    start_workers: Callable[..., Workers],
    record_property: Callable[[str, object], None],
    thorough: bool,
) -> None:
    few, many = (50_000, 1_000_000) if thorough else (5_000, 20_000)
    cities = Cities(places, target=target)
    async with AsyncMongoClient[dict[str, Any]](roomy_server.uri) as client:
        peaks = [
            await peak(start_workers(client[f"of_{rows}"], roomy_server.uri), cities, rows) for rows in (few, many)
        ]

    record_property(TITLE, f"{path} path: {peaks[0]:.1f} MB for {few:,} rows, {peaks[1]:.1f} MB for {many:,} rows")
    assert peaks[1] - peaks[0] < MARGIN
