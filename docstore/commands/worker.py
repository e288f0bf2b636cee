"""
A worker for every open run.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.ending import Ending
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.surveying import keep_surveying
from docstore.backfill.throttling import Throttling
from docstore.backfill.worker import LEASE, POLL, Worker
from docstore.commands.as_node import member_of
from docstore.commands.process import this_process, utc_now
from docstore.core.kind import Kind
from docstore.errors import StoreRejectedError, StoreUnavailableError
from docstore.fleet.membership import Membership
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.failures import Reaction, reaction_to
from docstore.mongo.leaving import ended
from docstore.mongo.signals import open_signals

#: What a worker calls itself in the fleet.
_SERVICE: Final = "docstore worker"


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

    The process is a node of the fleet meanwhile. It leaves runs alone whose target lies above the write version.

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
    throttling = Throttling(open_signals(database) if throttled else ())
    known = tuple(kinds)
    ending = Ending(stop)
    member = member_of(database, known, service=_SERVICE, rewrites=True)
    worker = Worker(
        database,
        {kind.name: kind for kind in known},
        who=this_process(),
        ending=ending,
        now=utc_now,
        lease=lease,
        concurrency=concurrency,
        throttling=throttling,
        metrics=metrics,
        member=member,
    )
    watching: list[asyncio.Task[None]] = []
    if metrics is not None:
        metrics.watch(throttling)
        metrics.node.watch(_SERVICE, member, known)
        watching.append(asyncio.create_task(keep_surveying(database, known, metrics.survey.tell, now=utc_now)))
    try:
        if await _joined(member, ending):
            await worker.work(drain=drain)
    finally:
        await ending.leave(member.close(), throttling.close(), ended(watching))


async def _joined(member: Membership, ending: Ending) -> bool:
    """
    Join the fleet, however long the database is away; tell whether that was done before this process was to stop.
    """
    while not ending.stop.is_set():
        try:
            if await ending.unless_stopped(_open(member), grace=0.0):
                return True
        except (StoreUnavailableError, StoreRejectedError) as error:
            if reaction_to(error) is Reaction.FAIL:
                raise
            events.worker_waits(reason=error.reason)
            await ending.unless_stopped(asyncio.sleep(POLL), grace=0.0)
    return False


async def _open(member: Membership) -> bool:
    await member.open()
    return True
