"""
Runs that are held back by the database's load, and what can be seen of them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from docstore import commands
from docstore.backfill.ending import Ending
from docstore.backfill.in_this_process import work_until_ended
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.operating import Operating
from docstore.backfill.run_status import RunStatus, run_statuses
from docstore.backfill.throttling import Throttling
from docstore.backfill.worker import Worker
from docstore.core.run_record import RunOptions
from docstore.core.run_state import CLAIMABLE, RunState
from docstore.core.throttle import Answer, Verdict
from docstore.mongo.probe import PROBE
from tests.kinds import place_kind, stored

Database = Any


class Load:
    """
    A signal that says what the test wants.
    """

    name = "load"

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    async def ask(self) -> Sequence[Answer]:
        return [Answer(self.name, self.verdict, "the server is busy")]

    async def close(self) -> None:
        pass


async def on_hold(database: Database) -> RunStatus:
    while True:
        (status,) = await run_statuses(database, "place")
        if status.hold is not None:
            return status
        await asyncio.sleep(0.05)


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"docstore_backfill_{name}", {"kind": "place", **labels})


async def test_a_run_that_the_load_stops_is_on_hold_until_it_is_better(database: Database) -> None:
    await database.places.insert_many([stored(1, place) for place in range(50)])
    await commands.backfill_start(database, place_kind(), by="test")
    load = Load(Verdict.STOP)
    worker = Worker(
        database,
        {"place": place_kind()},
        who=commands.this_process(),
        ending=Ending(),
        now=commands.utc_now,
        throttling=Throttling([load], interval=0.05),
    )
    working = asyncio.create_task(worker.work(drain=True))
    status = await on_hold(database)
    untouched = await database.places.count_documents({"schema_version": 1})

    load.verdict = Verdict.NORMAL
    await working

    (ended,) = await run_statuses(database, "place")
    assert status.hold is not None
    assert (status.hold.reason, status.hold.detail) == ("throttled", "the server is busy")
    assert status.state in CLAIMABLE
    assert untouched == 50
    assert (ended.state, ended.hold) == (RunState.SUCCEEDED, None)


async def test_a_worker_that_pauses_between_rows_says_why_in_the_status(database: Database) -> None:
    await database.places.insert_many([stored(1, place) for place in range(50)])
    await commands.backfill_start(database, place_kind(), options=RunOptions(rate=10), by="test")
    stop = asyncio.Event()
    worker = Worker(
        database,
        {"place": place_kind()},
        who=commands.this_process(),
        ending=Ending(stop),
        now=commands.utc_now,
        throttling=Throttling([Load(Verdict.SLOW_DOWN)], interval=0.05),
    )
    working = asyncio.create_task(worker.work(drain=False))

    async with asyncio.timeout(120):
        while True:
            (status,) = await run_statuses(database, "place")
            if any(entry.waits for entry in status.workers):
                break
            await asyncio.sleep(0.05)
    stop.set()
    await working

    assert [entry.waits for entry in status.workers] == ["between rows (the server is busy)"]
    assert status.hold is None


async def test_a_worker_that_is_to_stop_ends_although_the_load_holds_it(database: Database) -> None:
    await database.places.insert_many([stored(1, place) for place in range(50)])
    await commands.backfill_start(database, place_kind(), by="test")
    stop = asyncio.Event()
    throttling = Throttling([Load(Verdict.STOP)], interval=3600)
    held = asyncio.Event()
    throttling.on_change = lambda _: held.set()
    worker = Worker(
        database,
        {"place": place_kind()},
        who=commands.this_process(),
        ending=Ending(stop),
        now=commands.utc_now,
        throttling=throttling,
    )
    working = asyncio.create_task(worker.work(drain=False))

    await held.wait()
    stop.set()
    async with asyncio.timeout(120):
        await working

    assert await database.places.count_documents({"schema_version": 1}) == 50


async def test_a_worker_counts_what_it_does(database: Database) -> None:
    rows = [stored(1, place) for place in range(50)]
    rows[3]["tags"] = "no list"
    await database.places.insert_many(rows)
    await commands.backfill_start(database, place_kind(), by="test")
    metrics = WorkerMetrics()

    await commands.work(database, [place_kind()], drain=True, metrics=metrics)

    registry = metrics.registry
    assert sample(registry, "rows_total", path="client", outcome="rewritten") == 49
    assert (sample(registry, "rows_total", path="client", outcome="quarantined") or 0) >= 1
    assert (sample(registry, "batch_seconds_count", path="client") or 0) >= 1
    assert sample(registry, "remaining_rows") is not None
    assert registry.get_sample_value("docstore_backfill_majority_lag_seconds") is not None


async def test_a_backfill_leaves_nothing_of_its_probe_behind(database: Database) -> None:
    await database.places.insert_many([stored(1, place) for place in range(50)])

    result = await commands.backfill(database, place_kind())

    assert result.complete
    assert PROBE not in await database.list_collection_names()


async def test_progress_tells_why_a_backfill_holds_back(database: Database) -> None:
    await database.places.insert_many([stored(1, place) for place in range(50)])
    told: list[str] = []
    throttling = Throttling([Load(Verdict.SLOW_DOWN)], interval=0)
    run = await Operating(database, by="test").start(place_kind(), 3, RunOptions(), now=commands.utc_now)

    await work_until_ended(
        database,
        place_kind(),
        run,
        who=commands.this_process(),
        on_progress=lambda progress: told.append(progress.hold),
        ending=Ending(),
        now=commands.utc_now,
        throttling=throttling,
    )

    assert "the server is busy" in told
