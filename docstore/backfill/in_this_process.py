"""
Working one run in the process that asked for it, until it has ended.
"""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.concluding import WAITS_FOR_WRITERS
from docstore.backfill.joining import selection_of
from docstore.backfill.looking import count_aside, counted
from docstore.backfill.others import tell_of_others
from docstore.backfill.patience import cancelled, patiently
from docstore.backfill.progress import BackfillResult, Meter, OnProgress
from docstore.backfill.rollout_following import SETTLING, RolloutFollowing
from docstore.backfill.run_work import BEAT, RunWork, Who
from docstore.backfill.selection_status import SelectionStatus
from docstore.backfill.throttling import Throttling
from docstore.backfill.worker import LEASE
from docstore.core.kind import Kind
from docstore.core.run_record import RunRecord
from docstore.core.run_scope import RunScope
from docstore.core.run_state import CLAIMABLE, ENDED, RunState
from docstore.fleet.membership import Membership
from docstore.mongo.batches import Batches
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.runs import Runs

#: Batches worked on at the same time: the server rewrites one of them while the other is claimed, compared or recorded.
LANES: Final = 2


async def work_until_ended(
    database: AnyDatabase,
    kind: Kind[Any],
    run: RunRecord,
    *,
    who: Who,
    on_progress: OnProgress | None,
    stop: asyncio.Event,
    now: Callable[[], datetime.datetime],
    lease: float = LEASE,
    member: Membership | None = None,
    throttling: Throttling | None = None,
) -> BackfillResult:
    """
    Work on a run until it has ended, was paused, waits for writers of old rows to go, or *stop* is set.

    It also returns when the run may not go on because its target lies above the write version by now. Others may work
    on it at the same time.

    Raises:
        StoreUnavailableError: The database stayed away for a minute.
        StoreRejectedError: It refuses what the run needs.
    """
    begun, meter = now(), Meter(on_progress)
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
        member=member,
    )
    rollouts = RolloutFollowing(database, by=who.name, now=now)
    await patiently(lambda: rollouts.look([kind]))
    watching = asyncio.create_task(tell_of_others(database, run.id, worker=who.id, meter=meter))
    try:
        await _work(work, run, stop)
    finally:
        await cancelled(watching)
    if not stop.is_set():
        await patiently(lambda: rollouts.wait(kind, seconds=SETTLING))
    after = await patiently(lambda: Runs(database).get(run.id)) or run
    made = (await patiently(lambda: Batches(database, owner="", lease=0.0).totals(run.id))).tally
    succeeded = after.state is RunState.SUCCEEDED
    if succeeded and after.remaining is not None:
        remaining, newer = after.remaining, after.newer
        aside = remaining
    else:
        selection = selection_of(database, run)
        coverage = await counted(database, kind, now, selection=selection)
        scope = RunScope(kind, run.target, run.direction)
        remaining, newer = scope.rows(coverage), scope.newer(coverage)
        aside = await patiently(lambda: count_aside(database, scope, selection=selection))
    result = BackfillResult(
        kind=kind.name,
        target=run.target,
        direction=run.direction,
        state=after.state,
        reason=_reason(work, after),
        server=meter.now.server,
        client=meter.now.client,
        conflicts=meter.now.conflicts,
        quarantined=min(aside, remaining),
        remaining=remaining,
        newer=newer,
        passes=after.number_of_pass,
        seconds=(now() - begun).total_seconds(),
        index_built=after.index_built,
        interrupted=stop.is_set() and not succeeded,
        others=max(made.server + made.client - meter.now.rewritten, 0),
        selection=SelectionStatus.of(after.selection),
    )
    events.backfill_ended(**result.model_dump(exclude={"selection"}))
    return result


def _reason(work: RunWork, run: RunRecord) -> str:
    if run.held is not None:
        return run.held.detail
    return (work.obstacle(run) if run.state in CLAIMABLE else "") or run.state_reason


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
