"""
Working one run in the process that asked for it, until it has ended.
"""

import asyncio
import datetime
from collections.abc import Callable, Coroutine
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.concluding import WAITS_FOR_WRITERS
from docstore.backfill.ending import Ending
from docstore.backfill.last_look import about, left_of, standing_of
from docstore.backfill.others import tell_of_others
from docstore.backfill.patience import patiently
from docstore.backfill.presence import BEAT
from docstore.backfill.progress import BackfillResult, Meter, OnProgress
from docstore.backfill.rollout_following import SETTLING, RolloutFollowing
from docstore.backfill.run_work import RunWork
from docstore.backfill.selection_status import SelectionStatus
from docstore.backfill.throttling import Throttling
from docstore.backfill.who import Who
from docstore.backfill.worker import LEASE
from docstore.core.coverage import Coverage
from docstore.core.kind import Kind
from docstore.core.run_record import RunRecord
from docstore.core.run_state import CLAIMABLE, ENDED, RunState
from docstore.errors import StoreUnavailableError
from docstore.fleet.membership import Membership
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.leaving import ended

#: Batches worked on at the same time: the server rewrites one of them while the other is claimed, compared or recorded.
LANES: Final = 2


async def work_until_ended(
    database: AnyDatabase,
    kind: Kind[Any],
    run: RunRecord,
    *,
    who: Who,
    on_progress: OnProgress | None,
    ending: Ending,
    now: Callable[[], datetime.datetime],
    lease: float = LEASE,
    member: Membership | None = None,
    throttling: Throttling | None = None,
    coverage: Coverage | None = None,
) -> BackfillResult:
    """
    Work on a run until it has ended, was paused, waits for writers of old rows to go, or this process is to stop.

    It also returns when the run may not go on because its target lies above the write version by now. Others may work
    on it at the same time.

    Told to stop, it returns within three seconds, whatever the database is at: rows that cannot be counted in that time
    are told as far as the counters of the run know them.

    Args:
        database: Where the rows and the records are.
        kind: Whose rows.
        run: The run.
        who: This process.
        on_progress: Told after every batch.
        ending: Once its `stop` is set, batches in flight are finished or given back, and the call ends.
        now: The clock that quarantine records are dated with.
        lease: For how long a batch is claimed, in seconds.
        throttling: Says when a batch may begin.
        coverage: Where all rows stood a moment ago, if that is known: they are not counted again then.
        member: This process as a part of its fleet; without one it works alone.

    Raises:
        StoreUnavailableError: The database stayed away for a minute, or did not answer at the end.
        StoreRejectedError: It refuses what the run needs.
    """
    begun, meter, stop = now(), Meter(on_progress), ending.stop
    throttling = throttling or Throttling()
    throttling.on_change = lambda hold: meter.hold("" if hold is None else hold.reason)
    work = RunWork(
        database,
        kind,
        who=who,
        meter=meter,
        stop=stop,
        now=now,
        lease=lease,
        concurrency=LANES,
        wait_for_writers=False,
        throttling=throttling,
        coverage=coverage,
        member=member,
    )
    rollouts = RolloutFollowing(database, by=who.name, now=now)
    watching = asyncio.create_task(tell_of_others(database, run.id, worker=who.id, meter=meter))
    try:
        await ending.unless_stopped(_followed(rollouts, kind, run, _work(work, run, stop), stop))
    finally:
        await ended([watching])
    standing = await ending.in_time(standing_of(database, run))
    if standing is None:
        raise silent_at_the_end()
    after = standing.run
    left = await ending.in_time(left_of(database, kind, after, now=now)) or about(standing)
    made, succeeded = standing.totals.tally, after.state is RunState.SUCCEEDED
    result = BackfillResult(
        kind=kind.name,
        target=run.target,
        direction=run.direction,
        state=after.state,
        reason=_reason(work, after),
        server=meter.now.server,
        client=meter.now.client,
        conflicts=meter.now.conflicts,
        quarantined=min(left.aside, left.rows),
        remaining=left.rows,
        newer=left.newer,
        passes=after.number_of_pass,
        seconds=(now() - begun).total_seconds(),
        index_built=after.index_built,
        interrupted=stop.is_set() and not succeeded,
        others=max(made.server + made.client - meter.now.rewritten, 0),
        selection=SelectionStatus.of(after.selection),
    )
    events.backfill_ended(**result.model_dump(exclude={"selection"}))
    return result


def silent_at_the_end() -> StoreUnavailableError:
    """
    Return the error of a process that cannot tell what it leaves behind.
    """
    return StoreUnavailableError(reason="it did not answer while this process was ending; the run stays open")


def _reason(work: RunWork, run: RunRecord) -> str:
    if run.held is not None:
        return run.held.detail
    return (work.obstacle(run) if run.state in CLAIMABLE else "") or run.state_reason


async def _followed(
    rollouts: RolloutFollowing, kind: Kind[Any], run: RunRecord, working: Coroutine[Any, Any, None], stop: asyncio.Event
) -> None:
    """Bring the rollout of the kind up to the run, do the work, and end the rollout if that was the last of it."""
    await patiently(lambda: rollouts.look([kind]))
    while not stop.is_set() and await patiently(lambda: rollouts.holds_back(run)):  # noqa: ASYNC110 - it is in the database
        await asyncio.sleep(BEAT)
    await working
    if not stop.is_set():
        await patiently(lambda: rollouts.wait(kind, seconds=SETTLING))


async def _work(work: RunWork, run: RunRecord, stop: asyncio.Event) -> None:
    after: RunRecord | None = run
    while after is not None and after.state not in ENDED and not stop.is_set():
        after = await work.work(run.id)
        if after is None or after.state not in CLAIMABLE or stop.is_set():
            return
        if after.held is not None and after.held.reason in WAITS_FOR_WRITERS:
            return
        if work.obstacle(after):
            return
        # Others work on it, and there is no place for one more.
        await asyncio.sleep(BEAT)
