"""
A worker for every open run.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.patience import briefly, cancelled
from docstore.backfill.surveying import keep_surveying
from docstore.backfill.throttling import Throttling
from docstore.backfill.worker import LEASE, Worker
from docstore.commands.process import this_process, utc_now
from docstore.core.kind import Kind
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.signals import open_signals


async def work(
    database: AnyDatabase,
    kinds: Iterable[Kind[Any]],
    *,
    drain: bool = False,
    concurrency: int = 1,
    lease: float = LEASE,
    stop: asyncio.Event | None = None,
    throttled: bool = True,
    metrics: WorkerMetrics | None = None,
) -> None:
    """
    Work on every open run of the kinds, together with any number of other processes.

    Args:
        database: A Motor or PyMongo Async database.
        kinds: The kinds.
        drain: Return when no run is open that this process could work on.
        concurrency: How many batches of each run to work on at the same time.
        lease: How long others wait before they take over a batch of a process that vanished, in seconds.
        stop: Once it is set, batches are finished or given back, and the call returns within a few seconds.
        throttled: Hold back when the server shows the load.
        metrics: Counts what is done, and is told every half minute how the database stands.
    """
    known = {kind.name: kind for kind in kinds}
    throttling = Throttling(open_signals(database) if throttled else ())
    if metrics is not None:
        metrics.watch(throttling)
    worker = Worker(
        database,
        known,
        who=this_process(),
        stop=stop or asyncio.Event(),
        now=utc_now,
        lease=lease,
        concurrency=concurrency,
        throttling=throttling,
        metrics=metrics,
    )
    watching = None
    if metrics is not None:
        watching = asyncio.create_task(keep_surveying(database, known.values(), metrics.survey.tell, now=utc_now))
    try:
        await worker.work(drain=drain)
    finally:
        if watching is not None:
            await cancelled(watching)
        await briefly(throttling.close())
