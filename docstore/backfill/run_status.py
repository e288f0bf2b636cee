"""
How runs stand, for people and programs.
"""

import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict

from docstore.backfill.concluding import WAITS_FOR_WRITERS
from docstore.backfill.selection_status import SelectionStatus
from docstore.core.direction import Direction
from docstore.core.run_record import RunRecord, WorkerEntry
from docstore.core.run_state import CLAIMABLE, RunState
from docstore.mongo.batches import Batches
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.run_workers import WORKER_SEEN
from docstore.mongo.runs import Runs
from docstore.mongo.worker_rows import rows_by_worker

#: Entries of the history that are told.
_NEWEST: Final = 10

_FROZEN: Final = ConfigDict(frozen=True)


class HoldStatus(BaseModel):
    """
    Why the system itself keeps a run from going on.
    """

    model_config = _FROZEN

    reason: str
    detail: str
    since: datetime.datetime
    until: datetime.datetime


class WorkerStatus(BaseModel):
    """
    A process that works on a run, or says why it does not.
    """

    model_config = _FROZEN

    host: str
    pid: int
    seen: datetime.datetime
    #: Rows that it has rewritten.
    rows: int
    #: Rows per second of its batches, the pauses that they hold included; null before its first batch.
    rate: float | None
    #: Why it does not work on the run; empty if it does.
    note: str
    #: What it waits for, while the database does not take its calls or shows the load; empty at other times.
    waits: str


class ChangeStatus(BaseModel):
    """
    A limit that an operator has changed for a while.
    """

    model_config = _FROZEN

    option: str
    value: float | None
    until: datetime.datetime


class HistoryEntry(BaseModel):
    """
    What happened to a run, and who wanted it.
    """

    model_config = _FROZEN

    at: datetime.datetime
    #: The states before and after; null before it was asked for, the same where only an option was changed.
    before: RunState | None
    after: RunState
    reason: str
    by: str
    #: What was said beyond the reason; may be empty.
    why: str


class RunStatus(BaseModel):
    """
    How one run stands.
    """

    model_config = _FROZEN

    run: str
    kind: str
    target: int
    #: Up or down to the target; or adopt, where rows without a tag get theirs.
    direction: Direction
    state: RunState
    #: Why it is in that state.
    reason: str
    hold: HoldStatus | None
    #: The rows that it is limited to; null if it is about every row.
    selection: SelectionStatus | None
    #: Rows that were to be done when the run began; others may have come since.
    total: int
    server: int
    client: int
    conflicts: int
    quarantined: int
    #: Rows that are left: counted where the run has succeeded, else what the counters say.
    remaining: int | None
    #: Rows above latest, which a way down leaves where they are, because the code does not know their version.
    newer: int
    #: Rows per second of all workers that are there, at most what the limit allows; null if there is none.
    rate: float | None
    #: Seconds that the rest takes at that rate; null where nothing is known, or the run does not go on.
    eta_seconds: float | None
    #: Seconds during which at least one worker was at work.
    running_seconds: float
    #: How often the old rows are gone through, this time included.
    number_of_pass: int
    batches_done: int
    batches_failed: int
    batches_open: int
    #: Why the last failed batch failed; null if none did.
    last_error: str | None
    workers: tuple[WorkerStatus, ...]
    #: The limits at work: rows per second (null: none), seconds per batch, workers (null: any number).
    rate_limit: float | None
    batch_seconds: float
    workers_max: int | None
    #: Which of these limits hold for a while only.
    changes: tuple[ChangeStatus, ...]
    #: What happened to it last, oldest first.
    history: tuple[HistoryEntry, ...]
    by: str
    #: The server's time when all this was read.
    at: datetime.datetime
    created: datetime.datetime
    started: datetime.datetime | None
    ended: datetime.datetime | None

    @property
    def waits_for_writers(self) -> bool:
        """
        Whether the run waits for people to end what writes rows on the wrong side of its target.
        """
        return self.hold is not None and self.hold.reason in WAITS_FOR_WRITERS

    @property
    def done(self) -> int:
        """
        Rows that need no more work, as far as the run can help them.
        """
        # What a worker did last before it was killed is counted by nobody, but the end of the run says that it is done.
        ended = self.total if self.state is RunState.SUCCEEDED else 0
        return max(self.server + self.client + self.quarantined, ended)


async def run_statuses(database: AnyDatabase, kind: str | None = None) -> list[RunStatus]:
    """
    Return how the last run of each kind stands, or of one kind; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    runs = Runs(database)
    found = [await runs.last(name) for name in (await runs.kinds() if kind is None else [kind])]
    return [await _status(database, run) for run in found if run is not None]


async def _status(database: AnyDatabase, run: RunRecord) -> RunStatus:
    runs, batches = Runs(database), Batches(database, owner="", lease=0.0)
    totals = await batches.totals(run.id)
    rows = await rows_by_worker(database, run.id)
    rate = _rate(run)
    remaining = totals.left_of(run)
    goes_on = run.state in CLAIMABLE and run.held is None
    held = run.held
    return RunStatus(
        run=run.id,
        kind=run.kind,
        target=run.target,
        direction=run.direction,
        state=run.state,
        reason=run.state_reason,
        hold=None
        if held is None
        else HoldStatus(reason=held.reason, detail=held.detail, since=held.since, until=held.until),
        selection=SelectionStatus.of(run.selection),
        total=run.total,
        server=totals.tally.server,
        client=totals.tally.client,
        conflicts=totals.tally.conflicts,
        quarantined=totals.tally.quarantined,
        remaining=remaining,
        newer=run.newer,
        rate=rate,
        eta_seconds=remaining / rate if goes_on and rate and remaining is not None else None,
        running_seconds=run.running_seconds,
        number_of_pass=run.number_of_pass,
        batches_done=totals.done,
        batches_failed=totals.failed,
        batches_open=totals.open,
        last_error=await batches.last_error(run.id),
        workers=tuple(
            WorkerStatus(
                host=entry.host,
                pid=entry.pid,
                seen=entry.seen,
                rows=rows.get(entry.id, 0),
                rate=entry.rate,
                note=entry.note,
                waits=entry.waits,
            )
            for entry in _there(run)
        ),
        rate_limit=run.options.rate,
        batch_seconds=run.options.batch_seconds,
        workers_max=run.options.workers_max,
        changes=tuple(
            ChangeStatus(option=change.name, value=change.value, until=change.until) for change in run.changes
        ),
        history=tuple(
            HistoryEntry(**{name: entry[name] for name in HistoryEntry.model_fields})
            for entry in await runs.history.newest(run.id, limit=_NEWEST)
        ),
        by=run.by,
        at=run.now,
        created=run.created,
        started=run.started,
        ended=run.ended,
    )


def _there(run: RunRecord) -> list[WorkerEntry]:
    """
    Return the workers that were seen of late; of one that was killed the entry stays for a while.
    """
    fresh = run.now - datetime.timedelta(seconds=WORKER_SEEN)
    return [entry for entry in run.workers if entry.seen >= fresh]


def _rate(run: RunRecord) -> float | None:
    # One that takes no part any more, after a silence, still tells how fast it was.
    rates = [entry.rate for entry in _there(run) if entry.rate is not None and not entry.note]
    if not rates:
        return None
    return sum(rates) if run.options.rate is None else min(sum(rates), run.options.rate)
